#include "sandbox/seccomp/diff.h"

#include <gmock/gmock.h>

#include "support.h"

namespace orrery {
namespace {

FlatProfile profileOf(const std::string& rules, const std::string& fallback = "errno:EPERM") {
  return test::x86Profile(
      test::setOf({{"p", "schema = 1\ndefault = \"" + fallback + "\"\n" + rules}}), "p");
}
std::string rule(const std::string& call, const std::string& rest, const std::string& why = "old") {
  return "[[rule]]\ncalls = [\"" + call + "\"]\nwhy = \"" + why + "\"\n" + rest + "\n";
}

TEST(DiffProfiles, ShowsWhatCameWentAndTurned) {
  const FlatProfile before =
      profileOf(rule("read", "") + rule("socket", "when = [{ arg = 0, eq = \"AF_UNIX\" }]") +
                rule("ptrace", "action = \"kill_process\""));
  const FlatProfile after = profileOf(
      "[[exception]]\nlaw = \"netlink\"\nwhy = \"asks\"\n" + rule("read", "", "new words") +
          rule("socket", "when = [{ arg = 0, eq = \"AF_NETLINK\" }]", "asks") +
          rule("ptrace", "action = \"errno:ENOSYS\""),
      "kill_process");
  EXPECT_EQ(diffProfiles(before, after),
            "! every other call: errno:EPERM -> kill_process\n"
            "+ exception from the law 'netlink'  # asks\n"
            "! ptrace               kill_process -> errno:ENOSYS always  # old\n"
            "+ socket               allow          arg0 == AF_NETLINK  # asks\n"
            "- socket               allow          arg0 == AF_UNIX  # old\n");
}

TEST(DiffProfiles, IsEmptyForTheSameDecisions) {
  const FlatProfile one = profileOf(rule("read", "") + rule("write", ""));
  EXPECT_EQ(diffProfiles(one, profileOf(rule("write", "", "x") + rule("read", "", "y"))), "");
  for (const auto& [name, profile] : test::shippedSet()) {
    if (!profile.defaultAction) continue;
    const FlatProfile flat = test::x86Profile(test::shippedSet(), name);
    EXPECT_EQ(diffProfiles(flat, flat), "") << name;
  }
}

}  // namespace
}  // namespace orrery
