// Direct egress: by the NIC of a universe (its lease by udhcpc, or a fixed address), or by the LAN
// of the router upstream, where everything is in place before the supervisor starts.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "netns/addr/address.h"
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/route/route.h"
#include "routers/egress/tunnel_facts.h"
#include "runtime/supervisor/egress_drivers.h"
#include "runtime/supervisor/nic_return.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

// --- by a NIC ------------------------------------------------------------------------------------

class NicEgress : public Egress, public ServiceOwner {
 public:
  NicEgress(EgressHost& host, const NicUplink& uplink)
      : host_(host), spec_(host.context().spec), uplink_(uplink) {}

  std::vector<std::string> rungs() const override { return {"carrier", "address"}; }

  Status start() override {
    ORRERY_TRY_ASSIGN(const NetnsFd netns, openNetns(spec_.id.text()));
    ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
    rtnl_.emplace(std::move(rtnl));
    ORRERY_TRY(watch_.start(host_.surroundings().base, netns, nicName(),
                            [this](const LinkWatch::Link& link) { linkChanged(link); }));
    // A predecessor may have ended between taking the NIC up again and what follows.
    if (!away_) ORRERY_TRY(putInPlace());
    if (uplink_.fixed) {
      host_.setWayOut(uplink_.fixed->address);
      host_.setResolvers(uplink_.fixed->dns);
      host_.setRung("address", RungState::ok, toString(uplink_.fixed->address));
      return {};
    }
    ORRERY_TRY(openLeasePipe());
    udhcpc_ = std::make_unique<ServiceRunner>(host_.surroundings(), udhcpcService(host_.context()),
                                              *this);
    udhcpc_->start();
    return {};
  }

  void stop() override {
    if (udhcpc_) udhcpc_->stop(std::chrono::milliseconds(0));
  }
  std::vector<const ServiceRunner*> services() const override {
    if (!udhcpc_) return {};
    return {udhcpc_.get()};
  }
  ServiceRunner* find(std::string_view service) override {
    return udhcpc_ && udhcpc_->state().name == service ? udhcpc_.get() : nullptr;
  }
  Status renew() override {
    if (!udhcpc_) return sysError(ENOTSUP, "the address is fixed");
    return udhcpc_->signal(SIGUSR1);
  }

 private:
  Status openLeasePipe() {
    const std::string path = udhcpcLeasePipe(spec_.id);
    const std::uint32_t user = hostUser(host_.context().idBase, ServiceKind::udhcpc);
    ORRERY_TRY(makeDirectories(path.substr(0, path.rfind('/'))));
    ORRERY_TRY(removeFile(path));
    if (::mkfifo(path.c_str(), 0600) != 0 || ::lchown(path.c_str(), user, user) != 0)
      return sysError(errno, "make '{}'", path);
    // Open for writing too, so that it never comes to an end of file.
    ORRERY_TRY_ASSIGN(leasePipe_, openFile(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW));
    ORRERY_TRY_ASSIGN(leaseWatch_, ReadWatch::start(host_.surroundings().base, leasePipe_.get(),
                                                    [this] { readLease(); }));
    return {};
  }

  void linkChanged(const LinkWatch::Link& link) {
    const bool carrier = link.present && link.carrier;
    const bool had = std::exchange(carrier_, carrier);
    // The kernel takes no route by a link without carrier (routers/kinds/sysctls.cc).
    if (had && !carrier) host_.cutFlows(link.present ? "no carrier" : "the NIC is gone");
    host_.setRung("carrier", carrier ? RungState::ok : RungState::failed,
                  carrier        ? "link up"
                  : link.present ? "no carrier: is the cable in?"
                                 : "the NIC is gone");
    if (carrier && !had && udhcpc_) (void)udhcpc_->signal(SIGUSR1);  // another network, maybe
    if (link.present == away_) link.present ? cameBack() : wentAway();
  }

  // What hung on it has gone along: address, route, the interface that udhcpc has looked up.
  void wentAway() {
    away_ = true;
    lease_.reset();
    if (!uplink_.fixed) {
      host_.setWayOut(std::nullopt);
      host_.setRung("address", RungState::pending, "no lease");
    }
    Status waits = return_.await(host_.surroundings().base, spec_.id, [this](const Error& why) {
      host_.setRung("carrier", RungState::failed, "the NIC is back: " + why.message);
    });
    if (!waits)
      host_.note(Severity::error, "", "nic-not-awaited", {{"why", waits.error().message}});
  }

  void cameBack() {
    away_ = false;
    return_.stop();
    host_.note(Severity::info, "", "nic-returned", {{"link", nicName().str()}});
    if (Status dressed = putInPlace(); !dressed)
      host_.setRung("address", RungState::failed, dressed.error().message);
    if (udhcpc_) udhcpc_->restart();
  }

  Status putInPlace() {
    if (uplink_.fixed) ORRERY_TRY(keepOnlyAddress(*rtnl_, nicName(), uplink_.fixed->address));
    ORRERY_TRY(setLinkUp(*rtnl_, nicName()));
    if (!uplink_.fixed) return {};
    return replaceRoute(*rtnl_, defaultRoute(uplink_.fixed->gateway));
  }

  void readLease() {
    std::array<char, 4096> chunk{};
    const ssize_t got = ::read(leasePipe_.get(), chunk.data(), chunk.size());
    if (got <= 0) return;
    // Messages end by an empty string: each is one write of at most PIPE_BUF bytes (pipe(7)).
    pending_.append(chunk.data(), static_cast<std::size_t>(got));
    for (std::size_t end = 0;
         (end = pending_.find(std::string_view("\0\0", 2))) != std::string::npos;) {
      takeLease(std::string_view(pending_).substr(0, end));
      pending_.erase(0, end + 2);
    }
    if (pending_.size() > kMaxLeaseMessage) pending_.clear();
  }

  void takeLease(std::string_view message) {
    auto event = parseLeaseEvent(message);
    if (!event) {
      host_.note(Severity::warning, "udhcpc", "lease-refused", {{"why", event.error().message}});
      return;
    }
    // udhcpc begins with "deconfig", and nobody has taken the address away: what an earlier udhcpc,
    // or supervisor, had put in place serves until the new one is bound, or fails.
    const bool first = std::exchange(startedAnew_, false);
    switch (event->kind) {
      case LeaseEventKind::bound:
      case LeaseEventKind::renewed:
        if (Status applied = applyLease(*event->lease); !applied)
          host_.setRung("address", RungState::failed, applied.error().message);
        return;
      case LeaseEventKind::deconfig:
        if (!first) dropLease();
        return;
      case LeaseEventKind::refused:
      case LeaseEventKind::failed:
        dropLease();
        host_.setRung("address", RungState::failed, "no DHCP server answers on the NIC");
        return;
    }
  }

  Status applyLease(const Lease& lease) {
    if (Status good = checkLease(lease, {spec_.lan.address}); !good) {
      dropLease();
      return wrap(std::move(good).error(), "the LAN's DHCP server offers an unusable lease");
    }
    if (!lease_ || lease_->address != lease.address || lease_->gateway != lease.gateway) {
      if (lease_) dropLease();
      ORRERY_TRY_ASSIGN(const auto present, listAddresses(*rtnl_, nicName()));
      if (std::ranges::any_of(present,
                              [&](const Address& a) { return a.address != lease.address; }))
        ORRERY_TRY(closeWayOut("another address"));
      ORRERY_TRY(keepOnlyAddress(*rtnl_, nicName(), lease.address));
      lease_ = lease;
      if (lease.gateway) ORRERY_TRY(replaceRoute(*rtnl_, defaultRoute(*lease.gateway)));
    }
    lease_ = lease;
    host_.setWayOut(lease.address);
    host_.setResolvers(lease.dns);
    host_.setRung("address", RungState::ok, toString(lease.address));
    host_.note(Severity::info, "udhcpc", "lease",
               {{"address", toString(lease.address)},
                {"seconds", std::to_string(lease.duration.count())}});
    return {};
  }

  // Before the address goes: while there is a route flows begin, and have no source then. What was
  // masqueraded behind the address the kernel forgets with it by itself, and nobody would be told.
  Status closeWayOut(const std::string& why) {
    Route byNic;
    byNic.destination = Prefix4{Ipv4{0}, 0};
    byNic.interface = nicName();
    Status closed = deleteRoute(*rtnl_, byNic);
    host_.cutFlows(why);
    return closed;
  }

  void dropLease() {
    if (Status closed = closeWayOut("the lease is lost"); !closed)
      host_.note(Severity::error, "", "way-out-not-shut", {{"why", closed.error().message}});
    if (Status gone = keepOnlyAddress(*rtnl_, nicName(), std::nullopt); !gone)
      host_.note(Severity::warning, "udhcpc", "address-stays", {{"why", gone.error().message}});
    if (!lease_) return;
    lease_.reset();
    host_.setWayOut(std::nullopt);
    host_.setRung("address", RungState::pending, "no lease");
  }

  static Route defaultRoute(Ipv4 gateway) {
    Route route;
    route.destination = Prefix4{Ipv4{0}, 0};
    route.gateway = gateway;
    route.interface = nicName();
    return route;
  }

  Result<std::vector<Gift>> prepareService(ServiceRunner&) override { return std::vector<Gift>{}; }
  void serviceStarted(ServiceRunner&) override { startedAnew_ = true; }
  void serviceLine(ServiceRunner&, std::string_view) override {}
  void serviceEnded(ServiceRunner& service, const std::string& how) override {
    host_.note(Severity::warning, service.state().name, "ended", {{"how", how}});
  }

  EgressHost& host_;
  const RouterSpec& spec_;
  const NicUplink& uplink_;
  std::optional<Rtnl> rtnl_;
  LinkWatch watch_;
  NicReturn return_;
  std::unique_ptr<ServiceRunner> udhcpc_;
  UniqueFd leasePipe_;
  ReadWatch leaseWatch_;
  std::string pending_;
  std::optional<Lease> lease_;
  bool startedAnew_ = false;  // udhcpc, and it has not said anything yet
  bool carrier_ = false;
  bool away_ = false;  // the NIC, from the router's namespace
};

// --- by a router upstream ------------------------------------------------------------------------

class RoutedEgress : public Egress {
 public:
  explicit RoutedEgress(EgressHost& host) : host_(host) {}
  std::vector<std::string> rungs() const override { return {"carrier"}; }
  Status start() override {
    ORRERY_TRY(watchUplink(host_, watch_, [this](bool there) {
      if (std::exchange(carrier_, there) && !there) host_.cutFlows("the uplink has no carrier");
    }));
    host_.setResolvers({});
    return {};
  }
  void stop() override {}
  std::vector<const ServiceRunner*> services() const override { return {}; }
  ServiceRunner* find(std::string_view) override { return nullptr; }
  Status renew() override { return sysError(ENOTSUP, "a direct egress has nothing to renew"); }

 private:
  EgressHost& host_;
  LinkWatch watch_;
  bool carrier_ = false;
};

}  // namespace

std::unique_ptr<Egress> makeDirectEgress(EgressHost& host) {
  if (const auto* nic = std::get_if<NicUplink>(&host.context().spec.uplink))
    return std::make_unique<NicEgress>(host, *nic);
  return std::make_unique<RoutedEgress>(host);
}

std::unique_ptr<Egress> makeEgress(EgressHost& host) {
  return std::visit(
      [&](const auto& egress) -> std::unique_ptr<Egress> {
        using T = std::decay_t<decltype(egress)>;
        if constexpr (std::is_same_v<T, DirectEgress>) return makeDirectEgress(host);
        if constexpr (std::is_same_v<T, OpenVpnEgress>) return makeOpenVpnEgress(host, egress);
        if constexpr (std::is_same_v<T, WireGuardEgress>) return makeWireGuardEgress(host, egress);
        if constexpr (std::is_same_v<T, TorEgress>) return makeTorEgress(host);
        if constexpr (std::is_same_v<T, Socks5Egress>) return makeSocks5Egress(host, egress);
      },
      host.context().spec.egress);
}

}  // namespace orrery
