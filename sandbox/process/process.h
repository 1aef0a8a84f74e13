// Processes by pidfd, never by number: signals, waiting, ending, and starting a plain program.
//
// Callers: runtime/ (supervisor, routerctl). Needs no privilege beyond that over the target.
// Linux 5.4 (P_PIDFD). A pidfd polls readable when its process has ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// How a process ended.
struct ExitStatus {
  int code = 0;    // exit status, 0 if a signal ended it
  int signal = 0;  // number, 0 if it exited by itself
  bool dumpedCore = false;
  bool ok() const { return code == 0 && signal == 0; }
  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};
// "exit 0", "exit 3", "killed by SIGKILL", "killed by SIGSYS (core dumped)"
std::string toText(const ExitStatus& status);

// `pid` must be known to be alive or an unreaped child, else the number may be another's. Err
// ESRCH: no process has it.
Result<PidFd> openPidfd(pid_t pid);

// A process that has ended already is not an error: false is returned.
Result<bool> sendSignal(const PidFd& process, int signal);

// Waits for a child and reaps it. EINTR is retried.
Result<ExitStatus> waitExit(const PidFd& child);
// Nothing after `timeout` if it still runs; zero asks without waiting.
Result<std::optional<ExitStatus>> waitExitTimeout(const PidFd& child,
                                                  std::chrono::milliseconds timeout);
// Waits for any process, also one that is not our child; does not reap. False: still running.
Result<bool> waitGone(const PidFd& process, std::chrono::milliseconds timeout);

// SIGTERM, up to `grace` of waiting, SIGKILL, and reaping. The first process of a pid namespace
// ignores a SIGTERM for which it has no handler, so `grace` passes in full then.
Result<ExitStatus> terminate(const PidFd& child, std::chrono::milliseconds grace);

struct Child {
  pid_t pid = -1;
  PidFd pidfd;
};

// Pairs of (descriptor here, its number in the child). Everything else is closed in the child; 0, 1
// and 2 are /dev/null unless given.
using FdMap = std::vector<std::pair<int, int>>;

enum class NewSession { no, yes };

// Starts a program unconfined: for routerctl, which starts the supervisor. argv[0] is a path (PATH
// is not searched), `environment` is all that it gets. Signals are default and unblocked in the
// child. A failed exec is an error here, not an exit status. Uses posix_spawn, i.e. vfork: its cost
// does not grow with the caller's memory.
Result<Child> spawnPlain(const std::vector<std::string>& argv,
                         const std::vector<std::string>& environment, const FdMap& fds,
                         NewSession session = NewSession::no);

}  // namespace orrery
