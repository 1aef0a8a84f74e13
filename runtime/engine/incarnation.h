// Who supervises a router, as written in its run directory.
//
// Supervisor and keeper succeed each other (runtime/supervisor/keeper.h), and each new process
// needs a moment until it has written down who it is. Were the notes in one fixed place, whoever
// ends a router in that moment would find nobody to end, and the process would live on, or write
// over the note of a later one. So each start is an incarnation of its own: a directory `life-WORD`
// that only its processes write to, and that they never make. To withdraw it is one rename(2). Who
// had written his note before is found in it; who comes later has no place to write to, and ends
// before it has done anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "routers/spec/router_spec.h"
#include "sandbox/process/process.h"

namespace orrery {

// Whom a note names. A pid alone is not enough: numbers are used again, so the start time of the
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

// For whoever only looks: `life` is a symbolic link to the present incarnation.
std::string supervisorMarkPath(const RouterId& router);
std::string keeperMarkPath(const RouterId& router);

// Error::err of what a process of an incarnation does after that was withdrawn.
inline constexpr int kSuperseded = ESTALE;

// Makes a new one; there must be none (withdraw it before). Its word.
Result<std::string> beginIncarnation(const RouterId& router);
// The word of the present one; "" if there is none.
Result<std::string> readIncarnation(const RouterId& router);

// For the processes of the incarnation `word` themselves: `mark` is the process's own.
Status markSupervisor(const RouterId& router, const std::string& word, const ProcessMark& mark);
Status markKeeper(const RouterId& router, const std::string& word, const ProcessMark& mark);
// Another supervisor of the same incarnation that runs, if any.
Result<bool> supervisedByOther(const RouterId& router, const std::string& word,
                               const ProcessMark& self);

// Those whom a withdrawn incarnation left to be ended.
struct Bereft {
  std::optional<PidFd> supervisor;
  std::optional<PidFd> keeper;
};
// Nobody joins it any more. A second call, also by another process, finds the same ones until they
// have been forgotten.
Result<Bereft> withdrawIncarnation(const RouterId& router);
// Once they have ended.
Status forgetIncarnation(const RouterId& router);

}  // namespace orrery
