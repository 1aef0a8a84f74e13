// The host-side process of a router, from outside: starting it, finding it again, ending it.
#pragma once

#include <string>

#include "runtime/engine/kernel_world.h"
#include "sandbox/process/process.h"

namespace orrery {

// Who a pid file names. A pid alone is not enough: numbers are used again, so the start time of the
// process (field 22 of /proc/PID/stat, in clock ticks since boot) is kept beside it.
struct ProcessMark {
  pid_t pid = 0;
  std::uint64_t startTicks = 0;
  friend bool operator==(const ProcessMark&, const ProcessMark&) = default;
};
Result<ProcessMark> markOf(pid_t pid);
std::string toText(const ProcessMark& mark);
Result<ProcessMark> parseMark(std::string_view text);
// The process that the file names, if it still runs.
Result<std::optional<PidFd>> openMarked(const std::string& markFile);

std::string supervisorMarkPath(const RouterId& router);
std::string keeperMarkPath(const RouterId& router);

class SupervisorProcesses : public SupervisorControl {
 public:
  // `program` is orrery-supervisor's path.
  explicit SupervisorProcesses(std::string program) : program_(std::move(program)) {}
  Status start(const RouterId& router) override;
  Status stop(const RouterId& router) override;
  // Asks it to end without waiting: stopping many takes as long as stopping one.
  Status signalStop(const RouterId& router);
  Result<bool> running(const RouterId& router);

 private:
  std::string program_;
};

}  // namespace orrery
