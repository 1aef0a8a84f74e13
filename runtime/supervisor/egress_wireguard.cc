// WireGuard: the kernel's where it has one, else wireguard-go. Either way the device is made in the
// egress namespace, where its outer socket stays, and then moved into the LAN namespace.
//
// A handshake makes no event that user space could wait for, so while one is awaited a timer asks
// for it, with growing pauses. Neither does a peer that vanishes: routers/egress/peer_liveness.h
// says when to look. One that is silent is treated as at the start: configured anew, which throws
// away what waits for it, and asked to shake hands until it does.
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/tun/tun.h"
#include "netns/wireguard/wireguard.h"
#include "routers/egress/peer_liveness.h"
#include "routers/egress/tunnel_facts.h"
#include "runtime/supervisor/egress_drivers.h"
#include "runtime/supervisor/line_socket.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/seccomp/notify.h"

namespace orrery {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstLook{100};
constexpr milliseconds kLongestLook{2000};
// WireGuard repeats an initiation after 5 s (REKEY_TIMEOUT): by now two have had no answer.
constexpr std::chrono::seconds kNoAnswer{8};
constexpr int kTunFd = 3;  // WG_TUN_FD, WG_UAPI_FD in routers/services/wireguard_go.cc
constexpr int kUapiFd = 4;

std::string hex(const WireGuardKey& key) {
  std::string text;
  for (const std::uint8_t byte : key) text += fmt::format("{:02x}", byte);
  return text;
}

struct Keys {
  WireGuardKey privateKey{};
  struct Peer {
    WireGuardKey publicKey{};
    std::optional<WireGuardKey> presharedKey;
  };
  std::vector<Peer> peers;
};

Result<Keys> parseKeys(const WireGuardEgress& egress) {
  Keys keys;
  ORRERY_TRY_ASSIGN(keys.privateKey, parseWireGuardKey(egress.privateKey));
  for (const WireGuardPeer& peer : egress.peers) {
    Keys::Peer out;
    ORRERY_TRY_ASSIGN(out.publicKey, parseWireGuardKey(peer.publicKey));
    if (peer.presharedKey) {
      ORRERY_TRY_ASSIGN(out.presharedKey, parseWireGuardKey(*peer.presharedKey));
    }
    keys.peers.push_back(out);
  }
  return keys;
}

// One second of keepalive makes the device shake hands at once; the profile's own follows.
constexpr std::uint16_t kEager = 1;

// The "set=1" operation of the cross-platform user space protocol
// (https://www.wireguard.com/xplatform/), ended by an empty line.
std::string uapiSet(const WireGuardEgress& egress, const Keys& keys) {
  std::string text = "set=1\nprivate_key=" + hex(keys.privateKey) + "\nreplace_peers=true\n";
  for (std::size_t i = 0; i < egress.peers.size(); ++i) {
    const WireGuardPeer& peer = egress.peers[i];
    text += "public_key=" + hex(keys.peers[i].publicKey) + "\n";
    if (keys.peers[i].presharedKey)
      text += "preshared_key=" + hex(*keys.peers[i].presharedKey) + "\n";
    text += fmt::format("endpoint={}:{}\n", toString(peer.endpoint.address), peer.endpoint.port);
    text += fmt::format("persistent_keepalive_interval={}\n", kEager);
    text += "replace_allowed_ips=true\n";
    for (const Prefix4& allowed : peer.allowedIps) text += "allowed_ip=" + toString(allowed) + "\n";
  }
  return text + "\n";
}

std::string uapiSettle(const WireGuardEgress& egress, const Keys& keys) {
  std::string text = "set=1\n";
  for (std::size_t i = 0; i < egress.peers.size(); ++i)
    text += fmt::format("public_key={}\nupdate_only=true\npersistent_keepalive_interval={}\n",
                        hex(keys.peers[i].publicKey), egress.peers[i].keepalive);
  return text + "\n";
}

WireGuardConfig kernelConfig(const WireGuardEgress& egress, const Keys& keys, bool eager) {
  WireGuardConfig config;
  config.privateKey = keys.privateKey;
  for (std::size_t i = 0; i < egress.peers.size(); ++i) {
    const WireGuardPeer& peer = egress.peers[i];
    WireGuardPeerConfig out;
    out.publicKey = keys.peers[i].publicKey;
    out.presharedKey = keys.peers[i].presharedKey;
    out.endpoint = peer.endpoint.address;
    out.port = peer.endpoint.port;
    out.allowedIps = peer.allowedIps;
    out.keepalive = eager ? kEager : peer.keepalive;
    config.peers.push_back(std::move(out));
  }
  return config;
}

class WireGuardDriver : public Egress, public ServiceOwner {
 public:
  WireGuardDriver(EgressHost& host, const WireGuardEgress& egress)
      : host_(host),
        spec_(host.context().spec),
        egress_(egress),
        device_(*tunnelName(spec_)),
        path_(host, device_, [this] { makeAnew(); }) {}

  std::vector<std::string> rungs() const override { return {"carrier", "tunnel"}; }

  Status start() override {
    ORRERY_TRY(watchUplink(host_, watch_, [this](bool there) { path_.carrier(there); }));
    ORRERY_TRY(
        checkTunnel(TunnelFacts{egress_.address, egress_.dns, egress_.mtu}, {spec_.lan.address}));
    ORRERY_TRY_ASSIGN(keys_, parseKeys(egress_));
    ORRERY_TRY_ASSIGN(egressNs_, openNetns(spec_.id.egressText()));
    ORRERY_TRY_ASSIGN(const bool inKernel, kernelHasWireGuard());
    if (inKernel) return startKernel();
    go_ = std::make_unique<ServiceRunner>(host_.surroundings(), wireguardGoService(host_.context()),
                                          *this);
    go_->start();
    return {};
  }

  void stop() override {
    uapi_.close();
    if (go_) go_->stop(milliseconds(0));
  }
  std::vector<const ServiceRunner*> services() const override {
    if (!go_) return {};
    return {go_.get()};
  }
  ServiceRunner* find(std::string_view service) override {
    return go_ && go_->state().name == service ? go_.get() : nullptr;
  }
  Status renew() override { return sysError(ENOTSUP, "WireGuard has one exit"); }

 private:
  enum class Awaiting { nothing, configured, settled, counters };

  // --- the kernel's ------------------------------------------------------------------------------

  Status startKernel() {
    ORRERY_TRY(path_.clear("WireGuard starts anew"));  // what an earlier supervisor had left
    ORRERY_TRY_ASSIGN(Rtnl outside, Rtnl::open(egressNs_));
    ORRERY_TRY(createWireGuard(outside, device_, egress_.mtu));
    ORRERY_TRY(configureWireGuard(egressNs_, device_, kernelConfig(egress_, keys_, true)));
    ORRERY_TRY(useDevice());
    lookLater(kFirstLook);
    return {};
  }

  // --- wireguard-go
  // -------------------------------------------------------------------------------

  std::string uapiPath() const { return runDirectory(spec_.id) + "/wireguard.sock"; }

  Result<std::vector<Gift>> prepareService(ServiceRunner&) override {
    ORRERY_TRY(path_.clear("WireGuard starts anew"));
    // Persistent: were it gone with wireguard-go, the kernel would forget by itself what was
    // masqueraded behind it, before anybody could be told.
    ORRERY_TRY_ASSIGN(UniqueFd tun, createTun(egressNs_, device_, true, std::nullopt, egress_.mtu,
                                              TunHeader::packetInformation));
    ORRERY_TRY_ASSIGN(UniqueFd listener, listenUnix(uapiPath(), 0600));
    std::vector<Gift> gifts;
    gifts.push_back({std::move(tun), kTunFd});
    gifts.push_back({std::move(listener), kUapiFd});
    return gifts;
  }

  void serviceStarted(ServiceRunner&) override {
    host_.setProgress(30, "WireGuard: configuring");
    if (Status ok = configureGo(); !ok)
      host_.setRung("tunnel", RungState::failed, ok.error().message);
  }

  // wireguard-go sets its device's MTU when it starts, by an ioctl that its sealed namespace
  // refuses. The profile hands the call to us; the MTU is set already, so it is answered, not
  // carried out.
  Result<std::int64_t> answerCall(ServiceRunner&, const SeccompListener& listener,
                                  const SeccompNotification& call) override {
    if (static_cast<std::uint32_t>(call.args[1]) != SIOCSIFMTU)
      return sysError(EPERM, "no rule of the profile");
    ifreq request{};
    ORRERY_TRY(
        listener.readMemory(call, call.args[2], std::as_writable_bytes(std::span(&request, 1))));
    const bool own = std::string_view(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ)) ==
                         device_.str() &&
                     request.ifr_mtu >= 576 && request.ifr_mtu <= 65535;
    if (!own) return sysError(EPERM, "another device, or no sensible MTU");
    return 0;
  }

  Status configureGo() {
    // The listener is ours and handed over listening: this connects before the program runs, and is
    // accepted when it does.
    ORRERY_TRY_ASSIGN(UniqueFd fd, connectTo(uapiPath(), 0));
    ORRERY_TRY(uapi_.start(
        host_.surroundings().base, std::move(fd), [this](std::string_view line) { takeUapi(line); },
        [] {}));
    return say(Awaiting::configured, uapiSet(egress_, keys_));
  }

  // One question at a time: the answers carry no number.
  Status say(Awaiting awaiting, const std::string& text) {
    awaiting_ = awaiting;
    counters_ = {};
    return uapi_.send(text);
  }

  void takeUapi(std::string_view line) {
    addUapiLine(counters_, line);
    if (!line.starts_with("errno=")) return;
    if (line != "errno=0") {
      host_.setRung("tunnel", RungState::failed,
                    fmt::format("wireguard-go refuses the configuration ({})", line));
      return;
    }
    const Awaiting answered = std::exchange(awaiting_, Awaiting::nothing);
    if (answered == Awaiting::configured) {
      if (Status used = useDevice(); !used) {
        host_.setRung("tunnel", RungState::failed, used.error().message);
        return;
      }
      lookLater(kFirstLook);
    } else if (answered == Awaiting::counters) {
      seen(counters_);
    }
  }

  void serviceLine(ServiceRunner&, std::string_view) override {}
  void serviceEnded(ServiceRunner&, const std::string& how) override {
    path_.tunnelDown("wireguard-go ended");
    uapi_.close();
    lookTimer_.stop();
    liveness_.reset();
    awaiting_ = Awaiting::nothing;
    host_.setWayOut(std::nullopt);
    host_.setRung("tunnel", RungState::failed, "wireguard-go ended: " + how);
  }

  // --- both --------------------------------------------------------------------------------------

  Status useDevice() {
    ORRERY_TRY(path_.bringIn(TunnelDevice{device_, egress_.address, egress_.mtu}));
    host_.setProgress(60, "WireGuard: shaking hands");
    began_ = std::chrono::steady_clock::now();
    return {};
  }

  void lookAgain() {
    if (std::chrono::steady_clock::now() - began_ > kNoAnswer)
      host_.setRung("tunnel", RungState::failed,
                    "no handshake: the peer does not answer, or does not know our key");
    lookLater(std::min(pause_ * 2, kLongestLook));
  }

  void lookLater(milliseconds pause) {
    pause_ = pause;
    (void)lookTimer_.start(host_.surroundings().base, pause, [this] { look(); });
  }

  void look() {
    if (go_) {
      (void)say(Awaiting::counters, "get=1\n\n");
      return;
    }
    const auto lan = openNetns(spec_.id.text());
    const auto peers =
        lan ? readWireGuard(*lan, device_)
            : Result<std::vector<WireGuardPeerState>>(tl::unexpected<Error>(lan.error()));
    PeerCounters counters;
    if (peers)
      for (const WireGuardPeerState& peer : *peers) {
        counters.lastHandshake = std::max(counters.lastHandshake, peer.lastHandshake);
        counters.sent += peer.txBytes;
        counters.heard += peer.rxBytes;
      }
    seen(counters);
  }

  void seen(const PeerCounters& counters) {
    const auto now = std::chrono::steady_clock::now();
    if (!liveness_) {
      if (counters.lastHandshake == 0) return lookAgain();
      liveness_.emplace(keepalive(), counters, now);
      return handshakeDone();
    }
    const auto next = liveness_->look(counters, now);
    if (next) return lookLater(*next);
    liveness_.reset();
    silent();
  }

  // The shortest of the peers'.
  std::chrono::seconds keepalive() const {
    std::chrono::seconds shortest{0};
    for (const WireGuardPeer& peer : egress_.peers)
      if (peer.keepalive != 0 && (shortest.count() == 0 || peer.keepalive < shortest.count()))
        shortest = std::chrono::seconds(peer.keepalive);
    return shortest;
  }

  void silent() {
    path_.tunnelDown("the peer has gone silent");
    host_.setWayOut(std::nullopt);
    host_.setRung("tunnel", RungState::failed,
                  fmt::format("the peer has gone silent: nothing came back for {} s",
                              PeerLiveness::kPatience.count()));
    began_ = std::chrono::steady_clock::now();
    Status asked = go_ ? say(Awaiting::configured, uapiSet(egress_, keys_)) : askKernelAnew();
    if (!asked) host_.setRung("tunnel", RungState::failed, asked.error().message);
  }
  Status askKernelAnew() {
    ORRERY_TRY_ASSIGN(const NetnsFd lan, openNetns(spec_.id.text()));
    ORRERY_TRY(configureWireGuard(lan, device_, kernelConfig(egress_, keys_, true)));
    lookLater(kFirstLook);
    return {};
  }

  // The device is gone, and with it what the kernel knew; wireguard-go gets another at its start.
  void makeAnew() {
    if (go_) return go_->restart();
    liveness_.reset();
    if (Status started = startKernel(); !started) {
      host_.setRung("tunnel", RungState::failed, started.error().message);
      (void)lookTimer_.start(host_.surroundings().base, kLongestLook, [this] { makeAnew(); });
    }
  }

  // With several peers there is no one server to name.
  std::optional<Endpoint> server() const {
    if (egress_.peers.size() != 1) return std::nullopt;
    return egress_.peers.front().endpoint;
  }

  void handshakeDone() {
    if (go_) {
      (void)say(Awaiting::settled, uapiSettle(egress_, keys_));
    } else if (const auto lan = openNetns(spec_.id.text())) {
      (void)configureWireGuard(*lan, device_, kernelConfig(egress_, keys_, false));
    }
    if (Status open = path_.tunnelUp(); !open) {
      host_.setRung("tunnel", RungState::failed, open.error().message);
      return;
    }
    host_.setWayOut(egress_.address, server());
    host_.setResolvers(egress_.dns);
    host_.setRung("tunnel", RungState::ok, toString(egress_.address));
    lookLater(PeerLiveness::kBusy);
  }

  EgressHost& host_;
  const RouterSpec& spec_;
  const WireGuardEgress& egress_;
  IfName device_;
  Keys keys_;
  NetnsFd egressNs_;
  TunnelPath path_;
  LinkWatch watch_;
  std::unique_ptr<ServiceRunner> go_;
  LineSocket uapi_;
  Awaiting awaiting_ = Awaiting::nothing;
  PeerCounters counters_;                 // from the answer that is being read
  std::optional<PeerLiveness> liveness_;  // since the last handshake
  Timer lookTimer_;
  milliseconds pause_{0};
  std::chrono::steady_clock::time_point began_;  // to wait for a handshake
};

}  // namespace

std::unique_ptr<Egress> makeWireGuardEgress(EgressHost& host, const WireGuardEgress& egress) {
  return std::make_unique<WireGuardDriver>(host, egress);
}

}  // namespace orrery
