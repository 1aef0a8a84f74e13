// OpenVPN: openvpn runs in the egress namespace on a tun device made for it there. What the server
// pushes comes over the management socket, is checked, and only then is the device moved into the
// LAN namespace and given the address. While the tunnel is down the device is there and carries
// nothing; when openvpn ends, the device goes with it before a new one is made.
#include <utility>

#include "netns/namespace/netns.h"
#include "netns/tun/tun.h"
#include "routers/egress/tunnel_facts.h"
#include "runtime/supervisor/egress_drivers.h"
#include "runtime/supervisor/line_socket.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::uint16_t kDefaultMtu = 1500;  // OpenVPN's tun-mtu; its own packets may be fragmented

// A string as the management interface takes it: quoted, with '"' and '\' escaped.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

class OpenVpnDriver : public Egress, public ServiceOwner {
 public:
  OpenVpnDriver(EgressHost& host, const OpenVpnEgress& egress)
      : host_(host),
        spec_(host.context().spec),
        egress_(egress),
        device_(*tunnelName(spec_)),
        path_(host, device_, [this] { openvpn_->restart(); }) {}

  std::vector<std::string> rungs() const override { return {"carrier", "tunnel"}; }

  Status start() override {
    ORRERY_TRY(watchUplink(host_, watch_, [this](bool there) { path_.carrier(there); }));
    ORRERY_TRY_ASSIGN(egressNs_, openNetns(spec_.id.egressText()));
    openvpn_ = std::make_unique<ServiceRunner>(host_.surroundings(),
                                               openvpnService(host_.context(), egress_), *this);
    openvpn_->start();
    return {};
  }
  void stop() override {
    management_.close();
    if (openvpn_) openvpn_->stop(std::chrono::milliseconds(0));
  }
  std::vector<const ServiceRunner*> services() const override { return {openvpn_.get()}; }
  ServiceRunner* find(std::string_view service) override {
    return openvpn_->state().name == service ? openvpn_.get() : nullptr;
  }
  Status renew() override {  // connects anew, to the next remote
    if (!management_) return sysError(ENOTCONN, "openvpn is not up");
    return management_.send("signal SIGUSR1\n");
  }

 private:
  Result<std::vector<Gift>> prepareService(ServiceRunner&) override {
    ORRERY_TRY(path_.clear("openvpn starts anew"));  // what an earlier supervisor had left
    const std::uint32_t user = hostUser(host_.context().idBase, ServiceKind::openvpn);
    // Persistent, and no descriptor kept: openvpn attaches to it as its owner, without privilege.
    ORRERY_TRY_ASSIGN(const UniqueFd tun, createTun(egressNs_, device_, true, user, kDefaultMtu));
    ORRERY_TRY_ASSIGN(listener_, listenUnix(openvpnManagementSocket(spec_.id), 0666));
    ORRERY_TRY_ASSIGN(listenerWatch_, ReadWatch::start(host_.surroundings().base, listener_.get(),
                                                       [this] { acceptManagement(); }));
    return std::vector<Gift>{};
  }

  void acceptManagement() {
    const std::uint32_t user = hostUser(host_.context().idBase, ServiceKind::openvpn);
    auto peer = acceptFrom(listener_.get(), user);
    if (!peer) {
      host_.note(Severity::warning, "openvpn", "management-refused",
                 {{"why", peer.error().message}});
      return;
    }
    listenerWatch_.stop();
    listener_.reset();
    (void)management_.start(
        host_.surroundings().base, std::move(*peer), [this](std::string_view line) { take(line); },
        [] {});
  }

  void take(std::string_view line) {
    using Kind = ManagementEvent::Kind;
    const ManagementEvent event = parseManagementLine(line);
    switch (event.kind) {
      case Kind::hold:
        (void)management_.send("log on\nstate on\nhold release\n");
        return;
      case Kind::passwordWanted:
        if (Status sent = sendPassword(); !sent) host_.fail("tunnel", sent.error().message);
        return;
      case Kind::pushReply:
        takePush(event.text);
        return;
      case Kind::state:
        takeState(event);
        return;
      case Kind::authFailed:
        host_.fail("tunnel", "the VPN server refuses the user name or password");
        return;
      case Kind::fatal:
        host_.setRung("tunnel", RungState::failed, event.text);
        return;
      case Kind::log:
      case Kind::other:
        return;
    }
  }

  Status sendPassword() {
    if (!egress_.auth) return error("the VPN server wants a user name: set egress.auth");
    ORRERY_TRY_ASSIGN(const std::string text, readFile(*egress_.auth, 4096));
    const auto lines = split(text, '\n');
    if (lines.size() < 2) return error("'{}' has no two lines: user, password", *egress_.auth);
    return management_.send(fmt::format("username \"Auth\" {}\npassword \"Auth\" {}\n",
                                        quoted(trim(lines[0])), quoted(trim(lines[1]))));
  }

  void takePush(std::string_view reply) {
    auto facts = parsePushReply(reply);
    Status good = facts ? checkTunnel(*facts, {spec_.lan.address})
                        : Status(tl::unexpected<Error>(facts.error()));
    if (good) {
      facts_ = std::move(*facts);
      return;
    }
    facts_.reset();
    host_.fail("tunnel", "what the VPN server pushes is unusable: " + good.error().message);
  }

  void takeState(const ManagementEvent& event) {
    const std::string& state = event.text;
    if (state == "CONNECTED") {
      server_ = serverOf(event);
      if (Status up = connected(); !up)
        host_.setRung("tunnel", RungState::failed, up.error().message);
    } else if (state == "RECONNECTING" || state == "EXITING") {
      const bool lost = std::exchange(connected_, false);
      if (lost) path_.tunnelDown("connection to the VPN server lost");
      host_.setWayOut(std::nullopt);
      host_.setRung("tunnel", RungState::failed,
                    lost ? "connection to the VPN server lost"
                         : "the VPN server does not answer, or refuses the handshake");
    } else {
      host_.setProgress(50, "OpenVPN: " + state);
    }
  }

  // Which of the profile's servers it is; nothing if it is none of them.
  std::optional<Endpoint> serverOf(const ManagementEvent& event) const {
    for (const Endpoint& remote : egress_.remotes)
      if (event.remote == remote.address && event.port == remote.port) return remote;
    return std::nullopt;
  }

  Status connected() {
    if (!facts_) return error("connected, but the server pushed no usable address");
    ORRERY_TRY(
        path_.bringIn(TunnelDevice{device_, facts_->address, facts_->mtu.value_or(kDefaultMtu)}));
    ORRERY_TRY(path_.tunnelUp());
    connected_ = true;
    host_.setWayOut(facts_->address, server_);
    host_.setResolvers(facts_->dns);
    host_.setRung("tunnel", RungState::ok, toString(facts_->address));
    return {};
  }

  void serviceStarted(ServiceRunner&) override { host_.setProgress(30, "OpenVPN: connecting"); }
  void serviceLine(ServiceRunner&, std::string_view) override {}
  void serviceEnded(ServiceRunner&, const std::string& how) override {
    path_.tunnelDown("openvpn ended");
    management_.close();
    facts_.reset();
    connected_ = false;
    host_.setWayOut(std::nullopt);
    host_.setRung("tunnel", RungState::failed, "openvpn ended: " + how);
  }

  EgressHost& host_;
  const RouterSpec& spec_;
  const OpenVpnEgress& egress_;
  IfName device_;
  NetnsFd egressNs_;
  TunnelPath path_;
  LinkWatch watch_;
  std::unique_ptr<ServiceRunner> openvpn_;
  UniqueFd listener_;
  ReadWatch listenerWatch_;
  LineSocket management_;
  std::optional<TunnelFacts> facts_;
  std::optional<Endpoint> server_;
  bool connected_ = false;
};

}  // namespace

std::unique_ptr<Egress> makeOpenVpnEgress(EgressHost& host, const OpenVpnEgress& egress) {
  return std::make_unique<OpenVpnDriver>(host, egress);
}

}  // namespace orrery
