// The host-side process of a router, from outside: starting it, finding it again, ending it.
//
// Between the death of a supervisor and that of its keeper there are moments when neither is
// written down yet under its new part. So each start gives out an incarnation: a word in a file,
// known to the supervisor, its keeper and their successors. A successor whose word is not in the
// file any more ends before it has done anything; to withdraw the word is to end them all, wherever
// they are.
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
// The process that the file names, if it still runs (one that has ended and is not reaped does
// not).
Result<std::optional<PidFd>> openMarked(const std::string& markFile);

std::string supervisorMarkPath(const RouterId& router);
std::string keeperMarkPath(const RouterId& router);
std::string incarnationPath(const RouterId& router);
// The word of the present incarnation; "" if there is none.
Result<std::string> readIncarnation(const RouterId& router);

class SupervisorProcesses : public SupervisorControl {
 public:
  // `program` is orrery-supervisor's path.
  explicit SupervisorProcesses(std::string program) : program_(std::move(program)) {}
  // Fails if one runs. After a failure nothing of it is left.
  Status start(const RouterId& router) override;
  Status stop(const RouterId& router) override;
  // Asks it to end without waiting: stopping many takes as long as stopping one.
  Status signalStop(const RouterId& router);
  Result<bool> running(const RouterId& router);

 private:
  Status launch(const RouterId& router);

  std::string program_;
};

}  // namespace orrery
