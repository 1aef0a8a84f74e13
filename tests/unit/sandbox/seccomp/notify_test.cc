// Our end of seccomp_unotify(2) with a child of our own. Needs no privilege: no_new_privs is
// enough.
#include "sandbox/seccomp/notify.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/install.h"
#include "support.h"

namespace orrery {
namespace {

using ::testing::HasSubstr;

// Everything is allowed but uname(2), which is notified: a stand-in for one guarded call.
FlatProfile unameNotified() {
  FlatProfile p;
  p.name = "uname";
  p.arch = nativeSeccompArch();
  p.defaultAction = {SeccompAction::Kind::allow, 0};
  FlatCall call;
  call.name = "uname";
  call.number = SYS_uname;
  call.clauses.emplace_back();
  call.clauses[0].action = {SeccompAction::Kind::notify, 0};
  p.calls.push_back(call);
  return p;
}

struct Shared {  // between test and child
  int listener;
  char name[8];
};

class Notify : public ::testing::Test {
 protected:
  void SetUp() override {
    void* page =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    shared_ = new (page) Shared{-1, "before"};
    const auto program = compile(unameNotified());
    ASSERT_TRUE(program);
    program_ = *program;
  }
  void TearDown() override {
    if (child_ > 0) {
      (void)::kill(child_, SIGKILL);
      (void)::waitpid(child_, nullptr, 0);
    }
    (void)::munmap(shared_, sizeof(Shared));
  }

  // The child installs the filter, says which descriptor the listener has, waits until it was taken
  // and makes the call; its exit status is 100 + errno, or what the call returned.
  void startChild() {
    int up[2];
    int down[2];
    ASSERT_EQ(::pipe(up), 0);
    ASSERT_EQ(::pipe(down), 0);
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      shared_->listener = installSeccomp(program_, kSeccompNewListener);
      char byte = 0;
      if (::write(up[1], "x", 1) != 1 || ::read(down[0], &byte, 1) != 1) ::_exit(99);
      (void)::close(shared_->listener);
      const long result = ::syscall(SYS_uname, shared_->name);
      ::_exit(result < 0 ? 100 + errno : static_cast<int>(result));
    }
    UniqueFd upRead(up[0]), upWrite(up[1]), downRead(down[0]), downWrite(down[1]);
    char byte = 0;
    ASSERT_EQ(::read(upRead.get(), &byte, 1), 1);
    ASSERT_GE(shared_->listener, 0) << std::strerror(-shared_->listener);
    const UniqueFd pid(static_cast<int>(::syscall(SYS_pidfd_open, child_, 0)));
    UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, pid.get(), shared_->listener, 0)));
    ASSERT_TRUE(taken) << std::strerror(errno);
    auto listener = SeccompListener::open(std::move(taken));
    ASSERT_TRUE(listener) << listener.error().message;
    listener_.emplace(std::move(*listener));
    ASSERT_EQ(::write(downWrite.get(), "x", 1), 1);
  }

  SeccompNotification next() {
    pollfd p{listener_->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 10'000), 1);
    auto got = listener_->receive();
    EXPECT_TRUE(got && *got);
    return got && *got ? **got : SeccompNotification{};
  }
  int exitStatus() {
    int status = 0;
    EXPECT_EQ(::waitpid(child_, &status, 0), child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  Shared* shared_ = nullptr;
  std::vector<sock_filter> program_;
  pid_t child_ = -1;
  std::optional<SeccompListener> listener_;
};

TEST_F(Notify, AnswersAnErrno) {
  ASSERT_NO_FATAL_FAILURE(startChild());
  const SeccompNotification call = next();
  EXPECT_EQ(call.number, SYS_uname);
  EXPECT_EQ(call.pid, child_);
  EXPECT_THAT(toText(call), HasSubstr("uname(0x"));
  EXPECT_TRUE(listener_->isPending(call.id));
  EXPECT_EQ(listener_->answerError(call.id, EACCES).value(), true);
  EXPECT_EQ(exitStatus(), 100 + EACCES);
  EXPECT_FALSE(listener_->isPending(call.id));
}

TEST_F(Notify, AnswersAValueAfterReadingTheArgument) {
  ASSERT_NO_FATAL_FAILURE(startChild());
  const SeccompNotification call = next();
  std::array<std::byte, 8> bytes{};
  const Status read = listener_->readMemory(call, call.args[0], bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::memcmp(bytes.data(), "before\0", 8), 0);
  EXPECT_EQ(listener_->answerValue(call.id, 42).value(), true);
  EXPECT_EQ(exitStatus(), 42);
}

TEST_F(Notify, RefusesUnreadableMemoryAndOddAnswers) {
  ASSERT_NO_FATAL_FAILURE(startChild());
  const SeccompNotification call = next();
  std::array<std::byte, 8> bytes{};
  EXPECT_FALSE(listener_->readMemory(call, 8, bytes));
  std::vector<std::byte> large(4097);
  EXPECT_THAT(listener_->readMemory(call, call.args[0], large).error().message,
              HasSubstr("too many"));
  EXPECT_FALSE(listener_->answerError(call.id, 0)) << "0 would let the call look successful";
  EXPECT_FALSE(listener_->answerError(call.id, -1));
  EXPECT_FALSE(listener_->answerError(call.id, 4096));
  EXPECT_TRUE(listener_->answerError(call.id, EPERM).value());
  EXPECT_EQ(exitStatus(), 100 + EPERM);
}

TEST_F(Notify, NoticesThatTheCallerIsGone) {
  ASSERT_NO_FATAL_FAILURE(startChild());
  const SeccompNotification call = next();
  ASSERT_EQ(::kill(child_, SIGKILL), 0);
  EXPECT_EQ(exitStatus(), -1);
  EXPECT_FALSE(listener_->isPending(call.id));
  std::array<std::byte, 8> bytes{};
  EXPECT_FALSE(listener_->readMemory(call, call.args[0], bytes));
  EXPECT_EQ(listener_->answerValue(call.id, 0).value(), false);
}

TEST_F(Notify, AnswersEnosysWithoutAListener) {
  ASSERT_NO_FATAL_FAILURE(startChild());
  listener_.reset();
  EXPECT_EQ(exitStatus(), 100 + ENOSYS) << "a dead supervisor must never mean yes";
}

}  // namespace
}  // namespace orrery
