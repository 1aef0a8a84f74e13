// The supervisor's second life. A keeper is a process that does nothing but wait for the end of the
// supervisor, and then becomes its successor by execve; the supervisor in turn watches its keeper
// and makes a new one when it ends. So the death of either one is healed, with no central daemon.
// The successor finds namespaces, links and rules as they were, and starts the services anew.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct KeeperOptions {
  std::string program;                     // of the successor
  std::vector<std::string> arguments;      // argv of the successor
  std::vector<std::string> calmArguments;  // the same if the supervisor had run for kCalm
  unsigned deaths = 0;                     // that this one would be, in a row
};

// A growing pause keeps a crash from spinning: none, then from 100 ms doubling to 12.8 s.
std::chrono::milliseconds pauseAfter(unsigned deaths);
// A supervisor that lived so long does not count as crashing in a row.
inline constexpr std::chrono::seconds kCalm{60};

struct Keeper {
  pid_t pid = -1;
  PidFd pidfd;
};

// Forks the keeper of the calling process. Call it from a process with one thread.
Result<Keeper> startKeeper(const KeeperOptions& options);

}  // namespace orrery
