// Inheritance, conflicts, redundancy.
#include <gmock/gmock.h>
#include <sys/syscall.h>

#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

using test::setOf;
using ::testing::HasSubstr;

std::string rule(const std::string& call, const std::string& rest = "") {
  return "[[rule]]\ncalls = [\"" + call + "\"]\nwhy = \"x\"\n" + rest + "\n";
}
std::string when(const std::string& condition) {
  return "when = [{ " + condition + " }]";
}

const std::string kHead = "schema = 1\ndefault = \"errno:EPERM\"\n";

TEST(Flatten, PutsParentsFirstAndEachOnce) {
  const auto set =
      setOf({{"base", "schema = 1\n" + rule("ioctl", when("arg = 1, eq = \"TIOCSTI\"") +
                                                         "\naction = \"kill_process\"")},
             {"left", "schema = 1\nextends = [\"base\"]\n" + rule("read")},
             {"right", "schema = 1\nextends = [\"base\"]\n" + rule("write")},
             {"leaf", "extends = [\"left\", \"right\"]\n" + kHead + rule("ioctl")}});
  const auto flat = flatten(set, "leaf", {.arch = SeccompArch::x86_64});
  ASSERT_TRUE(flat) << flat.error().message;
  ASSERT_EQ(flat->calls.size(), 3U);
  EXPECT_EQ(flat->calls[0].name, "read");
  EXPECT_EQ(flat->calls[1].name, "write");
  const FlatCall& ioctl = flat->calls[2];
  ASSERT_EQ(ioctl.clauses.size(), 2U);
  EXPECT_EQ(ioctl.clauses[0].profile, "base");
  EXPECT_EQ(ioctl.clauses[1].profile, "leaf");
  EXPECT_EQ(matchingClause(*flat, 16, {0, 0x5412}), &ioctl.clauses[0]);
  EXPECT_EQ(matchingClause(*flat, 16, {0, 0x7700005412}), &ioctl.clauses[0]) << "dirty upper half";
  EXPECT_EQ(matchingClause(*flat, 16, {0, 0x5413}), &ioctl.clauses[1]);
  EXPECT_EQ(matchingClause(*flat, 17, {}), nullptr);
}

// Calls that are allowed whatever their arguments are answered by the kernel's bitmap.
TEST(Flatten, PutsMeasuredCallsFirstWhoseArgumentsDecide) {
  const auto set =
      setOf({{"leaf",
              kHead +
                  "[measured]\nsource = \"x\"\n"
                  "calls = { read = 9000, fcntl = 300, ioctl = 600, prctl = 9, socket = 300 }\n" +
                  rule("read") + rule("ioctl", when("arg = 1, eq = 1")) +
                  rule("prctl", when("arg = 0, eq = 1")) + rule("fcntl", when("arg = 1, eq = 1")) +
                  rule("socket", when("arg = 0, eq = 1"))}});
  const auto flat = flatten(set, "leaf", {.arch = SeccompArch::x86_64});
  ASSERT_TRUE(flat) << flat.error().message;
  EXPECT_THAT(flat->hot, ::testing::ElementsAre(16, 41, 72)) << "ioctl, then socket and fcntl";
}

TEST(ReportingRefusals, HandsOverKillsAndTheDefaultOnly) {
  const auto set = setOf({{"leaf", kHead + rule("ptrace", "action = \"kill_process\"") +
                                       rule("clone3", "action = \"errno:ENOSYS\"") + rule("read") +
                                       rule("ioctl", "action = \"notify\"")}});
  const auto flat = flatten(set, "leaf", {.arch = SeccompArch::x86_64});
  ASSERT_TRUE(flat) << flat.error().message;
  const FlatProfile reporting = reportingRefusals(*flat);
  EXPECT_EQ(toString(reporting.defaultAction), "notify");
  ASSERT_EQ(reporting.calls.size(), 4U);
  EXPECT_EQ(toString(reporting.calls[0].clauses[0].action), "allow") << "read";
  EXPECT_EQ(toString(reporting.calls[1].clauses[0].action), "notify") << "ioctl";
  EXPECT_EQ(toString(reporting.calls[2].clauses[0].action), "notify") << "ptrace";
  EXPECT_EQ(toString(reporting.calls[3].clauses[0].action), "errno:ENOSYS") << "clone3";
}

TEST(Flatten, LeavesOutCallsThatTheArchitectureLacks) {
  const auto set = setOf({{"leaf", kHead + rule("epoll_wait") + rule("epoll_pwait")}});
  const auto arm = flatten(set, "leaf", {.arch = SeccompArch::aarch64});
  ASSERT_TRUE(arm) << arm.error().message;
  ASSERT_EQ(arm->calls.size(), 1U);
  EXPECT_EQ(arm->calls[0].name, "epoll_pwait");
  EXPECT_EQ(flatten(set, "leaf", {.arch = SeccompArch::x86_64})->calls.size(), 2U);
}

TEST(Flatten, PermitsLogOnlyWhenAsked) {
  const auto set = setOf({{"leaf", "schema = 1\ndefault = \"log\"\n" + rule("read")},
                          {"two", kHead + rule("read", "action = \"log\"")}});
  for (const char* name : {"leaf", "two"}) {
    const auto refused = flatten(set, name);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("'log' lets the call through"));
    EXPECT_TRUE(flatten(set, name, {.permitLog = true})) << name;
  }
}

TEST(Flatten, ToleratesParentsThatRepeatTheDefault) {
  const auto set = setOf(
      {{"base", "schema = 1\n" + rule("ptrace", "action = \"kill_process\"")},
       {"own", "schema = 1\nextends = [\"base\"]\ndefault = \"kill_process\"\n" + rule("read")}});
  EXPECT_TRUE(flatten(set, "own"));
}

struct Fault {
  const char* what;
  std::string parent;  // "" or the rules of the profile that "leaf" extends
  std::string rules;   // of "leaf"
  const char* message;
};
void PrintTo(const Fault& f, std::ostream* out) {
  *out << f.what;
}

class FaultySet : public ::testing::TestWithParam<Fault> {};

TEST_P(FaultySet, IsRefused) {
  const Fault& f = GetParam();
  const auto set = setOf({{"parent", "schema = 1\n" + f.parent},
                          {"leaf", "extends = [\"parent\"]\n" + kHead + f.rules}});
  const auto flat = flatten(set, "leaf");
  ASSERT_FALSE(flat);
  EXPECT_THAT(flat.error().message, HasSubstr(f.message));
}

const std::string kKill = "action = \"kill_process\"\n";

INSTANTIATE_TEST_SUITE_P(
    Rules, FaultySet,
    ::testing::Values(
        Fault{"unknownCall", "", rule("raed"), "leaf.toml:4: there is no system call 'raed'"},
        Fault{"conflict", rule("ptrace", kKill), rule("ptrace"),
              "conflict over 'ptrace': parent.toml:2 says kill_process, leaf.toml:4 says allow"},
        Fault{"repeated", rule("read"), rule("read"), "redundant rule: 'read' of leaf.toml:4"},
        Fault{"afterUnconditional", rule("socket"), rule("socket", kKill + when("arg = 0, eq = 1")),
              "can never apply after the unconditional one of parent.toml:2"},
        Fault{"madeUseless", rule("socket", when("arg = 0, eq = 1")), rule("socket"),
              "'socket' of parent.toml:2 is covered by leaf.toml:4"},
        Fault{"coveredByIn", rule("socket", when("arg = 0, in = [1, 2]")),
              rule("socket", when("arg = 0, eq = 2")), "leaf.toml:4 is covered by parent.toml:2"},
        Fault{"coveredByWider", rule("socket", when("arg = 0, eq = 2")),
              rule("socket", when("arg = 0, in = [1, 2]")), "parent.toml:2 is covered by leaf"},
        Fault{"coveredByMask", rule("socket", when("arg = 0, none_of = [0x10]")),
              rule("socket", when("arg = 0, in = [1, 2]")), "covered by parent.toml:2"},
        Fault{"coveredByFewer", rule("socket", when("arg = 0, eq = 1")),
              rule("socket", "when = [{ arg = 0, eq = 1 }, { arg = 1, eq = 2 }]"), "is covered by"},
        Fault{"overlap", rule("socket", kKill + when("arg = 1, eq = 3")),
              rule("socket", when("arg = 0, eq = 1")), "can both match the same arguments"},
        Fault{"overlapFlags", rule("clone", kKill + when("arg = 0, masked = 0x10, eq = 0x10")),
              rule("clone", when("arg = 0, none_of = [0x20]")), "can both match"},
        Fault{"isDefault", "", rule("read", "action = \"errno:EPERM\""),
              "'read' of leaf.toml:4 repeats the default, errno:EPERM"},
        Fault{"isDefaultConditional", "",
              rule("socket", "action = \"errno:EPERM\"\n" + when("arg = 0, eq = 1")),
              "repeats the default"},
        Fault{"log", rule("read", "action = \"log\""), rule("write"), "parent.toml:2: 'log'"},
        Fault{"measured", "", "[measured]\nsource = \"x\"\ncalls = { write = 1 }\n" + rule("read"),
              "measured call 'write' has no rule"}),
    [](const auto& test) { return test.param.what; });

TEST(Flatten, RefusesUnknownAndCircularParents) {
  const auto set = setOf({{"a", "extends = [\"b\"]\n" + kHead},
                          {"b", "schema = 1\nextends = [\"c\"]\n"},
                          {"c", "schema = 1\nextends = [\"a\"]\n"},
                          {"self", "extends = [\"self\"]\n" + kHead},
                          {"orphan", "extends = [\"nobody\"]\n" + kHead},
                          {"part", "schema = 1\n" + rule("read")}});
  EXPECT_THAT(flatten(set, "a").error().message, HasSubstr("extends itself: a -> b -> c -> a"));
  EXPECT_THAT(flatten(set, "self").error().message, HasSubstr("self -> self"));
  EXPECT_THAT(flatten(set, "orphan").error().message,
              HasSubstr("no seccomp profile 'nobody', which 'orphan' extends; there are: a, b"));
  EXPECT_THAT(flatten(set, "x").error().message, HasSubstr("no seccomp profile 'x'; there are"));
  EXPECT_THAT(flatten(set, "part").error().message, HasSubstr("has no 'default'"));
}

TEST(Flatten, AConditionalRefusalMayPrecedeAnAllowance) {
  const auto set = setOf(
      {{"leaf", kHead + rule("socket", "action = \"errno:EPERM\"\n" + when("arg = 0, eq = 16")) +
                    rule("socket")}});
  const auto flat = flatten(set, "leaf");
  ASSERT_TRUE(flat) << flat.error().message;
}

TEST(Syscalls, HaveNamesAndNumbers) {
  EXPECT_TRUE(isSyscallName("openat"));
  EXPECT_TRUE(isSyscallName("_llseek")) << "of 32-bit machines only";
  EXPECT_FALSE(isSyscallName("opnat"));
  EXPECT_FALSE(isSyscallName(""));
  EXPECT_EQ(syscallNumber(nativeSeccompArch(), "openat"), SYS_openat);
  EXPECT_EQ(syscallNumber(SeccompArch::x86_64, "_llseek"), std::nullopt);
  EXPECT_EQ(syscallName(SeccompArch::x86_64, 59), "execve");
  EXPECT_EQ(syscallName(SeccompArch::aarch64, 221), "execve");
  EXPECT_EQ(syscallName(SeccompArch::x86_64, 9999), "#9999");
}

}  // namespace
}  // namespace orrery
