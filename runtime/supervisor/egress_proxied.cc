// Egress without a packet path: connections cross as bytes through tproxy, to Tor's SOCKS port on a
// unix socket, or to a SOCKS5 server.
#include <algorithm>
#include <cstdint>

#include "netns/namespace/netns.h"
#include "routers/egress/tunnel_facts.h"
#include "runtime/supervisor/egress_drivers.h"
#include "runtime/supervisor/tor_data.h"
#include "runtime/supervisor/tproxy_service.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

tproxy::Config proxyConfig(const RouterSpec& spec) {
  tproxy::Config config;
  config.names = spec.dns.names;
  config.lan = spec.lan.address;
  constexpr std::uint64_t kPipeBytes = 256 << 10;  // runtime/tproxy/relay/pipe_pool.cc
  constexpr std::uint32_t kNoRate = 1 << 20;       // more queries than the proxy could answer
  const ClientLimits& client = spec.clientLimits;
  tproxy::Limits& limits = config.limits;
  limits.perClient =
      client.proxiedConnections != 0 ? client.proxiedConnections : limits.connections;
  limits.pipesPerClient = client.proxiedBuffers != 0
                              ? static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                    client.proxiedBuffers / kPipeBytes, limits.pipes))
                              : limits.pipes;
  limits.dnsRate = client.dnsQueries != 0 ? client.dnsQueries : kNoRate;
  limits.dnsBurst = std::min(limits.dnsRate * kBurstSeconds, kNoRate);
  return config;
}

void reportProxy(EgressHost& host, bool running) {
  host.setRung("proxy", running ? RungState::ok : RungState::failed,
               running ? "tproxy serves" : "tproxy does not run");
}

// --- Tor -----------------------------------------------------------------------------------------

class TorDriver : public Egress, public ServiceOwner {
 public:
  explicit TorDriver(EgressHost& host)
      : host_(host),
        spec_(host.context().spec),
        data_(host.context()),
        tor_(host.surroundings(), torService(host.context()), *this),
        proxy_(host, torConfig(spec_), [&host](bool running) { reportProxy(host, running); }) {}

  std::vector<std::string> rungs() const override { return {"carrier", "proxy", "bootstrap"}; }

  Status start() override {
    ORRERY_TRY(watchUplink(host_, watch_, [this](bool there) {
      if (!there) proxy_.cut("the uplink has no carrier");
    }));
    ORRERY_TRY_ASSIGN(const bool fresh, data_.open());
    if (fresh) tellFailure("state-not-read", data_.fill());
    tor_.start();
    proxy_.start();
    return {};
  }
  void stop() override {
    control_.close();
    proxy_.stop();
    tor_.stop(std::chrono::milliseconds(1500));  // it writes its guards
    tellFailure("state-not-kept", data_.keepAll());
  }
  std::vector<const ServiceRunner*> services() const override { return {&tor_, &proxy_.runner()}; }
  ServiceRunner* find(std::string_view service) override {
    if (tor_.state().name == service) return &tor_;
    return proxy_.runner().state().name == service ? &proxy_.runner() : nullptr;
  }
  Status renew() override {
    if (!control_) return sysError(ENOTCONN, "tor is not up");
    ORRERY_TRY(control_.send("SIGNAL NEWNYM\r\n"));
    return proxy_.renew();
  }

 private:
  static tproxy::Config torConfig(const RouterSpec& spec) {
    tproxy::Config config = proxyConfig(spec);
    config.upstream = tproxy::UnixUpstream{"/tor/socks"};
    config.isolation = true;
    return config;
  }

  Result<std::vector<Gift>> prepareService(ServiceRunner&) override { return std::vector<Gift>{}; }
  void serviceStarted(ServiceRunner&) override { host_.setProgress(0, "Tor: starting"); }

  void serviceLine(ServiceRunner&, std::string_view line) override {
    // tor says on its standard output when its control socket is there.
    if (!control_ && line.find("Opened Control listener connection (ready)") != line.npos)
      if (Status connected = connectControl(); !connected)
        host_.setRung("bootstrap", RungState::failed, connected.error().message);
    if (line.find("[err]") != line.npos) lastError_ = std::string(line.substr(line.find("[err]")));
    lookForRoomSoon();
  }

  void tellFailure(const char* event, const Status& done) {
    if (!done) host_.note(Severity::warning, "tor", event, {{"why", done.error().message}});
  }

  // tor writes them up to half a minute after it has said that they changed.
  void keepGuardsSoon() {
    constexpr std::chrono::seconds kSoon{60};
    if (keeping_) return;
    keeping_ = keepTimer_
                   .start(host_.surroundings().base, kSoon,
                          [this] {
                            keeping_ = false;
                            tellFailure("state-not-kept", data_.keepGuards());
                          })
                   .has_value();
  }

  // The kernel tells nobody that a tmpfs is full; but who fills one says something, or ends.
  void lookForRoomSoon() {
    constexpr std::chrono::seconds kSoon{1};
    if (looking_) return;
    looking_ = lookTimer_
                   .start(host_.surroundings().base, kSoon,
                          [this] {
                            looking_ = false;
                            lookForRoom();
                          })
                   .has_value();
  }

  void lookForRoom() {
    const bool full = data_.full();
    if (full && !toldFull_)
      host_.note(Severity::warning, "tor", "data-full",
                 {{"what", "its data directory is full: it keeps nothing more"}});
    toldFull_ = full;
  }

  Status connectControl() {
    ORRERY_TRY_ASSIGN(UniqueFd fd, connectTo(torControlSocket(spec_.id),
                                             hostUser(host_.context().idBase, ServiceKind::tor)));
    ORRERY_TRY(control_.start(
        host_.surroundings().base, std::move(fd), [this](std::string_view line) { take(line); },
        [] {}));
    return control_.send(
        "AUTHENTICATE\r\nSETEVENTS STATUS_CLIENT GUARD\r\nGETINFO status/bootstrap-phase\r\n");
  }

  void take(std::string_view line) {
    if (line.starts_with("650 GUARD")) keepGuardsSoon();
    const auto progress = parseTorBootstrap(line);
    if (!progress) return;
    host_.setProgress(static_cast<unsigned>(progress->percent), "Tor: " + progress->summary);
    if (progress->percent == 100)
      host_.setRung("bootstrap", RungState::ok, "100%");
    else
      host_.setRung("bootstrap", RungState::pending,
                    fmt::format("{}% {}", progress->percent, progress->summary));
  }

  void serviceEnded(ServiceRunner&, const std::string& how) override {
    control_.close();
    proxy_.cut("tor ended");
    tellFailure("state-not-kept", data_.keepGuards());
    lookForRoom();
    host_.setRung("bootstrap", RungState::failed,
                  "tor ended: " + (lastError_.empty() ? how : how + ": " + lastError_));
  }

  EgressHost& host_;
  const RouterSpec& spec_;
  LinkWatch watch_;
  TorData data_;
  ServiceRunner tor_;
  TproxyService proxy_;
  LineSocket control_;
  Timer keepTimer_;
  bool keeping_ = false;
  Timer lookTimer_;
  bool looking_ = false;
  bool toldFull_ = false;
  std::string lastError_;
};

// --- SOCKS5 --------------------------------------------------------------------------------------

// Ready when tproxy serves: whether the server answers is what the clients' own connections show. A
// connection of ours beforehand would tell the server, and who watches it, that a router is there
// before anybody uses it, and would say nothing about the next minute; watching it would be traffic
// for ever.
class Socks5Driver : public Egress {
 public:
  Socks5Driver(EgressHost& host, const Endpoint& server, tproxy::Config config)
      : host_(host),
        server_(server),
        proxy_(
            host, std::move(config), [&host](bool running) { reportProxy(host, running); },
            [this](bool reachable, const std::string& why) { reportServer(reachable, why); }) {}

  std::vector<std::string> rungs() const override { return {"carrier", "proxy"}; }
  Status start() override {
    ORRERY_TRY(watchUplink(host_, watch_, [this](bool there) {
      if (!there) proxy_.cut("the uplink has no carrier");
    }));
    host_.setWayOut(std::nullopt, server_);
    proxy_.start();
    return {};
  }
  void stop() override { proxy_.stop(); }
  std::vector<const ServiceRunner*> services() const override { return {&proxy_.runner()}; }
  ServiceRunner* find(std::string_view service) override {
    return proxy_.runner().state().name == service ? &proxy_.runner() : nullptr;
  }
  Status renew() override { return proxy_.renew(); }

 private:
  void reportServer(bool reachable, const std::string& why) {
    const std::string server = fmt::format("{}:{}", toString(server_.address), server_.port);
    if (reachable)
      host_.setRung("proxy", RungState::ok, server + " answers");
    else
      host_.setRung("proxy", RungState::failed, fmt::format("{} does not: {}", server, why));
  }

  EgressHost& host_;
  Endpoint server_;
  LinkWatch watch_;
  TproxyService proxy_;
};

Result<tproxy::Credentials> readCredentials(const std::string& path) {
  ORRERY_TRY_ASSIGN(const std::string text, readFile(path, 4096));
  const auto lines = split(text, '\n');
  if (lines.size() < 2) return error("'{}' has no two lines: user, password", path);
  return tproxy::Credentials{std::string(trim(lines[0])), std::string(trim(lines[1]))};
}

// Stands for a driver that could not be made; says why and fails its rung.
class BrokenEgress : public Egress {
 public:
  BrokenEgress(EgressHost& host, Error why) : host_(host), why_(std::move(why)) {}
  std::vector<std::string> rungs() const override { return {"proxy"}; }
  Status start() override {
    host_.fail("proxy", why_.message);
    return {};
  }
  void stop() override {}
  std::vector<const ServiceRunner*> services() const override { return {}; }
  ServiceRunner* find(std::string_view) override { return nullptr; }
  Status renew() override { return tl::unexpected<Error>(why_); }

 private:
  EgressHost& host_;
  Error why_;
};

}  // namespace

std::unique_ptr<Egress> makeTorEgress(EgressHost& host) {
  return std::make_unique<TorDriver>(host);
}

std::unique_ptr<Egress> makeSocks5Egress(EgressHost& host, const Socks5Egress& egress) {
  tproxy::Config config = proxyConfig(host.context().spec);
  config.isolation = false;
  tproxy::TcpUpstream upstream;
  upstream.address = egress.server.address;
  upstream.port = egress.server.port;
  if (egress.auth) {
    auto credentials = readCredentials(*egress.auth);
    if (!credentials) return std::make_unique<BrokenEgress>(host, std::move(credentials).error());
    upstream.credentials = std::move(*credentials);
  }
  config.upstream = std::move(upstream);
  return std::make_unique<Socks5Driver>(host, egress.server, std::move(config));
}

}  // namespace orrery
