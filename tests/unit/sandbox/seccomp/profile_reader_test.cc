// Faulty texts and what is said about them; the values of a good one.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/socket.h>

#include "support.h"

namespace orrery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string withRule(const std::string& rule) {
  return "schema = 1\n[[rule]]\n" + rule;
}
std::string withCondition(const std::string& condition) {
  return withRule("calls = [\"socket\"]\nwhy = \"x\"\nwhen = [{ " + condition + " }]\n");
}

TEST(ReadProfile, KeepsWhatIsWritten) {
  const auto p = readProfile("demo", R"(schema = 1
extends = ["base"]
default = "errno:EPERM"
[measured]
source = "strace -c"
calls = { write = 7, read = 30 }
[[exception]]
law = "netlink"
why = "asks"
[[rule]]
calls = ["socket", "socketpair"]
when = [{ arg = 0, in = ["AF_UNIX", "AF_INET"] }, { arg = 1, masked = "SOCK_TYPE_MASK", eq = "SOCK_STREAM" }]
why = "talks"
[[rule]]
calls = ["clone"]
action = "errno:ENOSYS"
when = [{ arg = 0, none_of = ["CLONE_NEWNET", "CLONE_NEWUSER"] }, { arg = 1, width = 64, only = [0xff] }]
why = "threads"
)");
  ASSERT_TRUE(p) << p.error().message;
  EXPECT_EQ(p->name, "demo");
  EXPECT_THAT(p->extends, ElementsAre("base"));
  EXPECT_EQ(p->measured.source, "strace -c");
  EXPECT_THAT(p->measured.calls, ElementsAre(std::pair("read", std::uint64_t{30}),
                                             std::pair("write", std::uint64_t{7})));
  ASSERT_EQ(p->exceptions.size(), 1U);
  EXPECT_EQ(p->exceptions[0].law, "netlink");
  EXPECT_EQ(p->exceptions[0].why, "asks");
  EXPECT_EQ(p->exceptions[0].profile, "demo");
  EXPECT_EQ(p->exceptions[0].line, 7U);
  EXPECT_EQ(p->defaultAction, (SeccompAction{SeccompAction::Kind::errnoValue, EPERM}));
  ASSERT_EQ(p->rules.size(), 2U);
  const SeccompRule& first = p->rules[0];
  EXPECT_EQ(first.line, 10U);
  EXPECT_THAT(first.calls, ElementsAre("socket", "socketpair"));
  EXPECT_THAT(
      first.when,
      ElementsAre(SeccompCondition{0, 0xffffffff, {AF_UNIX, AF_INET}, "arg0 in AF_UNIX, AF_INET"},
                  SeccompCondition{1, 0xf, {SOCK_STREAM}, "arg1 & SOCK_TYPE_MASK == SOCK_STREAM"}));
  const SeccompRule& second = p->rules[1];
  EXPECT_EQ(second.action, (SeccompAction{SeccompAction::Kind::errnoValue, ENOSYS}));
  EXPECT_EQ(second.when[0].mask, std::uint64_t{CLONE_NEWNET | CLONE_NEWUSER});
  EXPECT_THAT(second.when[0].values, ElementsAre(0));
  EXPECT_EQ(second.when[1].mask, ~0xffULL);
}

struct Fault {
  const char* what;
  std::string text;
  const char* message;
};
void PrintTo(const Fault& f, std::ostream* out) {
  *out << f.what;
}

class FaultyProfile : public ::testing::TestWithParam<Fault> {};

TEST_P(FaultyProfile, IsRefusedByName) {
  const auto p = readProfile("bad", GetParam().text);
  ASSERT_FALSE(p);
  EXPECT_THAT(p.error().message, HasSubstr("seccomp profile 'bad'"));
  EXPECT_THAT(p.error().message, HasSubstr(GetParam().message));
}

std::string deep(std::size_t levels) {
  return "schema = " + std::string(levels, '[') + std::string(levels, ']');
}

INSTANTIATE_TEST_SUITE_P(
    Texts, FaultyProfile,
    ::testing::Values(
        Fault{"syntax", "schema = = 1\n", "bad.toml"},
        Fault{"empty", "", "'schema = 1' is missing"},
        Fault{"schema", "schema = 2\n", "line 1: schema 2 is unknown"},
        Fault{"schemaType", "schema = \"1\"\n", "'schema' must be a number"},
        Fault{"key", "schema = 1\n\ndefalt = \"notify\"\n",
              "line 3: unknown key 'defalt' (did you mean 'default'?)"},
        Fault{"default", "schema = 1\ndefault = \"allow\"\n", "makes no sandbox"},
        Fault{"action", "schema = 1\ndefault = \"kill\"\n", "line 2: unknown action 'kill'"},
        Fault{"errno", "schema = 1\ndefault = \"errno:EWHAT\"\n", "unknown errno 'EWHAT'"},
        Fault{"extends", "schema = 1\nextends = \"base\"\n", "'extends' must be a list"},
        Fault{"twice", "schema = 1\nextends = [\"a\", \"a\"]\n", "names 'a' twice"},
        Fault{"rules", "schema = 1\nrule = 3\n", "'rule' must be a list of tables"},
        Fault{"ruleKey", withRule("calls = [\"read\"]\nwhy = \"x\"\nwhn = []\n"),
              "line 5: unknown key 'whn'"},
        Fault{"noCalls", withRule("why = \"x\"\n"), "line 2: a rule needs 'calls'"},
        Fault{"emptyCalls", withRule("calls = []\nwhy = \"x\"\n"), "'calls' is empty"},
        Fault{"callType", withRule("calls = [1]\nwhy = \"x\"\n"), "'calls' must be a string"},
        Fault{"noWhy", withRule("calls = [\"read\"]\n"), "a rule needs 'why': who needs read"},
        Fault{"emptyWhy", withRule("calls = [\"read\"]\nwhy = \"  \"\n"), "'why' is empty"},
        Fault{"emptyWhen", withRule("calls = [\"read\"]\nwhy = \"x\"\nwhen = []\n"),
              "'when' must be a list of conditions"},
        Fault{"noArg", withCondition("eq = 1"), "a condition needs 'arg'"},
        Fault{"arg", withCondition("arg = 6, eq = 1"), "calls have arguments 0 to 5"},
        Fault{"width", withCondition("arg = 0, width = 16, eq = 1"), "it must be 32 or 64"},
        Fault{"noMatcher", withCondition("arg = 0"), "needs one of eq, in, none_of, only"},
        Fault{"twoMatchers", withCondition("arg = 0, eq = 1, in = [2]"), "'eq' and 'in' in one"},
        Fault{"constant", withCondition("arg = 0, eq = \"AF_INTE\""),
              "unknown constant 'AF_INTE' (did you mean 'AF_INET'?)"},
        Fault{"negative", withCondition("arg = 0, eq = -1"), "must not be negative"},
        Fault{"tooWide", withCondition("arg = 0, eq = 0x100000000"), "does not fit in 32 bits"},
        Fault{"maskTooWide", withCondition("arg = 0, masked = 0x100000000, eq = 0"),
              "mask 0x100000000 does not fit"},
        Fault{"never", withCondition("arg = 0, masked = 0xf, eq = 0x10"), "never holds"},
        Fault{"always", withCondition("arg = 0, only = [0xffffffff]"), "always holds"},
        Fault{"maskedFlags", withCondition("arg = 0, masked = 1, none_of = [1]"),
              "'masked' goes with 'eq' or 'in', not with 'none_of'"},
        Fault{"emptyIn", withCondition("arg = 0, in = []"), "expected a list of values"},
        Fault{"inTwice", withCondition("arg = 0, in = [\"AF_UNIX\", 1]"), "0x1 stands there twice"},
        Fault{"conditionKey", withCondition("arg = 0, eq = 1, nonof = [1]"), "unknown key 'nonof'"},
        Fault{"measuredType", "schema = 1\nmeasured = 3\n", "must be a table: [measured]"},
        Fault{"measuredSource", "schema = 1\n[measured]\ncalls = { read = 1 }\n",
              "need 'source': how they were counted"},
        Fault{"measuredCalls", "schema = 1\n[measured]\nsource = \"x\"\n", "need 'calls'"},
        Fault{"measuredCount", "schema = 1\n[measured]\nsource = \"x\"\ncalls = { read = 0 }\n",
              "'read' was counted 0 times"},
        Fault{"exceptionLaw", "schema = 1\n[[exception]]\nwhy = \"x\"\n",
              "line 2: an exception needs 'law'"},
        Fault{"exceptionWhy", "schema = 1\n[[exception]]\nlaw = \"netlink\"\n",
              "an exception needs 'why'"},
        Fault{"size", "schema = 1\n#" + std::string(kMaxProfileText, 'x'), "the limit is 65536"},
        Fault{"brackets", deep(1001), "more than 1000 brackets"},
        Fault{"nesting", deep(900), "'schema' must be a number"}),
    [](const auto& test) { return test.param.what; });

TEST(ReadProfile, RefusesNamesThatAreNoFileNames) {
  for (const char* name : {"", "../base", "Tor", "a b"})
    EXPECT_FALSE(readProfile(name, "schema = 1\n")) << name;
}

TEST(SeccompAction, IsWrittenAsItIsRead) {
  for (const char* text :
       {"allow", "kill_process", "notify", "log", "absent", "errno:EPERM", "errno:ENOSYS"}) {
    const auto action = parseSeccompAction(text);
    ASSERT_TRUE(action) << text;
    EXPECT_EQ(toString(*action), text);
    EXPECT_EQ(seccompActionOf(seccompReturn(*action)), *action) << text;
  }
  EXPECT_EQ(seccompActionOf(SECCOMP_RET_TRAP).kind, SeccompAction::Kind::killProcess);
}

}  // namespace
}  // namespace orrery
