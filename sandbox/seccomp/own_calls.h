// A filter for a process and all that it will start, whose own refused calls end it, by name.
//
// Theory of operation. A filter is inherited by fork and exec, and of several the strictest answer
// counts (seccomp(2)). Were the filter of the supervisor to kill, no service's refused call could
// be told of any more by the service's own filter. So it answers `absent` (profile.h), and asks in
// addition where the call was made: instructions of the running program itself have addresses that
// the kernel chose for it (static-pie, so its C library too), and no program that is started later
// has those. From there, and from there only, a call that is not in the profile raises SIGSYS,
// whose handler writes down what it was and ends the process.
//
// What this cannot see is refused all the same: a call made from elsewhere (a service before its
// own filter is on, a library mapped later) answers ENOSYS, and the kernel's audit log has it where
// audit is on. Where a host has address randomisation switched off, a service's refused call may
// look like the supervisor's: it is killed for it then, and not told of by name.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sandbox/base/result.h"

namespace orrery {

struct CodeRange {  // addresses, both inclusive
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
// Where this program's own code and its C library's lie: one range in a static program.
std::vector<CodeRange> ownCode();

// Pure. The same program, with SECCOMP_RET_TRAP in place of `absent` for calls from `own`.
std::vector<sock_filter> trapOwnCalls(std::span<const sock_filter> program,
                                      const std::vector<CodeRange>& own);

// Installs it for this thread and all that it starts, and the handler, for all threads. `record` is
// the file that the handler writes; at most PATH_MAX - 1 bytes. Threads that exist already are not
// under the filter. Errors: what seccomp(2) refuses.
Status confineToCalls(std::span<const sock_filter> program, const std::string& record);

// Filters that this process is under, as the kernel counts them.
Result<unsigned> installedFilters();

struct RefusedCall {
  int number = 0;
  std::array<std::uint64_t, 6> args{};
  int pid = 0;
};
// What a handler wrote, if one did; the file is removed.
std::optional<RefusedCall> takeRefusedCall(const std::string& record);

}  // namespace orrery
