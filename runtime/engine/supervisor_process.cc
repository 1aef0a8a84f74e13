#include "runtime/engine/supervisor_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>

#include <array>
#include <chrono>

#include "routers/kinds/desired.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kStartLimit{20};
constexpr seconds kStopGrace{8};
constexpr int kReadyFd = 3;

// Reads what the supervisor says of its start: "ok", or why it failed.
Status awaitStart(int fd) {
  std::string text;
  std::array<char, 1024> buffer{};
  for (;;) {
    pollfd ready{fd, POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(milliseconds(kStartLimit).count()));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return sysError(n == 0 ? ETIMEDOUT : errno, "wait for the supervisor");
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sysError(errno, "read from the supervisor");
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text == "ok\n") return {};
    if (got == 0 || text.size() > 4096) break;
  }
  if (text.empty()) return error("the supervisor ended before it was up");
  return error("the supervisor did not start: {}", trim(text));
}

Result<std::string> newIncarnation() {
  std::uint64_t word = 0;
  if (::getrandom(&word, sizeof word, 0) != sizeof word)
    return sysError(errno, "get a random word");
  return fmt::format("{:016x}", word);
}

}  // namespace

std::string supervisorMarkPath(const RouterId& router) {
  return runDirectory(router) + "/supervisor.pid";
}
std::string keeperMarkPath(const RouterId& router) {
  return runDirectory(router) + "/keeper.pid";
}

std::string incarnationPath(const RouterId& router) {
  return runDirectory(router) + "/incarnation";
}

Result<std::string> readIncarnation(const RouterId& router) {
  auto text = readFile(incarnationPath(router), 64);
  if (!text && text.error().err == ENOENT) return std::string();
  return text;
}

Result<ProcessMark> markOf(pid_t pid) {
  ORRERY_TRY_ASSIGN(const std::string stat, readFile(fmt::format("/proc/{}/stat", pid), 4096));
  // The name in parentheses may hold anything; what follows the last one is well-formed (proc(5)).
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return error("/proc/{}/stat is odd", pid);
  const auto fields = splitWords(std::string_view(stat).substr(close + 1));
  constexpr std::size_t kStartTime = 22 - 3;  // the first field here is number 3
  if (fields.size() <= kStartTime) return error("/proc/{}/stat is short", pid);
  const auto ticks = parseNumber<std::uint64_t>(fields[kStartTime]);
  if (!ticks) return error("/proc/{}/stat is odd", pid);
  return ProcessMark{pid, *ticks};
}

std::string toText(const ProcessMark& mark) {
  return fmt::format("{} {}\n", mark.pid, mark.startTicks);
}

Result<ProcessMark> parseMark(std::string_view text) {
  const auto words = splitWords(text);
  if (words.size() == 2) {
    const auto pid = parseNumber<pid_t>(words[0]);
    const auto ticks = parseNumber<std::uint64_t>(words[1]);
    if (pid && *pid > 0 && ticks) return ProcessMark{*pid, *ticks};
  }
  return error("'{}' is no process mark", trim(text).substr(0, 64));
}

Result<std::optional<PidFd>> openMarked(const std::string& markFile) {
  auto text = readFile(markFile, 256);
  if (!text && text.error().err == ENOENT) return std::optional<PidFd>{};
  if (!text) return tl::unexpected<Error>(std::move(text).error());
  auto mark = parseMark(*text);
  if (!mark) return wrap(std::move(mark).error(), "'{}'", markFile);
  auto pidfd = openPidfd(mark->pid);
  if (!pidfd && pidfd.error().err == ESRCH) return std::optional<PidFd>{};
  if (!pidfd) return tl::unexpected<Error>(std::move(pidfd).error());
  // The descriptor is held, so the number cannot change hands between this check and its use.
  const auto now = markOf(mark->pid);
  if (!now || *now != *mark) return std::optional<PidFd>{};
  ORRERY_TRY_ASSIGN(const bool ended, waitGone(*pidfd, milliseconds(0)));
  if (ended) return std::optional<PidFd>{};
  return std::optional<PidFd>(std::move(*pidfd));
}

Status SupervisorProcesses::start(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const bool runs, running(router));
  if (runs) return sysError(EEXIST, "start the supervisor of {}", router.text());
  ORRERY_TRY_ASSIGN(const std::string incarnation, newIncarnation());
  ORRERY_TRY(writeFileAtomic(incarnationPath(router), incarnation, 0600));
  Status started = launch(router);
  if (started) return {};
  Error first = std::move(started).error();
  if (Status stopped = stop(router); !stopped) first.also.push_back(std::move(stopped).error());
  return tl::unexpected<Error>(std::move(first));
}

Status SupervisorProcesses::launch(const RouterId& router) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return sysError(errno, "make a pipe");
  UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  auto child = spawnPlain({program_, router.network, router.name},
                          {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
                          {{writer.get(), kReadyFd}}, NewSession::yes);
  if (!child) return wrap(std::move(child).error(), "start '{}'", program_);
  writer.reset();
  Status started = awaitStart(reader.get());
  if (started) return {};
  (void)sendSignal(child->pidfd, SIGKILL);
  (void)waitExit(child->pidfd);
  return started;
}

Status SupervisorProcesses::signalStop(const RouterId& router) {
  ORRERY_TRY(removeFile(incarnationPath(router)));
  ORRERY_TRY_ASSIGN(const auto keeper, openMarked(keeperMarkPath(router)));
  ORRERY_TRY_ASSIGN(const auto supervisor, openMarked(supervisorMarkPath(router)));
  if (supervisor) {
    ORRERY_TRY(sendSignal(*supervisor, SIGTERM));
  } else if (keeper) {
    ORRERY_TRY(sendSignal(*keeper, SIGTERM));
  }
  return {};
}

Status SupervisorProcesses::stop(const RouterId& router) {
  ORRERY_TRY(removeFile(incarnationPath(router)));
  // The keeper first: it would take the supervisor's end for a crash.
  ORRERY_TRY_ASSIGN(const auto keeper, openMarked(keeperMarkPath(router)));
  if (keeper) {
    ORRERY_TRY(sendSignal(*keeper, SIGKILL));
    ORRERY_TRY(waitGone(*keeper, kStopGrace));
  }
  ORRERY_TRY_ASSIGN(const auto supervisor, openMarked(supervisorMarkPath(router)));
  if (!supervisor) return {};
  ORRERY_TRY(sendSignal(*supervisor, SIGTERM));
  ORRERY_TRY_ASSIGN(const bool gone, waitGone(*supervisor, kStopGrace));
  if (gone) return {};
  ORRERY_TRY(sendSignal(*supervisor, SIGKILL));
  ORRERY_TRY_ASSIGN(const bool killed, waitGone(*supervisor, kStopGrace));
  if (!killed) return error("supervisor of {} does not end", router.text());
  return {};
}

Result<bool> SupervisorProcesses::running(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const auto supervisor, openMarked(supervisorMarkPath(router)));
  return supervisor.has_value();
}

}  // namespace orrery
