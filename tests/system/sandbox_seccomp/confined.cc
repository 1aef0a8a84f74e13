#include "confined.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "sandbox/base/file.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/install.h"

namespace orrery::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);
constexpr int kSetUpFailed = 120;  // exit codes of our own children

[[noreturn]] void giveUp(const char* what) {
  std::fprintf(stderr, "set-up: %s: %s\n", what, std::strerror(errno));
  ::_exit(kSetUpFailed);
}

void bringLoopbackUp() {
  const UniqueFd s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(s.get(), SIOCSIFFLAGS, &request) != 0) giveUp("lo up");
}

void enter(pid_t holder) {
  for (const char* kind : {"user", "net", "mnt"}) {
    const std::string path = fmt::format("/proc/{}/ns/{}", holder, kind);
    const UniqueFd ns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    // Inside the first, /proc of the host still shows the others: they belong to its namespace.
    if (!ns || ::setns(ns.get(), 0) != 0) giveUp(path.c_str());
  }
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
Pipe makePipe() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::string readToEnd(int fd) {
  return readAll(fd).value_or("");
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  char name[] = "/tmp/orrery-seccomp-XXXXXX";
  const char* made = ::mkdtemp(name);
  EXPECT_NE(made, nullptr);
  path_ = name;
}
TemporaryDirectory::~TemporaryDirectory() {
  EXPECT_TRUE(removeTree(path_));
}
void TemporaryDirectory::write(const std::string& name, const std::string& text) const {
  const Status done = writeFileAtomic(path_ + "/" + name, text, 0600);
  EXPECT_TRUE(done) << done.error().message;
}

FakeHost::FakeHost() {
  Pipe ready = makePipe();
  Pipe mapped = makePipe();
  pid_ = ::fork();
  if (pid_ == 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) giveUp("unshare");
    char byte = 'x';
    if (::write(ready.write.get(), &byte, 1) != 1) giveUp("say ready");
    mapped.write.reset();
    if (::read(mapped.read.get(), &byte, 1) != 1) giveUp("wait for the map");
    bringLoopbackUp();
    ready.write.reset();
    for (;;) ::pause();
  }
  ready.write.reset();
  char byte = 0;
  EXPECT_EQ(::read(ready.read.get(), &byte, 1), 1);
  for (const char* map : {"uid_map", "gid_map"}) {
    const Status done = writeExisting(fmt::format("/proc/{}/{}", pid_, map), "0 0 65536\n");
    EXPECT_TRUE(done) << done.error().message;
  }
  EXPECT_EQ(::write(mapped.write.get(), &byte, 1), 1);
  EXPECT_EQ(readToEnd(ready.read.get()), "");  // its end: lo is up
}

FakeHost::~FakeHost() {
  (void)::kill(pid_, SIGKILL);
  (void)::waitpid(pid_, nullptr, 0);
}

std::string FakeHost::run(const std::string& shellCommand) const {
  Confined shell(*this, "", {"/bin/sh", "-c", shellCommand});
  const Ended end = shell.wait();
  EXPECT_EQ(end.exitCode, 0) << shellCommand << "\n" << shell.output();
  return shell.output();
}

Confined::Confined(const FakeHost& host, const std::string& profile, std::vector<std::string> argv,
                   Options options) {
  std::span<const sock_filter> program;
  if (!profile.empty()) {
    const auto found = embeddedProfile(profile);
    EXPECT_TRUE(found);
    if (found) program = *found;
  }
  options.environment.emplace_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
  const std::vector<char*> args = pointers(argv);
  const std::vector<char*> environment = pointers(options.environment);
  Pipe out = makePipe();
  Pipe up = makePipe();
  Pipe down = makePipe();
  pid_ = ::fork();
  if (pid_ == 0) {
    (void)::dup2(out.write.get(), STDOUT_FILENO);
    (void)::dup2(out.write.get(), STDERR_FILENO);
    enter(host.pid());
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options.beforeFilter && options.beforeFilter() != 0) giveUp("before the filter");
    if (!program.empty()) {
      const int fd = installSeccomp(
          program, options.listener ? kSeccompNewListener | kSeccompWaitKillableReceive : 0U);
      if (fd < 0) giveUp("install the filter");
      char byte = 0;
      if (options.listener && (::write(up.write.get(), &fd, sizeof fd) != sizeof fd ||
                               ::read(down.read.get(), &byte, 1) != 1))
        giveUp("hand the listener over");
    }
    ::execve(args[0], args.data(), environment.data());
    giveUp(args[0]);
  }
  out_ = std::move(out.read);
  up.write.reset();
  int number = -1;
  if (!options.listener) return;
  EXPECT_EQ(::read(up.read.get(), &number, sizeof number), ssize_t{sizeof number});
  takeListenerFrom(number);
  EXPECT_EQ(::write(down.write.get(), "x", 1), 1);
}

void Confined::takeListenerFrom(int number) {
  const UniqueFd pidFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  listener_.reset(static_cast<int>(::syscall(SYS_pidfd_getfd, pidFd.get(), number, 0)));
  EXPECT_TRUE(listener_) << std::strerror(errno);
}

Confined::~Confined() {
  if (pid_ <= 0) return;
  (void)::kill(pid_, SIGKILL);
  (void)::waitpid(pid_, nullptr, 0);
}

bool Confined::readMore(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  pollfd p{out_.get(), POLLIN, 0};
  if (left.count() <= 0 || ::poll(&p, 1, static_cast<int>(left.count())) <= 0) return false;
  char buffer[4096];
  const ssize_t n = ::read(out_.get(), buffer, sizeof buffer);
  if (n <= 0) return false;
  output_.append(buffer, static_cast<std::size_t>(n));
  return true;
}

bool Confined::waitFor(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (output_.find(text) == std::string::npos)
    if (!readMore(deadline)) return false;
  return true;
}

void Confined::signal(int number) const {
  EXPECT_EQ(::kill(pid_, number), 0);
}

Ended Confined::wait() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (readMore(deadline)) {
  }
  if (std::chrono::steady_clock::now() >= deadline) (void)::kill(pid_, SIGKILL);
  int status = 0;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  Ended end;
  if (WIFEXITED(status)) end.exitCode = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

}  // namespace orrery::test
