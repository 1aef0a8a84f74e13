// Throw-away namespaces for the proxy: two clients, a LAN with bridge and tproxy rules, an empty
// one for the proxy. Set up with the `ip` and `nft` tools; gone with the object.
//
//   client 10.2.2.1 ──┐
//                     ├── br0 10.2.2.254 (lan) ··sockets·· orrery-tproxy (empty) ··unix·· FakeTor
//   client 10.2.2.2 ──┘
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "fake_tor.h"
#include "netns/namespace/netns.h"
#include "runtime/tproxy/config.h"
#include "sandbox/base/fd.h"

namespace orrery::tproxy::testing {

struct Output {
  int status = -1;
  std::string text;
};
// Runs a program inside a namespace with `input` on stdin; returns its stdout and stderr.
Output runIn(const NetnsFd& ns, const std::vector<std::string>& argv,
             const std::string& input = {});

class TestNet {
 public:
  TestNet();
  NetnsFd clients[2];
  NetnsFd lan;
  NetnsFd empty;
};

class ProxyProcess {
 public:
  // `openFiles` 0: as inherited. Returns when the proxy says that it is ready.
  ProxyProcess(const NetnsFd& lan, const NetnsFd& home, const Config& config,
               std::uint64_t openFiles = 0);
  ~ProxyProcess();
  ProxyProcess(const ProxyProcess&) = delete;
  ProxyProcess& operator=(const ProxyProcess&) = delete;

  pid_t pid() const { return pid_; }
  nlohmann::json ask(const std::string& line);  // skips events
  nlohmann::json stats() { return ask(R"({"stats":true})").at("stats"); }
  // The next event that comes unasked.
  nlohmann::json event();
  // Asks until the statistic holds, at most ten seconds.
  bool statsBecome(const std::function<bool(const nlohmann::json&)>& holds);
  std::uint64_t contextSwitches() const;  // voluntary ones: each wake-up ends in one
  std::chrono::nanoseconds processorTime() const;
  std::size_t pipes() const;  // that it has open
  int closeControl();         // returns the exit status

 private:
  nlohmann::json line();

  pid_t pid_ = -1;
  UniqueFd control_;
  std::string received_;
  std::vector<nlohmann::json> events_;
};

// Everything for a test against FakeTor.
class TorNet {
 public:
  explicit TorNet(Limits limits = {}, std::uint64_t openFiles = 0);
  ~TorNet();

  std::string directory;
  TestNet net;
  std::optional<FakeTor> tor;
  std::optional<ProxyProcess> proxy;
};

// A socket of a client, connected (the proxy's listener accepts at once, so that is no proof of
// anything further). Blocking, with a time limit of 10 s on each call.
UniqueFd dialFrom(const NetnsFd& client, const std::string& address, std::uint16_t port);
bool sendText(int fd, std::string_view text);
std::string receiveAll(int fd);                  // to the end
std::string receiveSome(int fd, std::size_t n);  // n bytes, fewer at the end
// errno of the next read: ECONNRESET, 0 at an orderly end, -1 if bytes came.
int nextReadError(int fd);
// The same for a connection that may have been reset before connect() returned.
int fateOf(const UniqueFd& connection);
void waitFor(std::chrono::milliseconds time);  // on a timer descriptor

}  // namespace orrery::tproxy::testing
