#include "sandbox/landlock/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

TEST(Landlock, WithoutKernelSupportThereIsNoRuleset) {
  const auto ruleset = makeRuleset(0, {});
  ASSERT_FALSE(ruleset);
  EXPECT_EQ(ruleset.error().err, EOPNOTSUPP);
}

TEST(Landlock, MissingPathIsNamed) {
  ASSERT_GT(landlockAbi(), 0);
  const auto ruleset = makeRuleset(landlockAbi(), {LandlockPath{"/no/such", {}}});
  ASSERT_FALSE(ruleset);
  EXPECT_EQ(ruleset.error().message, "open '/no/such': No such file or directory");
}

// errno of opening `path` in a child that is restricted to reading /etc.
int openRestricted(const char* path, int flags, int abi) {
  LandlockAccess read;
  read.read = true;
  const auto ruleset = makeRuleset(abi, {LandlockPath{"/etc", read}});
  if (!ruleset) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || restrictSelf(ruleset->get()) != 0)
      ::_exit(255);
    ::_exit(::open(path, flags | O_CLOEXEC) < 0 ? errno : 0);
  }
  int status = 0;
  (void)::waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

TEST(Landlock, OnlyWhatARuleNamesIsAllowedAtEveryAbi) {
  ASSERT_GT(landlockAbi(), 0);
  for (int abi = 1; abi <= landlockAbi(); ++abi) {
    EXPECT_EQ(openRestricted("/etc/passwd", O_RDONLY, abi), 0) << abi;
    EXPECT_EQ(openRestricted("/etc/passwd", O_WRONLY, abi), EACCES) << abi;
    EXPECT_EQ(openRestricted("/usr", O_RDONLY | O_DIRECTORY, abi), EACCES) << abi;
    EXPECT_EQ(openRestricted("/proc/self/status", O_RDONLY, abi), EACCES) << abi;
  }
}

}  // namespace
}  // namespace orrery
