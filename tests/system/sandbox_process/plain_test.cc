// spawnPlain and the pidfd helpers.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/base/file.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

std::string runPlain(std::vector<std::string> argv, NewSession session, FdMap fds = {}) {
  Pipe pipe = makePipe();
  fds.emplace_back(pipe.writer.get(), 1);
  auto child = spawnPlain(argv, {"ONLY=this"}, fds, session);
  pipe.writer.reset();
  if (!child) return child.error().message;
  const std::string text = readAll(pipe.reader.get()).value_or("");
  EXPECT_TRUE(waitExit(child->pidfd)->ok());
  return text;
}

TEST(Plain, GetsExactlyItsDescriptorsAndEnvironment) {
  const UniqueFd leaky(::open("/etc", O_RDONLY));  // NOLINT: without CLOEXEC on purpose
  const Pipe extra = makePipe();
  EXPECT_EQ(
      runPlain({ORRERY_PROBE, "fds", "env", "signals"}, NewSession::no, {{extra.reader.get(), 7}}),
      "fds=0,1,2,7\nenv=ONLY=this;\nsignals=ignored=0 blocked=0\n");
}

TEST(Plain, NewSessionIsItsOwn) {
  const std::string text = runPlain({ORRERY_PROBE, "pid"}, NewSession::yes);
  const std::size_t blank = text.find(' ');
  ASSERT_NE(blank, std::string::npos) << text;
  EXPECT_EQ(text.substr(4, blank - 4) + "\n", text.substr(blank + 1));
}

TEST(Plain, FailedExecIsAnError) {
  EXPECT_EQ(runPlain({"/no/such"}, NewSession::no), "start '/no/such': No such file or directory");
  EXPECT_FALSE(spawnPlain({}, {}, {}));
}

TEST(Plain, SignalsAndWaiting) {
  auto child = spawnPlain({ORRERY_PROBE, "pause"}, {}, {});
  ASSERT_TRUE(child);
  EXPECT_FALSE(waitGone(child->pidfd, std::chrono::milliseconds(0)).value());
  EXPECT_TRUE(sendSignal(child->pidfd, SIGTERM).value());
  EXPECT_EQ(toText(waitExit(child->pidfd).value()), "killed by SIGTERM");
  EXPECT_FALSE(openPidfd(0));
}

// So it is with a supervisor that has died: its keeper is of its session.
TEST(Plain, ANumberThatOnlyASessionStillHasIsNoProcess) {
  Pipe pipe = makePipe();
  const pid_t leader = ::fork();
  ASSERT_GE(leader, 0);
  if (leader == 0) {
    (void)::setsid();
    if (::fork() != 0) ::_exit(0);
    pipe.writer.reset();
    char byte = 0;
    (void)!::read(pipe.reader.get(), &byte, 1);  // until the test is done
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(leader, nullptr, 0), leader);
  ASSERT_EQ(::kill(-leader, 0), 0) << "the group is there";
  const auto process = openPidfd(leader);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().err, ESRCH);
}

}  // namespace
}  // namespace orrery::test
