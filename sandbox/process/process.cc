#include "sandbox/process/process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "sandbox/process/fd_map.h"

namespace orrery {
namespace {

using Clock = std::chrono::steady_clock;

// Waits until the process has ended; false after `timeout`.
Result<bool> pollEnd(int pidfd, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    const auto wait = std::clamp<std::int64_t>(left.count(), 0, INT_MAX);
    pollfd entry{pidfd, POLLIN, 0};
    const int n = ::poll(&entry, 1, static_cast<int>(wait));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return sysError(errno, "poll a pidfd");
    if (n == 0 && wait == 0) return false;
  }
}

// posix_spawn's attributes and actions, freed together.
class SpawnSettings {
 public:
  SpawnSettings() {
    (void)::posix_spawnattr_init(&attributes_);
    (void)::posix_spawn_file_actions_init(&actions_);
  }
  ~SpawnSettings() {
    (void)::posix_spawnattr_destroy(&attributes_);
    (void)::posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  int setSignals(NewSession session) {
    sigset_t none;
    sigset_t all;
    (void)::sigemptyset(&none);
    (void)::sigfillset(&all);
    unsigned flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (session == NewSession::yes) flags |= POSIX_SPAWN_SETSID;
    if (int err = ::posix_spawnattr_setsigmask(&attributes_, &none); err != 0) return err;
    if (int err = ::posix_spawnattr_setsigdefault(&attributes_, &all); err != 0) return err;
    return ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
  }

  int setFds(const ArrangedFds& fds) {
    for (const auto& [from, to] : fds.moves)
      if (int err = ::posix_spawn_file_actions_adddup2(&actions_, from.get(), to); err != 0)
        return err;
    for (const FdGap& gap : fds.gaps) {
      if (gap.last == kNoLastFd)
        return ::posix_spawn_file_actions_addclosefrom_np(&actions_, static_cast<int>(gap.first));
      for (unsigned fd = gap.first; fd <= gap.last; ++fd)
        if (int err = ::posix_spawn_file_actions_addclose(&actions_, static_cast<int>(fd));
            err != 0)
          return err;
    }
    return 0;
  }

  const posix_spawnattr_t* attributes() const { return &attributes_; }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawnattr_t attributes_{};
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

std::string toText(const ExitStatus& status) {
  if (status.signal == 0) return fmt::format("exit {}", status.code);
  const char* name = ::sigabbrev_np(status.signal);
  const std::string signal =
      name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", status.signal);
  return fmt::format("killed by {}{}", signal, status.dumpedCore ? " (core dumped)" : "");
}

Result<PidFd> openPidfd(pid_t pid) {
  PidFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // always CLOEXEC
  if (fd) return fd;
  // A number that a session, a group or a thread still has, but no process: EINVAL in Linux 6.1,
  // ESRCH and for a thread ENOENT in 6.18 (pidfd_prepare(), kernel/fork.c).
  const bool none = pid > 0 && (errno == EINVAL || errno == ENOENT);
  const int err = none ? ESRCH : errno;
  return sysError(err, "open a pidfd of process {}", pid);
}

Result<bool> sendSignal(const PidFd& process, int signal) {
  if (::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  return sysError(errno, "send signal {}", signal);
}

Result<ExitStatus> waitExit(const PidFd& child) {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(child.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) return sysError(errno, "wait for a process");
  }
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0, false};
  return ExitStatus{0, info.si_status, info.si_code == CLD_DUMPED};
}

Result<std::optional<ExitStatus>> waitExitTimeout(const PidFd& child,
                                                  std::chrono::milliseconds timeout) {
  ORRERY_TRY_ASSIGN(const bool ended, pollEnd(child.get(), timeout));
  if (!ended) return std::optional<ExitStatus>{};
  ORRERY_TRY_ASSIGN(const ExitStatus status, waitExit(child));
  return std::optional<ExitStatus>(status);
}

Result<bool> waitGone(const PidFd& process, std::chrono::milliseconds timeout) {
  return pollEnd(process.get(), timeout);
}

Result<ExitStatus> terminate(const PidFd& child, std::chrono::milliseconds grace) {
  ORRERY_TRY(sendSignal(child, SIGTERM));
  ORRERY_TRY_ASSIGN(const auto ended, waitExitTimeout(child, grace));
  if (ended) return *ended;
  ORRERY_TRY(sendSignal(child, SIGKILL));
  return waitExit(child);
}

Result<Child> spawnPlain(const std::vector<std::string>& argv,
                         const std::vector<std::string>& environment, const FdMap& fds,
                         NewSession session) {
  if (argv.empty()) return error("start a program: no arguments, not even its path");
  auto arranged = arrangeFds(fds);
  if (!arranged) return wrap(std::move(arranged).error(), "start '{}'", argv[0]);

  SpawnSettings settings;
  int err = settings.setSignals(session);
  if (err == 0) err = settings.setFds(*arranged);
  const CStrings arguments(argv);
  const CStrings variables(environment);
  Child child;
  if (err == 0)
    err = ::posix_spawn(&child.pid, argv[0].c_str(), settings.actions(), settings.attributes(),
                        arguments.get(), variables.get());
  if (err != 0) return sysError(err, "start '{}'", argv[0]);
  auto pidfd = openPidfd(child.pid);  // unreaped, so the number is still its own
  if (!pidfd) {
    (void)::kill(child.pid, SIGKILL);
    (void)::waitpid(child.pid, nullptr, 0);
    return wrap(std::move(pidfd).error(), "start '{}'", argv[0]);
  }
  child.pidfd = std::move(pidfd).value();
  return child;
}

}  // namespace orrery
