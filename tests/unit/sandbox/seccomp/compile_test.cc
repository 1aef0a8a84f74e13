// The compiled program says what the table says: for random profiles, and for the shipped ones with
// both outcomes of every jump taken.
#include "sandbox/seccomp/compile.h"

#include <gmock/gmock.h>
#include <linux/bpf_common.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>
#include <set>

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/dump.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

using test::Args;
using test::callData;
using ::testing::HasSubstr;

std::uint32_t expected(const FlatProfile& p, int number, const Args& args) {
  const FlatClause* clause = matchingClause(p, number, args);
  return seccompReturn(clause != nullptr ? clause->action : p.defaultAction);
}

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  std::uint64_t word() { return engine_(); }
  std::uint64_t below(std::uint64_t n) { return engine_() % n; }

  // An argument that is likely to be near what some condition asks for.
  std::uint64_t argument(const std::vector<SeccompCondition>& conditions) {
    if (conditions.empty() || below(8) == 0) return word();
    const SeccompCondition& c = conditions[below(conditions.size())];
    std::uint64_t v = c.values[below(c.values.size())] | (word() & ~c.mask);
    if (below(3) == 0) v ^= 1ULL << below(64);
    if (below(4) == 0) v &= 0xffffffff;
    return v;
  }
  SeccompCondition condition() {
    SeccompCondition c;
    c.arg = static_cast<unsigned>(below(6));
    const std::uint64_t width = below(3) == 0 ? ~0ULL : 0xffffffffULL;
    c.mask = below(2) == 0 ? width : word() & word() & width;
    if (c.mask == 0) c.mask = 1;
    const std::size_t count = below(3) == 0 ? 1 + below(5) : 1;
    for (std::size_t i = 0; i < count; ++i) c.values.push_back(below(4) == 0 ? 0 : word() & c.mask);
    return c;
  }
  SeccompAction action() {
    using Kind = SeccompAction::Kind;
    static constexpr SeccompAction kActions[] = {{Kind::allow, 0},
                                                 {Kind::killProcess, 0},
                                                 {Kind::notify, 0},
                                                 {Kind::errnoValue, 1},
                                                 {Kind::errnoValue, 38}};
    return kActions[below(std::size(kActions))];
  }

 private:
  std::mt19937_64 engine_;
};

// Any table, also ones that flatten() would refuse: compile() must keep the order of the clauses.
FlatProfile randomProfile(Dice& dice) {
  FlatProfile p;
  p.name = "random";
  p.arch = SeccompArch::x86_64;
  p.defaultAction = dice.action();
  std::set<int> numbers;
  const std::size_t count = dice.below(120);
  while (numbers.size() < count) numbers.insert(static_cast<int>(dice.below(470)));
  for (const int number : numbers) {
    FlatCall call;
    call.name = "call";
    call.number = number;
    const std::size_t clauses = dice.below(4);
    for (std::size_t i = 0; i < clauses; ++i) {
      FlatClause clause;
      for (std::size_t n = 1 + dice.below(3); n > 0; --n) clause.when.push_back(dice.condition());
      clause.action = dice.action();
      call.clauses.push_back(clause);
    }
    if (clauses == 0 || dice.below(2) == 0) {
      FlatClause last;
      last.action = dice.action();
      call.clauses.push_back(last);
    }
    if (dice.below(10) == 0) p.hot.push_back(number);
    p.calls.push_back(std::move(call));
  }
  return p;
}

std::vector<SeccompCondition> conditionsOf(const FlatCall& call, unsigned arg) {
  std::vector<SeccompCondition> out;
  for (const FlatClause& clause : call.clauses)
    for (const SeccompCondition& c : clause.when)
      if (c.arg == arg) out.push_back(c);
  return out;
}

Args randomArgs(Dice& dice, const FlatCall& call) {
  Args args{};
  for (unsigned i = 0; i < args.size(); ++i) args.at(i) = dice.argument(conditionsOf(call, i));
  return args;
}

void expectSame(const FlatProfile& p, const std::vector<sock_filter>& code, Dice& dice,
                int perCall) {
  const auto checked = CheckedProgram::of(code);
  ASSERT_TRUE(checked) << checked.error().message;
  for (const FlatCall& call : p.calls)
    for (int i = 0; i < perCall; ++i) {
      const Args args = randomArgs(dice, call);
      ASSERT_EQ(checked->run(callData(call.number, args)), expected(p, call.number, args))
          << p.name << ": " << call.name << " " << call.number;
    }
  for (int number = 0; number < 500; ++number)
    ASSERT_EQ(checked->run(callData(number)), expected(p, number, {})) << number;
}

TEST(Compile, AgreesWithTheTableForRandomProfiles) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    const FlatProfile p = randomProfile(dice);
    const auto program = compile(p);
    ASSERT_TRUE(program) << program.error().message;
    ASSERT_TRUE(checkProgram(*program)) << checkProgram(*program).error().message;
    ASSERT_NO_FATAL_FAILURE(expectSame(p, *program, dice, 12));
  }
}

// A shipped profile in one of its two forms.
struct Form {
  std::string name;
  bool reporting;
};
void PrintTo(const Form& form, std::ostream* out) {
  *out << form.name << (form.reporting ? " reporting" : "");
}

std::vector<Form> allForms() {
  std::vector<Form> out;
  for (const std::string_view name : embeddedProfileNames())
    for (const bool reporting : {false, true}) out.push_back(Form{std::string(name), reporting});
  return out;
}

class ShippedProfile : public ::testing::TestWithParam<Form> {
 protected:
  FlatProfile flat() const {
    FlatProfile p = test::x86Profile(test::shippedSet(), GetParam().name);
    return GetParam().reporting ? reportingRefusals(std::move(p)) : p;
  }
};

TEST_P(ShippedProfile, CompilesToWhatItsTableSays) {
  const FlatProfile p = flat();
  const auto program = compile(p);
  ASSERT_TRUE(program) << program.error().message;
  Dice dice(4711);
  expectSame(p, *program, dice, 150);
}

// The instructions that a call runs, and which outcomes of which jumps it takes. An interpreter of
// its own, for the few instructions that compile() writes.
struct Coverage {
  explicit Coverage(std::size_t size) : executed(size), taken(size * 2) {}
  std::vector<char> executed;
  std::vector<char> taken;
};

void visit(const std::vector<sock_filter>& program, const seccomp_data& data, Coverage& seen) {
  std::array<std::uint32_t, sizeof(seccomp_data) / 4> words{};
  std::memcpy(words.data(), &data, sizeof data);
  std::uint32_t a = 0;
  for (std::size_t pc = 0;; ++pc) {
    const sock_filter& f = program.at(pc);
    seen.executed.at(pc) = 1;
    if (BPF_CLASS(f.code) == BPF_RET) return;
    if (BPF_CLASS(f.code) == BPF_LD) a = words.at(f.k / 4);
    if (BPF_CLASS(f.code) == BPF_ALU) a &= f.k;
    if (BPF_CLASS(f.code) != BPF_JMP) continue;
    if (BPF_OP(f.code) == BPF_JA) {
      pc += f.k;
      continue;
    }
    const bool yes = BPF_OP(f.code) == BPF_JEQ   ? a == f.k
                     : BPF_OP(f.code) == BPF_JGE ? a >= f.k
                                                 : (a & f.k) != 0;
    seen.taken.at(pc * 2 + (yes ? 1 : 0)) = 1;
    pc += yes ? f.jt : f.jf;
  }
}

// No dead code: some call runs each instruction, and every jump goes both ways. And at every step
// program and table agree, so the equivalence is shown with full coverage.
TEST_P(ShippedProfile, AgreesWithItsTableOverEveryInstructionAndBranch) {
  const FlatProfile p = flat();
  const auto program = compile(p);
  ASSERT_TRUE(program) << program.error().message;
  const auto checked = CheckedProgram::of(*program);
  ASSERT_TRUE(checked) << checked.error().message;
  Coverage seen(program->size());
  const auto run = [&](int number, const Args& args) {
    visit(*program, callData(number, args), seen);
    ASSERT_EQ(checked->run(callData(number, args)), expected(p, number, args)) << number;
  };
  visit(*program, callData(0, {}, AUDIT_ARCH_I386), seen);
  visit(*program, callData(-1), seen);
  for (int number = 0; number < 500; ++number) ASSERT_NO_FATAL_FAILURE(run(number, {}));
  Dice dice(4711);
  for (const FlatCall& call : p.calls)
    for (int i = 0; i < 4000; ++i)
      ASSERT_NO_FATAL_FAILURE(run(call.number, randomArgs(dice, call)));
  for (std::size_t pc = 0; pc < program->size(); ++pc) {
    const std::uint16_t code = (*program)[pc].code;
    EXPECT_EQ(seen.executed[pc], 1) << pc << "\n" << toBytecodeText(*program);
    if (BPF_CLASS(code) != BPF_JMP || BPF_OP(code) == BPF_JA) continue;
    for (const bool outcome : {false, true})
      EXPECT_EQ(seen.taken[pc * 2 + (outcome ? 1 : 0)], 1)
          << pc << (outcome ? " yes" : " no") << "\n"
          << toBytecodeText(*program);
  }
}

// What the kernel's bitmap is made from (seccomp_is_const_allow() in kernel/seccomp.c, Linux 5.11):
// whether the filter allows a call by its number and architecture alone.
bool isConstantlyAllowed(const std::vector<sock_filter>& program, int number) {
  std::uint32_t a = 0;
  for (std::size_t pc = 0;; ++pc) {
    const sock_filter& f = program.at(pc);
    switch (BPF_CLASS(f.code)) {
      case BPF_LD:
        if (f.k == offsetof(seccomp_data, nr))
          a = static_cast<std::uint32_t>(number);
        else if (f.k == offsetof(seccomp_data, arch))
          a = AUDIT_ARCH_X86_64;
        else
          return false;
        break;
      case BPF_ALU:
        a &= f.k;
        break;
      case BPF_RET:
        return f.k == SECCOMP_RET_ALLOW;
      default:
        pc += BPF_OP(f.code) == BPF_JA ? f.k
              : (BPF_OP(f.code) == BPF_JEQ   ? a == f.k
                 : BPF_OP(f.code) == BPF_JGE ? a >= f.k
                                             : (a & f.k) != 0)
                  ? f.jt
                  : f.jf;
    }
  }
}

// So every measured call is cheap: free of the filter, or among the first to be tested.
TEST_P(ShippedProfile, AnswersMeasuredCallsFirstOrByTheKernelsBitmap) {
  const ProfileSet set = test::shippedSet();
  const FlatProfile p = flat();
  const auto program = compile(p);
  ASSERT_TRUE(program) << program.error().message;
  std::uint64_t total = 0;
  for (const auto& counted : set.at(p.name).measured.calls) total += counted.second;
  for (const auto& [call, count] : set.at(p.name).measured.calls) {
    const auto number = syscallNumber(SeccompArch::x86_64, call);
    ASSERT_TRUE(number) << call;
    const bool hot = std::find(p.hot.begin(), p.hot.end(), *number) != p.hot.end();
    const bool rare = count * 100 < total;
    EXPECT_TRUE(hot || rare || isConstantlyAllowed(*program, *number)) << call;
    EXPECT_FALSE(hot && isConstantlyAllowed(*program, *number)) << call;
  }
  if (!p.hot.empty()) {
    // arch, nr, x32, then the hot ones in their order; far targets cost a jump more.
    for (std::size_t i = 0; i < p.hot.size(); ++i)
      EXPECT_TRUE(std::any_of(program->begin(), program->begin() + 8 + 3 * static_cast<long>(i),
                              [&](const sock_filter& f) {
                                return f.code == (BPF_JMP | BPF_JEQ | BPF_K) &&
                                       f.k == static_cast<std::uint32_t>(p.hot[i]);
                              }))
          << p.hot[i];
  }
}

TEST_P(ShippedProfile, CompilesForTheOtherArchitecture) {
  const auto p = flatten(test::shippedSet(), GetParam().name, {.arch = SeccompArch::aarch64});
  ASSERT_TRUE(p) << p.error().message;
  const auto program = compile(GetParam().reporting ? reportingRefusals(*p) : *p);
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(evaluate(*program, callData(221, {}, AUDIT_ARCH_AARCH64)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(*program, callData(59, {}, AUDIT_ARCH_X86_64)), SECCOMP_RET_KILL_PROCESS);
}

INSTANTIATE_TEST_SUITE_P(All, ShippedProfile, ::testing::ValuesIn(allForms()),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name + (test.param.reporting ? "Reporting" : "");
                         });

FlatProfile simple() {
  FlatProfile p;
  p.name = "simple";
  p.arch = SeccompArch::x86_64;
  p.defaultAction = {SeccompAction::Kind::errnoValue, EPERM};
  for (const int number : {0, 1, 3}) {
    FlatCall call;
    call.number = number;
    call.clauses.emplace_back();
    p.calls.push_back(call);
  }
  return p;
}

TEST(Compile, KillsForeignArchitecturesAndX32) {
  const auto program = compile(simple());
  ASSERT_TRUE(program);
  EXPECT_EQ(evaluate(*program, callData(0)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(*program, callData(2)), SECCOMP_RET_ERRNO | EPERM);
  for (const std::uint32_t arch : test::kForeignArchs)
    EXPECT_EQ(evaluate(*program, callData(0, {}, arch)), SECCOMP_RET_KILL_PROCESS) << arch;
  for (const int number : {0x40000000, 0x40000001, 0x7fffffff, -1})
    EXPECT_EQ(evaluate(*program, callData(number)), SECCOMP_RET_KILL_PROCESS) << number;
  EXPECT_EQ(evaluate(*program, callData(0x3fffffff)), SECCOMP_RET_ERRNO | EPERM);
}

TEST(Compile, WritesASmallProgram) {
  const auto program = compile(simple());
  ASSERT_TRUE(program);
  EXPECT_EQ(toBytecodeText(*program),
            "   0: ld arch\n"
            "   1: jeq 0xc000003e -> 2, 4\n"
            "   2: ld nr\n"
            "   3: jge 0x40000000 -> 4, 5\n"
            "   4: ret 0x80000000 kill_process\n"
            "   5: jge 0x00000003 -> 7, 6\n"
            "   6: jge 0x00000002 -> 9, 8\n"
            "   7: jge 0x00000004 -> 9, 8\n"
            "   8: ret 0x7fff0000 allow\n"
            "   9: ret 0x00050001 errno:EPERM\n");
}

TEST(Compile, RefusesWhatTheKernelWould) {
  FlatProfile p = simple();
  SeccompCondition many;
  many.mask = ~0ULL;
  for (std::uint64_t v = 0; v < 1500; ++v) many.values.push_back(v << 20);
  FlatClause clause;
  clause.when.push_back(many);
  clause.action = {SeccompAction::Kind::killProcess, 0};
  p.calls[0].clauses.insert(p.calls[0].clauses.begin(), clause);
  const auto program = compile(p);
  ASSERT_FALSE(program);
  EXPECT_THAT(program.error().message, HasSubstr("the kernel takes 4096"));
}

TEST(Compile, ReachesFarTargets) {
  FlatProfile p = simple();
  SeccompCondition many;
  many.mask = 0xffffffff;
  for (std::uint64_t v = 0; v < 700; ++v) many.values.push_back(v * 3);
  FlatClause clause;
  clause.when.push_back(many);
  clause.action = {SeccompAction::Kind::killProcess, 0};
  p.calls[1].clauses.insert(p.calls[1].clauses.begin(), clause);
  p.hot = {3, 1};
  const auto program = compile(p);
  ASSERT_TRUE(program) << program.error().message;
  ASSERT_TRUE(checkProgram(*program));
  for (std::uint64_t v = 0; v < 2200; ++v)
    ASSERT_EQ(evaluate(*program, callData(1, {v})), expected(p, 1, {v})) << v;
}

TEST(Compile, RefusesHotCallsWithoutARule) {
  FlatProfile p = simple();
  p.hot = {2};
  EXPECT_THAT(compile(p).error().message, HasSubstr("hot call 2 has no rule"));
}

}  // namespace
}  // namespace orrery
