// The supervisor's end of a reporting filter, with a child of our own at the other. Needs no
// privilege: no_new_privs is enough.
#include "runtime/supervisor/violations.h"

#include <event2/event.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/install.h"

namespace orrery {
namespace {

using ::testing::HasSubstr;

// sync(2) is not in it; ptrace(2) is killed for by its parent; clone3(2) has an errno of its own.
constexpr const char* kProfile = R"(schema = 1
extends = ["base"]
default = "errno:EPERM"
[[rule]]
calls = ["getpriority"]
action = "notify"
why = "stands for a call that the supervisor carries out"
)";

constexpr int kSetUpFailed = 99;

class ViolationsTest : public ::testing::Test, public ViolationOwner {
 protected:
  void SetUp() override {
    auto base = makeEventBase();
    ASSERT_TRUE(base);
    base_ = std::move(*base);
    const auto shipped = embeddedProfileSet();
    ASSERT_TRUE(shipped) << shipped.error().message;
    auto built = buildOwnProfile("own-test", kProfile, *shipped);
    ASSERT_TRUE(built) << built.error().message;
    built_ = std::move(*built);
    int pair[2];
    ASSERT_EQ(::pipe(pair), 0);
    goRead_.reset(pair[0]);
    goWrite_.reset(pair[1]);
    ASSERT_EQ(::pipe(pair), 0);
    outRead_.reset(pair[0]);
    outWrite_.reset(pair[1]);
  }

  void TearDown() override {
    violations_.reset();
    if (child_ <= 0) return;
    (void)::kill(child_, SIGKILL);
    (void)::waitpid(child_, nullptr, 0);
  }

  // A child under the filter that runs `body` when go() is called; its exit status is what `body`
  // returns.
  void confine(const std::function<int()>& body, bool learn = false) {
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      // Ends with the test, whatever happens: the listener's end is no end of ours.
      (void)::alarm(60);
      const int fd =
          installSeccomp(built_.reporting, kSeccompNewListener | kSeccompWaitKillableReceive);
      char byte = 0;
      if (fd < 0 || ::write(outWrite_.get(), &fd, sizeof fd) != sizeof fd ||
          ::read(goRead_.get(), &byte, 1) != 1)
        ::_exit(kSetUpFailed);
      (void)::close(fd);
      ::_exit(body());
    }
    int number = -1;
    ASSERT_EQ(::read(outRead_.get(), &number, sizeof number), ssize_t{sizeof number});
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, child_, 0)));
    UniqueFd listener(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd_.get(), number, 0)));
    ASSERT_TRUE(listener) << std::strerror(errno);
    auto started = Violations::start(base_.get(), std::move(listener),
                                     ViolationRules{built_.program, learn}, *this);
    ASSERT_TRUE(started) << started.error().message;
    violations_ = std::move(*started);
  }
  void go() { ASSERT_EQ(::write(goWrite_.get(), "x", 1), 1); }

  // Runs the loop until the child has ended; its wait status.
  int finish() {
    auto ended = ReadWatch::start(base_.get(), pidfd_.get(),
                                  [this] { (void)event_base_loopbreak(base_.get()); });
    EXPECT_TRUE(ended);
    EXPECT_GE(event_base_dispatch(base_.get()), 0);
    return reap();
  }
  int reap() {
    int status = 0;
    EXPECT_EQ(::waitpid(child_, &status, 0), child_);
    child_ = -1;
    return status;
  }

  // ViolationOwner
  void callsBlocked(const BlockedReport& report) override { reports_.push_back(report); }
  void killFor(const BlockedCall& call) override {
    killed_.push_back(call.name + "(" + call.arguments + ") " + call.answer);
    EXPECT_EQ(::kill(child_, SIGKILL), 0);
  }
  Result<std::int64_t> answerRule(const SeccompListener&,
                                  const SeccompNotification& call) override {
    if (call.args[0] != PRIO_PROCESS) return sysError(EPERM, "only of a process");
    return 7;
  }
  void callsLearned(const LearnedCalls& learned) override {
    proposal_ = learned.proposal("dnsmasq", {SeccompAction::Kind::errnoValue, EPERM});
  }

  EventBasePtr base_;
  BuiltProfile built_;
  UniqueFd goRead_, goWrite_, outRead_, outWrite_, pidfd_;
  pid_t child_ = -1;
  std::unique_ptr<Violations> violations_;
  std::vector<BlockedReport> reports_;
  std::vector<std::string> killed_;
  std::string proposal_;
};

// The child's bodies: errno of the call, 0 if it succeeded.
int syncError() {
  return ::syscall(SYS_sync) == 0 ? 0 : errno;
}

TEST_F(ViolationsTest, AnswerByTheDefaultAndTell) {
  confine([] {
    int last = 0;
    for (int i = 0; i < 6; ++i) last = syncError();
    return last;
  });
  go();
  const int status = finish();
  ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), EPERM);
  ASSERT_FALSE(reports_.empty()) << "the first at once, the rest in a sum";
  EXPECT_EQ(reports_[0].count, 1U);
  EXPECT_EQ(reports_[0].last.name, "sync");
  EXPECT_EQ(reports_[0].last.answer, "errno:EPERM");
  EXPECT_GT(reports_[0].last.pid, 0);
  violations_.reset();
  ASSERT_GE(reports_.size(), 2U) << "the sum at the latest when the service has ended";
  EXPECT_LT(reports_.size(), 6U);
  EXPECT_EQ(reports_.back().total, 6U);
}

TEST_F(ViolationsTest, DecodeTheArguments) {
  confine([] {
    (void)::syscall(SYS_mmap, 0x7700000000, 4096, 7, 0x22, -1, 0);
    return ::syscall(SYS_socket, 17, 3, 768) == 0 ? 0 : errno;
  });
  go();
  const int status = finish();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), EPERM);
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(
      reports_[0].last.arguments,
      "0x7700000000, 0x1000, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0");
  EXPECT_EQ(reports_[1].last.arguments, "AF_PACKET, SOCK_RAW, 768");
}

TEST_F(ViolationsTest, KillForWhatTheProfileKillsFor) {
  confine([] {
    (void)::syscall(SYS_ptrace, 0, 0, 0, 0);
    return 0;  // never reached: the call does not return
  });
  go();
  const int status = finish();
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_THAT(killed_, ::testing::ElementsAre("ptrace(0, 0, 0x0, 0x0) killed"));
}

TEST_F(ViolationsTest, AnswerRulesByTheirOwner) {
  confine([] {
    if (::syscall(SYS_getpriority, PRIO_PROCESS, 0) != 7) return 1;
    if (::syscall(SYS_getpriority, PRIO_USER, 0) != -1 || errno != EPERM) return 2;
    return 0;
  });
  go();
  const int status = finish();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  ASSERT_EQ(reports_.size(), 1U) << "only the refusal is told";
  EXPECT_EQ(reports_[0].last.name, "getpriority");
}

TEST_F(ViolationsTest, DoNotSeeWhatTheProfileAnswersItself) {
  confine([] {
    if (::syscall(SYS_clone3, nullptr, 0) != -1 || errno != ENOSYS) return 1;
    return ::getpid() > 0 ? 0 : 2;
  });
  go();
  const int status = finish();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(reports_.empty());
}

// Nobody listens any more: neither what was pending nor what follows is let through.
TEST_F(ViolationsTest, LeaveNothingToADeadSupervisor) {
  confine([] {
    if (syncError() != ENOSYS) return 1;
    if (::syscall(SYS_ptrace, 0, 0, 0, 0) != -1 || errno != ENOSYS) return 2;
    if (::syscall(SYS_getpriority, PRIO_PROCESS, 0) != -1 || errno != ENOSYS) return 3;
    return 0;
  });
  violations_.reset();
  go();
  const int status = reap();
  ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ViolationsTest, ReleaseWhoeverWaitsWhenTheSupervisorDies) {
  confine([] { return syncError(); });
  go();
  // The loop never runs, so the call stays pending until the listener is closed. Whether it is
  // pending by then or made afterwards, the answer is the same.
  violations_.reset();
  const int status = reap();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), ENOSYS);
}

TEST_F(ViolationsTest, LetGoWhileLearningButNotWhatIsKilledFor) {
  confine(
      [] {
        if (syncError() != 0) return 1;
        if (::syscall(SYS_fcntl, 0, 1033 /* F_ADD_SEALS */, 0) != -1) return 2;
        if (errno == EPERM && ::fcntl(0, 1034 /* F_GET_SEALS */) >= 0) return 3;
        (void)::syscall(SYS_ptrace, 0, 0, 0, 0);
        return 0;
      },
      true);
  go();
  const int status = finish();
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  ASSERT_FALSE(reports_.empty());
  EXPECT_EQ(reports_[0].last.name, "sync");
  EXPECT_EQ(reports_[0].last.answer, "let go");
  violations_.reset();
  EXPECT_THAT(proposal_, HasSubstr("calls = [\"sync\"]"));
  EXPECT_THAT(proposal_,
              HasSubstr("calls = [\"fcntl\"]\nwhen  = [{ arg = 1, in = [0x409, 0x40a] }]"));
  EXPECT_THAT(proposal_, ::testing::Not(HasSubstr("ptrace")));
}

TEST_F(ViolationsTest, AnswerAFloodWithoutAFloodOfReports) {
  confine([] {
    for (int i = 0; i < 3 * Violations::kBurst; ++i)
      if (syncError() != EPERM) return 1;
    return 0;
  });
  go();
  const int status = finish();
  ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_LT(reports_.size(), 10U) << "one every 10 s at most";
  violations_.reset();
  EXPECT_EQ(reports_.back().total, std::uint64_t{3 * Violations::kBurst});
}

// A listener without anyone under its filter stays readable: it must not spin the loop.
TEST_F(ViolationsTest, StopWatchingWhenNobodyIsLeft) {
  confine([] { return 0; });
  go();
  (void)reap();
  for (int i = 0; i < 3; ++i) EXPECT_GE(event_base_loop(base_.get(), EVLOOP_NONBLOCK), 0);
  EXPECT_EQ(event_base_get_num_events(base_.get(), EVENT_BASE_COUNT_ADDED), 0);
}

TEST(Listening, IsKnownToThisKernel) {
  EXPECT_TRUE(seccompCanListen());
}

}  // namespace
}  // namespace orrery
