// Two networks on a machine of their own (tests/system/engine/machine.h): network0, in which the
// hostile program takes the place of every service, and network1, the neighbour, whose services are
// real.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "routers/services/service_spec.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/programs.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/process/spawn.h"
#include "tests/hostile/table.h"
#include "tests/system/engine/supervised.h"

namespace orrery::test {

// A listening unix socket; a name that starts with a zero byte is abstract.
UniqueFd listenAt(const std::string& name, const std::string& netns = "");

// Covers a program by the hostile one as long as it lives.
class InPlaceOf {
 public:
  explicit InPlaceOf(std::string program);
  ~InPlaceOf();
  InPlaceOf(const InPlaceOf&) = delete;
  InPlaceOf& operator=(const InPlaceOf&) = delete;

 private:
  std::string program_;
};

struct Victim {
  hostile::Column column;
  RouterId router;
  ServiceKind kind;
};
const std::vector<Victim>& victims();
std::vector<Victim> runningVictims();  // without wireguard-go where the kernel has WireGuard
const Victim& leaseHelper();           // which udhcpc runs in its own sandbox

// A service's own sandbox, with its own program.
class Jail {
 public:
  explicit Jail(const Victim& victim);
  struct End {
    std::string output;
    std::string how;  // toText(ExitStatus)
    std::vector<ToldCall> told;
  };
  // Starts the program with other arguments, as the supervisor would, and waits for its end. What
  // its profile kills for is killed for: the process that made the call, which is all of the
  // service where that cannot fork.
  End run(const std::vector<std::string>& arguments, bool filtered = true);
  const ServiceSpec& service() const { return service_; }

 private:
  RouterSpec spec_;
  ProgramPaths programs_;
  ServiceSpec service_;
  CgroupTree cgroups_;
};

class Hostile : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Has the definition of network0 limit CPU time in place of CPUs.
  static void setCpuQuota(const std::string& quota);
  // Spawns network0 with the hostile program in the place of all services.
  void spawnVictims();
  static std::string logPath(const Victim& victim);
  // Until the service's log has that word at the start of a message.
  static bool awaitLog(const Victim& victim, const std::string& word);
  static ServiceState serviceState(const Victim& victim);
  // Tells the hostile program to go on.
  static void nudge(const Victim& victim);
  // That the neighbour serves: its dnsmasq answers, its supervisor too, and no process of it
  // changed.
  void expectNeighbourServes() const;
  static RouterState stateOf(const RouterId& router);

  const RouterId neighbour_{"network1", "universe0"};
  Nic nic_;
  std::vector<std::string> before_;
  RouterState neighbourState_;
  Network neighbourNetwork_;
  std::vector<std::unique_ptr<InPlaceOf>> covers_;
  std::vector<UniqueFd> abstract_;
};

}  // namespace orrery::test
