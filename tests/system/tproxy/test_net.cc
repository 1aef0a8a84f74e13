#include "test_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "runtime/tproxy/listeners.h"
#include "sandbox/base/file.h"
#include "tests/system/netns_fixture.h"

namespace orrery::tproxy::testing {
namespace {

void require(bool condition, const std::string& what) {
  if (condition) return;
  ADD_FAILURE() << "test set-up: " << what;
  std::abort();
}

std::string pathOf(const NetnsFd& ns) {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ns.get());
}

NetnsFd makeNetns() {
  auto made = createNetns();
  require(made.has_value(), "namespace");
  return std::move(*made);
}

void set(const NetnsFd& ns, const std::vector<std::string>& argv, const std::string& input) {
  const Output out = runIn(ns, argv, input);
  require(out.status == 0, argv[0] + ": " + out.text);
}

constexpr const char* kRules = R"(
table ip t {
  chain pre {
    type filter hook prerouting priority mangle; policy accept;
    iifname != "br0" accept
    tcp dport 53 tproxy to :5354 meta mark set 1 accept
    meta l4proto tcp tproxy to :9040 meta mark set 1 accept
    udp dport 53 tproxy to :5353 meta mark set 1 accept
    drop
  }
  chain forward { type filter hook forward priority 0; policy drop; }
}
)";

}  // namespace

Output runIn(const NetnsFd& ns, const std::vector<std::string>& argv, const std::string& input) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  require(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0, "pipe");
  std::vector<char*> args;
  for (const std::string& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::dup2(out[1], 2);
    if (::setns(ns.get(), CLONE_NEWNET) == 0) ::execvp(args[0], args.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  require(writeAll(in[1], input).has_value(), "write to " + argv[0]);
  ::close(in[1]);
  Output result;
  result.text = readAll(out[0]).value_or("");
  ::close(out[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

TestNet::TestNet() : clients{makeNetns(), makeNetns()}, lan(makeNetns()), empty(makeNetns()) {
  std::string links = "link set lo up\nlink add br0 type bridge\naddr add 10.2.2.254/24 dev br0\n";
  for (int i = 0; i < 2; ++i) {
    const std::string port = "c" + std::to_string(i);
    links += "link add " + port + " type veth peer name eth0 netns " + pathOf(clients[i]) +
             "\nlink set " + port + " master br0 up\n";
  }
  links +=
      "link set br0 up\nrule add fwmark 1 lookup 100\nroute add local 0.0.0.0/0 dev lo table 100\n";
  set(lan, {"ip", "-batch", "-"}, links);
  set(lan, {"nft", "-f", "-"}, kRules);
  require(setSysctls(lan, {{"ipv4/conf/all/rp_filter", "0"}, {"ipv4/conf/br0/rp_filter", "0"}})
              .has_value(),
          "sysctl");
  test::bridgeNetfilterOff(lan);
  for (int i = 0; i < 2; ++i) {
    set(clients[i], {"ip", "-batch", "-"},
        "link set lo up\nlink set eth0 up\naddr add 10.2.2." + std::to_string(i + 1) +
            "/24 dev eth0\nroute add default via 10.2.2.254\n");
  }
}

ProxyProcess::ProxyProcess(const NetnsFd& lan, const NetnsFd& home, const Config& config,
                           std::uint64_t openFiles) {
  auto listeners = openListeners(lan);
  require(listeners.has_value(), listeners ? "" : listeners.error().message);
  std::array<int, 2> pair{};
  std::array<int, 2> json{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0, "socketpair");
  require(::pipe2(json.data(), O_CLOEXEC) == 0, "pipe");
  const std::array<int, 6> fds = {listeners->tcp.get(),
                                  listeners->dnsUdp.get(),
                                  listeners->dnsReply.get(),
                                  listeners->dnsTcp.get(),
                                  json[0],
                                  pair[1]};
  const std::array<const char*, 14> argv = {
      ORRERY_TPROXY, "--listen-tcp", "200",      "--dns-udp", "201",       "--dns-reply", "202",
      "--dns-tcp",   "203",          "--config", "204",       "--control", "205",         nullptr};
  pid_ = ::fork();
  if (pid_ == 0) {
    for (std::size_t i = 0; i < fds.size(); ++i) ::dup2(fds[i], 200 + static_cast<int>(i));
    const rlimit limit{openFiles, openFiles};
    if (openFiles != 0) ::setrlimit(RLIMIT_NOFILE, &limit);
    if (::setns(home.get(), CLONE_NEWNET) == 0) {
      ::execv(argv[0], const_cast<char* const*>(argv.data()));
    }
    ::_exit(127);
  }
  ::close(json[0]);
  ::close(pair[1]);
  require(writeAll(json[1], toJson(config)).has_value(), "write the configuration");
  ::close(json[1]);
  control_.reset(pair[0]);
  require(line() == nlohmann::json{{"event", "ready"}}, "proxy is not ready");
}

ProxyProcess::~ProxyProcess() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

int ProxyProcess::closeControl() {
  control_.reset();
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

nlohmann::json ProxyProcess::line() {
  for (;;) {
    if (const auto end = received_.find('\n'); end != std::string::npos) {
      const auto json = nlohmann::json::parse(received_.substr(0, end), nullptr, false);
      received_.erase(0, end + 1);
      return json;
    }
    pollfd waiting{control_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 10'000) != 1) return {};
    std::array<char, 8192> buffer;
    const ssize_t n = ::recv(control_.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) return {};
    received_.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

nlohmann::json ProxyProcess::ask(const std::string& request) {
  require(sendText(control_.get(), request + "\n"), "control");
  for (;;) {
    nlohmann::json answer = line();
    if (!answer.contains("event")) return answer;
    events_.push_back(std::move(answer));
  }
}

nlohmann::json ProxyProcess::event() {
  if (events_.empty()) return line();
  nlohmann::json first = events_.front();
  events_.erase(events_.begin());
  return first;
}

bool ProxyProcess::statsBecome(const std::function<bool(const nlohmann::json&)>& holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds(stats())) return true;
    waitFor(std::chrono::milliseconds(10));
  }
  return false;
}

std::uint64_t ProxyProcess::contextSwitches() const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string word; status >> word;) {
    if (word != "voluntary_ctxt_switches:") continue;
    std::uint64_t count = 0;
    status >> count;
    return count;
  }
  return 0;
}

std::size_t ProxyProcess::pipes() const {
  std::set<std::string> ends;  // both ends of a pipe have one name
  for (const auto& fd :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/fd")) {
    std::error_code gone;
    const std::string name = std::filesystem::read_symlink(fd.path(), gone).string();
    if (name.rfind("pipe:", 0) == 0) ends.insert(name);
  }
  return ends.size();
}

std::chrono::nanoseconds ProxyProcess::processorTime() const {
  std::ifstream statistics("/proc/" + std::to_string(pid_) + "/schedstat");
  std::chrono::nanoseconds::rep onProcessor = 0;
  statistics >> onProcessor;
  return std::chrono::nanoseconds(onProcessor);
}

TorNet::TorNet(Limits limits, std::uint64_t openFiles) {
  std::string name = "/tmp/orrery-tproxy-XXXXXX";
  require(::mkdtemp(name.data()) != nullptr, "directory");
  directory = name;
  tor.emplace(directory + "/socks");
  Config config{.upstream = UnixUpstream{directory + "/socks"},
                .lan = *parsePrefix4("10.2.2.254/24"),
                .limits = limits};
  proxy.emplace(net.lan, net.empty, config, openFiles);
}

TorNet::~TorNet() {
  proxy.reset();
  tor.reset();
  (void)removeTree(directory);
}

UniqueFd dialFrom(const NetnsFd& client, const std::string& address, std::uint16_t port) {
  auto made = socketIn(client, AF_INET, SOCK_STREAM, 0);
  require(made.has_value(), "socket");
  const timeval limit{10, 0};
  ::setsockopt(made->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(made->get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  if (::connect(made->get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) return {};
  return std::move(*made);
}

bool sendText(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string receiveSome(int fd, std::size_t n) {
  std::string text(n, '\0');
  const ssize_t got = ::recv(fd, text.data(), n, MSG_WAITALL);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

std::string receiveAll(int fd) {
  std::string all;
  for (std::string some; !(some = receiveSome(fd, 65536)).empty();) all += some;
  return all;
}

int nextReadError(int fd) {
  char byte = 0;
  const ssize_t n = ::recv(fd, &byte, 1, 0);
  if (n > 0) return -1;
  return n == 0 ? 0 : errno;
}

int fateOf(const UniqueFd& connection) {
  return connection ? nextReadError(connection.get()) : ECONNRESET;
}

void waitFor(std::chrono::milliseconds time) {
  const UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  itimerspec when{};
  when.it_value.tv_sec = time.count() / 1000;
  when.it_value.tv_nsec = (time.count() % 1000) * 1'000'000;
  ::timerfd_settime(timer.get(), 0, &when, nullptr);
  std::uint64_t expirations = 0;
  (void)!::read(timer.get(), &expirations, sizeof(expirations));
}

}  // namespace orrery::tproxy::testing
