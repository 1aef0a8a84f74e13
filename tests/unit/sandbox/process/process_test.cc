#include "sandbox/process/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "sandbox/process/fd_map.h"
#include "sandbox/process/start_error.h"

namespace orrery {
namespace {

TEST(ExitStatus, Text) {
  EXPECT_EQ(toText(ExitStatus{}), "exit 0");
  EXPECT_EQ(toText(ExitStatus{3, 0, false}), "exit 3");
  EXPECT_EQ(toText(ExitStatus{0, SIGKILL, false}), "killed by SIGKILL");
  EXPECT_EQ(toText(ExitStatus{0, SIGSYS, true}), "killed by SIGSYS (core dumped)");
  EXPECT_EQ(toText(ExitStatus{0, 40, false}), "killed by signal 40");
  EXPECT_TRUE(ExitStatus{}.ok());
  EXPECT_FALSE((ExitStatus{0, SIGTERM, false}).ok());
}

TEST(FdMap, Gaps) {
  struct Case {
    std::vector<int> kept;
    std::vector<FdGap> gaps;
  };
  const Case cases[] = {
      {{}, {{0, kNoLastFd}}},
      {{0, 1, 2}, {{3, kNoLastFd}}},
      {{9, 1, 2}, {{0, 0}, {3, 8}, {10, kNoLastFd}}},
      {{5}, {{0, 4}, {6, kNoLastFd}}},
  };
  for (const Case& c : cases) EXPECT_EQ(gapsBetween(c.kept), c.gaps);
}

TEST(FdMap, SourcesEndUpAboveAllTargets) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto fds = arrangeFds({{null.get(), 1}, {null.get(), 20}});
  ASSERT_TRUE(fds) << fds.error().message;
  ASSERT_EQ(fds->moves.size(), 4U);  // and 0 and 2
  for (const auto& [from, to] : fds->moves) {
    EXPECT_GT(from.get(), 20);
    EXPECT_EQ(::fcntl(from.get(), F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(fds->gaps, (std::vector<FdGap>{{3, 19}, {21, kNoLastFd}}));
  EXPECT_EQ(firstFreeFd({}), 3);
}

TEST(FdMap, Refused) {
  EXPECT_EQ(arrangeFds({{0, 4}, {1, 4}}).error().message,
            "descriptor 4 for the child is given twice");
  EXPECT_FALSE(arrangeFds({{0, -1}}));
  EXPECT_FALSE(arrangeFds({{0, kMaxTargetFd + 1}}));
  EXPECT_EQ(arrangeFds({{-1, 4}}).error().err, EBADF);
}

TEST(StartError, SaysWhatAndWhere) {
  SandboxSpec spec;
  spec.argv = {"/usr/bin/tor"};
  spec.seccomp = "tor";
  spec.capabilities = {13};
  PreparedRoot root;
  root.mounts.resize(2);
  root.mounts[1].source = "/var/lib/x";
  root.mounts[1].target = "/var/lib/tor";
  struct Case {
    ChildStep step;
    const char* message;
  };
  for (const Case& c :
       {Case{ChildStep::attachMount, "mount '/var/lib/x' at '/var/lib/tor': Permission denied"},
        Case{ChildStep::exec, "execute '/usr/bin/tor': Permission denied"},
        Case{ChildStep::seccomp, "install seccomp filter 'tor': Permission denied"},
        Case{ChildStep::capabilities, "set capabilities to cap_net_raw: Permission denied"},
        Case{ChildStep::rlimit, "limit open files: Permission denied"}}) {
    const Error e = startError(c.step, EACCES, 0, spec, root);
    EXPECT_EQ(e.message, c.message);
    EXPECT_EQ(e.err, EACCES);
  }
  EXPECT_EQ(startError(ChildStep::attachMount, EACCES, 99, spec, root).err, EACCES);
}

}  // namespace
}  // namespace orrery
