// routerctl and the real supervisors on a machine of their own: a universe with a fixed address on
// the NIC and a direct galaxy behind it, each with a real dnsmasq.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>

#include "netns/nft/nft.h"
#include "netns/observe/sockets.h"
#include "runtime/control/client.h"
#include "runtime/control/paths.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/incarnation.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/supervisor_process.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "tests/system/engine/machine.h"

namespace orrery::test {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr seconds kPatience{20};
inline constexpr const char* kDefinition = "/run/definitions/network0.toml";

inline std::string definition(const std::string& galaxyMore = "",
                              const std::string& universeLan = "10.0.0.1/24") {
  return fmt::format(R"(version = 1
network = "network0"

[router.universe0]
kind   = "universe"
uplink = {{ nic = {{ mac = "52:54:00:ab:cd:01" }}, address = "192.0.2.10/24", gateway = "192.0.2.1", dns = ["192.0.2.1"] }}
lan    = {{ address = "{}", dhcp = {{ range = ["10.0.0.2", "10.0.0.200"], lease = "9000s" }} }}

[router.galaxy3]
kind   = "galaxy"
uplink = "universe0"

[router.galaxy3.lan]
address = "10.1.4.254/24"
dhcp    = {{ range = ["10.1.4.2", "10.1.4.200"], lease = "9000s" }}
{}
[router.galaxy3.egress]
type = "direct"
)",
                     universeLan, galaxyMore);
}

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

inline std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << "exit " << o.code << "\n" << o.out << o.err;
}

class Command {
 public:
  explicit Command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), std::string(ORRERY_BINARY_DIR) + "/bin/routerctl");
    int out[2], err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
      throw std::runtime_error("pipe");
    out_.reset(out[0]);
    err_.reset(err[0]);
    const UniqueFd outEnd(out[1]), errEnd(err[1]);
    child_ = must(spawnPlain(arguments, {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
                             {{outEnd.get(), 1}, {errEnd.get(), 2}}));
  }
  Outcome wait() {
    Outcome outcome;
    outcome.out = must(readAll(out_.get()));
    outcome.err = must(readAll(err_.get()));
    outcome.code = must(waitExit(child_.pidfd)).code;
    return outcome;
  }
  void kill() { (void)must(sendSignal(child_.pidfd, SIGKILL)); }

 private:
  Child child_;
  UniqueFd out_, err_;
};

template <class... A>
Outcome routerctl(A... arguments) {
  return Command({arguments...}).wait();
}

// Wakes up at each change in a directory.
class Watch {
 public:
  explicit Watch(const std::string& directory,
                 std::uint32_t events = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE)
      : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (::inotify_add_watch(fd_.get(), directory.c_str(), events) < 0)
      throw std::runtime_error("watch " + directory);
  }
  template <class Predicate>
  bool until(Predicate predicate) {
    const auto deadline = Clock::now() + kPatience;
    while (!predicate()) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      pollfd ready{fd_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) != 1) return false;
      char buffer[4096];
      while (::read(fd_.get(), buffer, sizeof buffer) > 0) {
      }
    }
    return true;
  }

 private:
  UniqueFd fd_;
};

// What must not change while supervisors come and go.
struct Network {
  std::uint64_t inode = 0;
  std::vector<std::string> links;
  std::vector<int> indices;
  nft::Ruleset rules;
  friend bool operator==(const Network&, const Network&) = default;
};

inline Network networkOf(const std::string& netns) {
  const NetnsFd fd = must(openNetns(netns));
  Rtnl rtnl = must(Rtnl::open(fd));
  NftSocket nft = must(NftSocket::open(fd));
  Network network{must(netnsInode(fd)), linksOf(rtnl), {}, must(dumpRuleset(nft))};
  for (const Link& link : must(listLinks(rtnl))) network.indices.push_back(link.index);
  return network;
}

class Supervised : public ::testing::Test {
 protected:
  void SetUp() override {
    must(makeDirectories("/run/definitions"));
    must(writeFileAtomic(kDefinition, definition()));
    before_ = snapshot();
  }
  void TearDown() override {
    const Outcome down = routerctl("destroy", "--all");
    EXPECT_EQ(down.code, 0) << down;
    reapOrphans();
    EXPECT_TRUE(same(before_, snapshot()));
  }

  void spawn() {
    const Outcome up = routerctl("spawn", kDefinition);
    ASSERT_EQ(up.code, 0) << up;
  }

  static pid_t pidIn(const std::string& markFile) {
    const auto text = readFile(markFile);
    return text ? must(parseMark(*text)).pid : 0;
  }
  pid_t supervisor() const { return pidIn(supervisorMarkPath(galaxy_)); }
  pid_t keeper() const { return pidIn(keeperMarkPath(galaxy_)); }

  RouterState status() const {
    auto client = must(ControlClient::connect(paths_.control));
    const Json reply = must(client.request({.verb = std::string(verb::kStatus)}, after(kPatience)));
    return must(stateFromJson(reply));
  }

  // Until another supervisor than `old` says that the router is ready.
  bool awaitSuccessor(pid_t old) const {
    Watch watch(paths_.runDir);
    return watch.until([&] {
      const auto text = readFile(paths_.state);
      const auto state = text ? parseState(*text) : error("none");
      return state && state->supervisorPid != old && state->phase == RouterPhase::ready;
    });
  }

  // Both at once: neither gets to make the other anew. Services end with the supervisor.
  void killBoth() const {
    std::vector<PidFd> services;
    for (const ServiceState& service : status().services)
      services.push_back(must(openPidfd(service.pid)));
    const PidFd first = must(openPidfd(supervisor()));
    const PidFd second = must(openPidfd(keeper()));
    (void)must(sendSignal(first, SIGSTOP));
    (void)must(sendSignal(second, SIGKILL));
    ASSERT_TRUE(must(waitGone(second, kPatience)));
    (void)must(sendSignal(first, SIGKILL));
    ASSERT_TRUE(must(waitGone(first, kPatience)));
    for (const PidFd& service : services) ASSERT_TRUE(must(waitGone(service, kPatience)));
  }

  static std::vector<std::string> routerProcesses() {
    reapOrphans();
    return processes();
  }

  const RouterId galaxy_{"network0", "galaxy3"};
  const RouterId universe_{"network0", "universe0"};
  const RouterPaths paths_{galaxy_};
  Nic nic_;
  std::vector<std::string> before_;
};

}  // namespace orrery::test
