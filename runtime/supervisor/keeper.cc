#include "runtime/supervisor/keeper.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/process/process.h"

namespace orrery {
namespace {

struct Successor {
  char* const* argv;
  char* const* calmArgv;
  int pauseMs;
};

// Between fork and exec: system calls only.
[[noreturn]] void keep(int supervisor, const char* program, const Successor& next) {
  constexpr int kKept = 3;
  if (::dup2(supervisor, kKept) != kKept) ::_exit(1);
  (void)::syscall(SYS_close_range, kKept + 1, ~0u, 0);
  (void)::prctl(PR_SET_NAME, "orrery-keeper");
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) (void)::signal(number, SIG_DFL);
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  timespec begin{};
  timespec end{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &begin);
  pollfd gone{kKept, POLLIN, 0};
  while (::poll(&gone, 1, -1) < 0 && errno == EINTR) {
  }
  (void)::clock_gettime(CLOCK_MONOTONIC, &end);
  const bool calm = end.tv_sec - begin.tv_sec >= kCalm.count();
  if (!calm) (void)::poll(nullptr, 0, next.pauseMs);
  (void)::close(kKept);
  char* const environment[] = {const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nullptr};
  (void)::execve(program, calm ? next.calmArgv : next.argv, environment);
  ::_exit(127);
}

std::vector<char*> pointersTo(std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return argv;
}

}  // namespace

std::chrono::milliseconds pauseAfter(unsigned deaths) {
  constexpr std::chrono::milliseconds kFirst{100};
  constexpr unsigned kMaxDoublings = 7;
  if (deaths == 0) return std::chrono::milliseconds(0);
  return kFirst * (1 << std::min(deaths - 1, kMaxDoublings));
}

Result<Keeper> startKeeper(const KeeperOptions& options) {
  ORRERY_TRY_ASSIGN(const PidFd self, openPidfd(::getpid()));
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> calmArguments = options.calmArguments;
  const std::vector<char*> argv = pointersTo(arguments);
  const std::vector<char*> calmArgv = pointersTo(calmArguments);
  const Successor next{argv.data(), calmArgv.data(),
                       static_cast<int>(pauseAfter(options.deaths).count())};
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return sysError(errno, "fork a keeper");
  if (pid == 0) keep(self.get(), options.program.c_str(), next);
  Keeper keeper;
  keeper.pid = static_cast<pid_t>(pid);
  keeper.pidfd = PidFd(pidfd);
  return keeper;
}

}  // namespace orrery
