#include "runtime/supervisor/keeper.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/process/process.h"

namespace orrery {
namespace {

constexpr int kFirstPauseMs = 100;
constexpr unsigned kMaxDoublings = 7;

// Between fork and exec: system calls only.
[[noreturn]] void keep(int supervisor, const char* program, char* const* argv, int pauseMs) {
  constexpr int kKept = 3;
  if (::dup2(supervisor, kKept) != kKept) ::_exit(1);
  (void)::syscall(SYS_close_range, kKept + 1, ~0u, 0);
  (void)::prctl(PR_SET_NAME, "orrery-keeper");
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) (void)::signal(number, SIG_DFL);
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  pollfd gone{kKept, POLLIN, 0};
  while (::poll(&gone, 1, -1) < 0 && errno == EINTR) {
  }
  (void)::poll(nullptr, 0, pauseMs);
  (void)::close(kKept);
  char* const environment[] = {const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nullptr};
  (void)::execve(program, argv, environment);
  ::_exit(127);
}

}  // namespace

Result<Keeper> startKeeper(const KeeperOptions& options) {
  ORRERY_TRY_ASSIGN(const PidFd self, openPidfd(::getpid()));
  std::vector<std::string> arguments = options.arguments;
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int pause = options.deaths == 0
                        ? 0
                        : kFirstPauseMs << std::min(options.deaths - 1, kMaxDoublings);
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return sysError(errno, "fork a keeper");
  if (pid == 0) keep(self.get(), options.program.c_str(), argv.data(), pause);
  Keeper keeper;
  keeper.pid = static_cast<pid_t>(pid);
  keeper.pidfd = PidFd(pidfd);
  return keeper;
}

}  // namespace orrery
