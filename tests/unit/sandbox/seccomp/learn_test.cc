// A proposal loads as it is, permits what was seen and nothing that a law forbids.
#include "sandbox/seccomp/learn.h"

#include <gmock/gmock.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

using ::testing::HasSubstr;

constexpr SeccompArch kArch = SeccompArch::x86_64;
constexpr SeccompAction kEperm{SeccompAction::Kind::errnoValue, EPERM};

int numberOf(const char* call) {
  return syscallNumber(kArch, call).value_or(-1);
}

TEST(LearnedCalls, SaysWhenThereIsSomethingNew) {
  LearnedCalls learned;
  EXPECT_TRUE(learned.empty());
  EXPECT_TRUE(learned.add(kArch, numberOf("sched_yield"), {1}));
  EXPECT_FALSE(learned.add(kArch, numberOf("sched_yield"), {2})) << "arguments do not matter";
  EXPECT_TRUE(learned.add(kArch, numberOf("ioctl"), {3, 0x5401}));
  EXPECT_FALSE(learned.add(kArch, numberOf("ioctl"), {4, 0x5401}));
  EXPECT_FALSE(learned.add(kArch, numberOf("ioctl"), {4, 0x700005401})) << "dirty upper half";
  EXPECT_TRUE(learned.add(kArch, numberOf("ioctl"), {3, 0x5402}));
  EXPECT_FALSE(learned.add(kArch, 9999, {})) << "no profile could name it";
}

TEST(LearnedCalls, ProposeAProfileThatLoads) {
  LearnedCalls learned;
  for (const auto& [call, args] :
       std::vector<std::pair<const char*, test::Args>>{{"ioctl", {3, 0x8933}},
                                                       {"getitimer", {0}},
                                                       {"sched_setscheduler", {0}},
                                                       {"prlimit64", {1234, 3}},
                                                       {"fcntl", {3, 8}},
                                                       {"madvise", {0, 1, 21}},
                                                       {"mlock", {0, 4096}}})
    EXPECT_TRUE(learned.add(kArch, numberOf(call), args)) << call;
  const std::string text = learned.proposal("tor", kEperm);
  EXPECT_THAT(
      text, HasSubstr("calls = [\"ioctl\"]\nwhen  = [{ arg = 1, in = [0x8933] }]  # SIOCGIFINDEX\n"
                      "why   = \"to be reviewed: seen 1 times"));
  const auto built = buildOwnProfile("own-tor", text, test::shippedSet());
  ASSERT_TRUE(built) << built.error().message << "\n" << text;
  const auto allowed = [&](const char* call, const test::Args& args) {
    return evaluate(built->program, test::callData(numberOf(call), args)) == SECCOMP_RET_ALLOW;
  };
  EXPECT_TRUE(allowed("ioctl", {3, 0x8933}));
  EXPECT_FALSE(allowed("ioctl", {3, 0x8934}));
  EXPECT_TRUE(allowed("getitimer", {}));
  EXPECT_TRUE(allowed("prlimit64", {1234}));
  EXPECT_FALSE(allowed("prlimit64", {1235}));
}

// What a law forbids is proposed too (it was done), but does not load without an exception.
TEST(LearnedCalls, DoNotTalkALawAway) {
  LearnedCalls learned;
  learned.add(kArch, numberOf("socket"), {AF_PACKET, SOCK_RAW});
  const auto built =
      buildOwnProfile("own-tor", learned.proposal("tor", kEperm), test::shippedSet());
  ASSERT_FALSE(built);
  EXPECT_THAT(built.error().message, HasSubstr("breaks the law 'packet-sockets'"));
}

TEST(LearnedCalls, StaySmallWhateverAServiceDoes) {
  LearnedCalls learned;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    learned.add(kArch, numberOf("ioctl"), {3, i});
    learned.add(kArch, static_cast<int>(i), {i});
  }
  const std::string text = learned.proposal("tor", kEperm);
  EXPECT_LT(text.size(), kMaxProfileText);
  EXPECT_THAT(text, HasSubstr("calls = [\"ioctl\"]\nwhy "));
}

}  // namespace
}  // namespace orrery
