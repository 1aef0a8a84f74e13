#include "tests/hostile/house.h"

#include <poll.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>

#include "netns/namespace/netns.h"
#include "netns/wireguard/wireguard.h"
#include "runtime/control/state.h"
#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/notify.h"

namespace orrery::test {
namespace {

constexpr const char* kNeighbourMac = "52:54:00:ab:cd:02";
constexpr const char* kVictims = "/run/definitions/network0.toml";
constexpr const char* kNeighbours = "/run/definitions/network1.toml";
constexpr const char* kKey = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

std::string lan(const std::string& router, const std::string& network) {
  return fmt::format(R"(
[router.{0}.lan]
address = "{1}.254/24"
dhcp    = {{ range = ["{1}.2", "{1}.200"], lease = "9000s" }}

[router.{0}.limits]
cpus   = "0"
memory = "96M"
pids   = 24
)",
                     router, network);
}

std::string galaxy(const std::string& name, const std::string& network, const std::string& egress) {
  return fmt::format(
      "\n[router.{0}]\nkind = \"galaxy\"\nuplink = \"universe0\"\n{1}\n"
      "[router.{0}.egress]\n{2}",
      name, lan(name, network), egress);
}

void writeDefinitions() {
  must(makeDirectories("/run/definitions"));
  must(writeFileAtomic("/run/definitions/plain.ovpn",
                       "client\ndev tun\nproto udp\nremote 192.0.2.77 1194\n<ca>\nX\n</ca>\n",
                       0600));
  must(writeFileAtomic("/run/definitions/plain.conf",
                       fmt::format("[Interface]\nPrivateKey = {0}\nAddress = 172.16.9.2/32\n"
                                   "[Peer]\nPublicKey = {0}\nEndpoint = 192.0.2.78:51820\n"
                                   "AllowedIPs = 0.0.0.0/0\n",
                                   kKey),
                       0600));
  const std::string universe = fmt::format(
      "version = 1\nnetwork = \"network0\"\n\n[router.universe0]\nkind = \"universe\"\n"
      "uplink = {{ nic = {{ mac = \"{}\" }} }}\n{}",
      toString(Nic::address()), lan("universe0", "10.0.0"));
  const std::string star =
      "\n[router.star0]\nkind = \"star\"\nuplink = \"universe0\"\n" + lan("star0", "10.2.2");
  must(writeFileAtomic(
      kVictims,
      universe + galaxy("galaxy0", "10.1.1", "type = \"openvpn\"\nprofile = \"plain.ovpn\"\n") +
          galaxy("galaxy1", "10.1.2", "type = \"wireguard\"\nprofile = \"plain.conf\"\n") + star));
  must(writeFileAtomic(
      kNeighbours,
      fmt::format("version = 1\nnetwork = \"network1\"\n\n[router.universe0]\nkind = \"universe\"\n"
                  "uplink = {{ nic = {{ mac = \"{}\" }}, address = \"192.0.2.10/24\", "
                  "gateway = \"192.0.2.1\", dns = [\"192.0.2.1\"] }}\n"
                  "[router.universe0.lan]\naddress = \"10.9.0.1/24\"\n"
                  "dhcp = {{ range = [\"10.9.0.2\", \"10.9.0.200\"], lease = \"9000s\" }}\n",
                  kNeighbourMac)));
}

Place& neighbourWire() {
  static Place* wire = [] {
    auto* place = new Place();  // for the life of the process, whose end removes it
    const NetnsFd here = must(openNetns(""));
    Rtnl host = must(Rtnl::open(here));
    must(createVeth(host, {.name = ifName("eth2"), .mac = mac(kNeighbourMac), .up = true},
                    {.name = ifName("wire2"),
                     .mac = mac("02:00:00:00:00:fe"),
                     .netns = &place->netns,
                     .up = true},
                    1500));
    return place;
  }();
  return *wire;
}

ServiceSpec serviceOf(const Victim& victim, const ServiceContext& at) {
  switch (victim.kind) {
    case ServiceKind::dnsmasq:
      return dnsmasqService(at);
    case ServiceKind::openvpn:
      return openvpnService(at, std::get<OpenVpnEgress>(at.spec.egress));
    case ServiceKind::wireguardGo:
      return wireguardGoService(at);
    case ServiceKind::tor:
      return torService(at);
    case ServiceKind::udhcpc:
      return udhcpcService(at);
    case ServiceKind::tproxy:
      return tproxyService(at);
  }
  throw std::runtime_error("no such service");
}

// Descriptors that a service has beside 0, 1 and 2 (runtime/supervisor/*).
std::vector<int> giftsOf(ServiceKind kind) {
  if (kind == ServiceKind::wireguardGo) return {3, 4};
  if (kind == ServiceKind::tproxy) return {3, 4, 5, 6, 7, 8};
  return {};
}

// The supervisor's part: answers what the filter hands over, by the profile, and keeps what it was
// told and what the program said in the order in which they came.
class Listening {
 public:
  Listening(SandboxedChild& child, const UniqueFd& output, std::span<const sock_filter> profile)
      : child_(child), output_(output), profile_(profile) {
    if (child.seccompListener)
      listener_.emplace(must(SeccompListener::open(std::move(child.seccompListener))));
    must(setNonBlocking(output.get()));
  }

  // Until the program has ended, and all that could write has.
  Jail::End run() {
    bool listening = listener_.has_value();
    for (bool open = true; open;) {
      pollfd ready[] = {{output_.get(), POLLIN, 0}, {listening ? listener_->fd() : -1, POLLIN, 0}};
      if (::poll(ready, 2, -1) < 0) throw std::runtime_error("poll");
      // What it said before the call that waits now.
      open = drain();
      if ((ready[1].revents & POLLIN) != 0) answer();
      listening = listening && (ready[1].revents & POLLHUP) == 0;
    }
    end_.how = toText(must(waitExit(child_.pidfd)));
    return std::move(end_);
  }

 private:
  static Status setNonBlocking(int fd) {
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return sysError(errno, "set flags");
    return {};
  }

  bool drain() {
    char text[4096];
    ssize_t n = 0;
    while ((n = ::read(output_.get(), text, sizeof text)) > 0)
      end_.output.append(text, static_cast<std::size_t>(n));
    const bool open = n < 0 && errno == EAGAIN;
    std::size_t newline = 0;
    while ((newline = end_.output.find('\n', seen_)) != std::string::npos) {
      const auto words = splitWords(std::string_view(end_.output).substr(seen_, newline - seen_));
      seen_ = newline + 1;
      if (words.size() < 2 || words[0] != "try") continue;
      for (; attributed_ < end_.told.size(); ++attributed_)
        end_.told[attributed_].attempt = std::string(words[1]);
    }
    return open;
  }

  void answer() {
    const auto pending = must(listener_->receive());
    if (!pending) return;
    const DecodedCall text = decode(*pending);
    const SeccompAction verdict = seccompActionOf(evaluate(profile_, dataOf(*pending)));
    const bool kill = verdict.kind == SeccompAction::Kind::killProcess;
    end_.told.push_back({"", text.name, text.arguments, kill});
    if (kill) {
      (void)::kill(pending->pid, SIGKILL);
      return;
    }
    const bool named = verdict.kind == SeccompAction::Kind::errnoValue;
    (void)must(listener_->answerError(pending->id, named ? verdict.err : EPERM));
  }

  SandboxedChild& child_;
  const UniqueFd& output_;
  std::span<const sock_filter> profile_;
  std::optional<SeccompListener> listener_;
  Jail::End end_;
  std::size_t seen_ = 0;        // bytes of the output
  std::size_t attributed_ = 0;  // told calls whose attempt is known
};

std::uint32_t idBaseOf(const RouterId& router) {
  return kFirstId + must(readPlacement(router)).idSlot * kIdsPerRouter;
}

}  // namespace

UniqueFd listenAt(const std::string& name, const std::string& netns) {
  UniqueFd fd = must(socketIn(must(openNetns(netns)), AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(fd.get(), 4) != 0)
    throw std::runtime_error("listen at " + name);
  return fd;
}

InPlaceOf::InPlaceOf(std::string program) : program_(std::move(program)) {
  if (::mount(ORRERY_HOSTILE, program_.c_str(), nullptr, MS_BIND, nullptr) != 0)
    throw std::runtime_error("cover " + program_ + ": " + std::strerror(errno));
}
InPlaceOf::~InPlaceOf() {
  (void)::umount2(program_.c_str(), MNT_DETACH);
}

const std::vector<Victim>& victims() {
  static const std::vector<Victim> all = {
      {hostile::kDnsmasq, {"network0", "universe0"}, ServiceKind::dnsmasq},
      {hostile::kOpenvpn, {"network0", "galaxy0"}, ServiceKind::openvpn},
      {hostile::kWireguardGo, {"network0", "galaxy1"}, ServiceKind::wireguardGo},
      {hostile::kTor, {"network0", "star0"}, ServiceKind::tor},
      {hostile::kUdhcpc, {"network0", "universe0"}, ServiceKind::udhcpc},
      {hostile::kTproxy, {"network0", "star0"}, ServiceKind::tproxy}};
  return all;
}

std::vector<Victim> runningVictims() {
  std::vector<Victim> running = victims();
  if (must(kernelHasWireGuard()))
    std::erase_if(running, [](const Victim& v) { return v.kind == ServiceKind::wireguardGo; });
  return running;
}

const Victim& leaseHelper() {
  static const Victim helper{hostile::kLease, {"network0", "universe0"}, ServiceKind::udhcpc};
  return helper;
}

Jail::Jail(const Victim& victim)
    : spec_(must(readSpec(victim.router))),
      programs_(programPaths(must(readPlacement(victim.router)).libexec)),
      service_(serviceOf(victim, ServiceContext{spec_, programs_, idBaseOf(victim.router)})),
      cgroups_(must(CgroupTree::probe())) {
  service_.sandbox.argv.resize(1);
  if (victim.column == hostile::kLease) service_.sandbox.argv[0] = "/usr/libexec/orrery-lease";
}

Jail::End Jail::run(const std::vector<std::string>& arguments, bool filtered) {
  SandboxSpec sandbox = service_.sandbox;
  rlimit files{};  // as the service runner: raising the hard limit needs a capability
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0)
    sandbox.limits.openFiles = std::min<std::uint64_t>(sandbox.limits.openFiles, files.rlim_max);
  sandbox.argv.insert(sandbox.argv.end(), arguments.begin(), arguments.end());
  const auto profile = must(embeddedProfile(sandbox.seccomp));
  std::optional<NetnsFd> netns;
  if (service_.netns) netns = must(openNetns(*service_.netns));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const UniqueFd null = must(openFile("/dev/null", O_RDWR));

  SpawnRequest request{.spec = sandbox};
  request.netns = netns ? &*netns : nullptr;
  if (filtered) {
    request.filter = must(embeddedReportingProfile(sandbox.seccomp));
    request.wantSeccompListener = true;
  }
  request.cgroups = &cgroups_;
  request.landlock = true;
  request.fds = {{writer.get(), 1}, {writer.get(), 2}};
  for (const int number : giftsOf(service_.kind)) request.fds.emplace_back(null.get(), number);
  SandboxedChild child = must(spawnSandboxed(request));
  writer.reset();
  return Listening(child, reader, profile).run();
}

void Hostile::SetUp() {
  (void)neighbourWire();
  writeDefinitions();
  before_ = snapshot();
  const Outcome up = routerctl("spawn", kNeighbours);
  ASSERT_EQ(up.code, 0) << up;
  neighbourState_ = stateOf(neighbour_);
  neighbourNetwork_ = networkOf(neighbour_.text());
}

void Hostile::TearDown() {
  const Outcome down = routerctl("destroy", "--all");
  EXPECT_EQ(down.code, 0) << down;
  covers_.clear();
  reapOrphans();
  writeDefinitions();  // setCpuQuota() has changed one
  EXPECT_TRUE(same(before_, snapshot()));
}

void Hostile::setCpuQuota(const std::string& quota) {
  std::string text = must(readFile(kVictims));
  const std::string pin = "cpus   = \"0\"\n";
  for (std::size_t at = 0; (at = text.find(pin, at)) != std::string::npos;)
    text.replace(at, pin.size(), fmt::format("cpu_quota = \"{}\"\n", quota));
  must(writeFileAtomic(kVictims, text));
}

void Hostile::spawnVictims() {
  for (const std::string& program :
       {std::string("/usr/sbin/dnsmasq"), std::string("/usr/sbin/openvpn"),
        std::string("/usr/bin/wireguard-go"), std::string("/usr/bin/tor"),
        std::string("/usr/bin/busybox"), std::string(ORRERY_BINARY_DIR) + "/bin/orrery-tproxy",
        std::string(ORRERY_BINARY_DIR) + "/bin/orrery-lease"})
    covers_.push_back(std::make_unique<InPlaceOf>(program));
  const Outcome up = routerctl("spawn", "--no-wait", kVictims);
  ASSERT_EQ(up.code, 0) << up;
  // Somebody else of the same network namespace.
  for (const char* name :
       {"universe0", "galaxy0", "galaxy0.egress", "galaxy1.egress", "star0.egress"})
    abstract_.push_back(
        listenAt(std::string("\0hostile-test", 13), std::string("network0.") + name));
  for (const Victim& victim : runningVictims())
    ASSERT_TRUE(awaitLog(victim, "ready .")) << hostile::kColumnNames[victim.column];
}

std::string Hostile::logPath(const Victim& victim) {
  return RouterPaths(victim.router).log(toString(victim.kind));
}

bool Hostile::awaitLog(const Victim& victim, const std::string& word) {
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string directory = RouterPaths(victim.router).logDir;
  must(makeDirectories(directory));
  if (::inotify_add_watch(watch.get(), directory.c_str(), IN_CREATE | IN_MODIFY) < 0) return false;
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const auto text = readFile(logPath(victim), 4 << 20);
    if (text && text->find(word) != std::string::npos) return true;
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    pollfd ready{watch.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) != 1) return false;
    char buffer[4096];
    while (::read(watch.get(), buffer, sizeof buffer) > 0) {
    }
  }
}

RouterState Hostile::stateOf(const RouterId& router) {
  const auto deadline = Clock::now() + kPatience;
  auto connected = ControlClient::connect(RouterPaths(router).control);
  // EAGAIN: a queue of others is before us.
  while (!connected && connected.error().err == EAGAIN && Clock::now() < deadline) {
    (void)::sched_yield();
    connected = ControlClient::connect(RouterPaths(router).control);
  }
  auto client = must(std::move(connected));
  const Json reply = must(client.request({.verb = std::string(verb::kStatus)}, after(kPatience)));
  return must(stateFromJson(reply));
}

ServiceState Hostile::serviceState(const Victim& victim) {
  for (const ServiceState& service : stateOf(victim.router).services)
    if (service.name == toString(victim.kind)) return service;
  throw std::runtime_error(fmt::format("no {}", toString(victim.kind)));
}

void Hostile::nudge(const Victim& victim) {
  must(sendSignal(must(openPidfd(serviceState(victim).pid)), SIGUSR1));
}

void Hostile::expectNeighbourServes() const {
  const RouterState now = stateOf(neighbour_);
  EXPECT_EQ(now.phase, RouterPhase::ready) << now.reason;
  EXPECT_EQ(now.supervisorPid, neighbourState_.supervisorPid);
  ASSERT_EQ(now.services.size(), 1u);
  EXPECT_EQ(now.services[0].pid, neighbourState_.services[0].pid);
  EXPECT_EQ(now.services[0].restarts, 0u);
  EXPECT_EQ(networkOf(neighbour_.text()), neighbourNetwork_);
  // "What version are you?" (CHAOS TXT version.bind) is answered by dnsmasq itself.
  const std::string question(
      "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07version\x04"
      "bind\x00\x00\x10\x00\x03",
      30);
  const UniqueFd socket =
      must(socketIn(must(openNetns(neighbour_.text())), AF_INET, SOCK_DGRAM, 0));
  const sockaddr_in server = endpoint("10.9.0.1", 53);
  ASSERT_EQ(::sendto(socket.get(), question.data(), question.size(), 0,
                     reinterpret_cast<const sockaddr*>(&server), sizeof server),
            static_cast<ssize_t>(question.size()));
  pollfd ready{socket.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, static_cast<int>(milliseconds(kPatience).count())), 1)
      << "dnsmasq of the neighbour does not answer";
}

}  // namespace orrery::test
