// The evaluator against the rules of the kernel's checker, and instruction by instruction.
#include "sandbox/seccomp/bpf_eval.h"

#include <gmock/gmock.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>

#include <cstddef>

#include "support.h"

namespace orrery {
namespace {

using test::callData;
using ::testing::HasSubstr;
using Program = std::vector<sock_filter>;

constexpr sock_filter ins(int code, std::uint32_t k = 0, std::uint8_t jt = 0, std::uint8_t jf = 0) {
  return sock_filter{static_cast<std::uint16_t>(code), jt, jf, k};
}
constexpr sock_filter kRetA = ins(BPF_RET | BPF_A);
constexpr sock_filter kAllow = ins(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

struct Malformed {
  const char* what;
  Program program;
  const char* message;
};
void PrintTo(const Malformed& m, std::ostream* out) {
  *out << m.what;
}
class MalformedProgram : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedProgram, IsRefusedAndKills) {
  const Status checked = checkProgram(GetParam().program);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr(GetParam().message));
  EXPECT_EQ(evaluate(GetParam().program, callData(0)), SECCOMP_RET_KILL_PROCESS);
}

INSTANTIATE_TEST_SUITE_P(
    Programs, MalformedProgram,
    ::testing::Values(
        Malformed{"empty", {}, "empty program"},
        Malformed{"tooLong", Program(4097, kAllow), "4097 instructions"},
        Malformed{"noReturn", {ins(BPF_LD | BPF_IMM, 1)}, "the last instruction is no return"},
        Malformed{"unaligned", {ins(BPF_LD | BPF_W | BPF_ABS, 2), kAllow}, "load from offset 2"},
        Malformed{"outside", {ins(BPF_LD | BPF_W | BPF_ABS, 64), kAllow}, "load from offset 64"},
        Malformed{"byteLoad", {ins(BPF_LD | BPF_B | BPF_ABS, 0), kAllow}, "unknown code"},
        Malformed{"indirect", {ins(BPF_LD | BPF_W | BPF_IND, 0), kAllow}, "unknown code"},
        Malformed{"retX", {ins(BPF_RET | BPF_X)}, "unknown code"},
        Malformed{"modulo", {ins(BPF_ALU | BPF_MOD | BPF_K, 3), kAllow}, "unknown code"},
        Malformed{"highBits", {ins(0x100 | BPF_RET | BPF_K)}, "unknown code"},
        Malformed{"divideByZero", {ins(BPF_ALU | BPF_DIV | BPF_K, 0), kAllow}, "division by zero"},
        Malformed{"shift", {ins(BPF_ALU | BPF_LSH | BPF_K, 32), kAllow}, "shift by 32"},
        Malformed{"jumpAlways", {ins(BPF_JMP | BPF_JA, 1), kAllow}, "jump past the end"},
        Malformed{"jumpHuge", {ins(BPF_JMP | BPF_JA, 0xffffffff), kAllow}, "jump past the end"},
        Malformed{"jumpTrue", {ins(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), kAllow}, "past the end"},
        Malformed{"jumpFalse", {ins(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), kAllow}, "past the end"},
        Malformed{"scratch", {ins(BPF_ST, 16), kAllow}, "scratch word 16"},
        Malformed{"unwritten", {ins(BPF_LD | BPF_MEM, 3), kAllow}, "is read before it is written"},
        Malformed{"unwrittenOnOneWay",
                  {ins(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), ins(BPF_ST, 3),
                   ins(BPF_LD | BPF_MEM, 3), kAllow},
                  "instruction 2: scratch word 3"}),
    [](const auto& test) { return test.param.what; });

struct Computed {
  const char* what;
  Program program;
  std::uint32_t result;
};
void PrintTo(const Computed& c, std::ostream* out) {
  *out << c.what;
}
class Computation : public ::testing::TestWithParam<Computed> {};

TEST_P(Computation, GivesTheResult) {
  ASSERT_TRUE(checkProgram(GetParam().program));
  const seccomp_data data =
      callData(7, {0x1111111122222222, 0, 0, 0, 0, 0xaaaaaaaabbbbbbbb}, AUDIT_ARCH_X86_64);
  EXPECT_EQ(evaluate(GetParam().program, data), GetParam().result);
}

// A = 12, X = 5, then one operation.
Program alu(int op, int source, std::uint32_t k = 0) {
  return {ins(BPF_LD | BPF_IMM, 12), ins(BPF_LDX | BPF_IMM, 5), ins(BPF_ALU | op | source, k),
          kRetA};
}
// A = 12, X = 5: 1 if the jump is taken.
Program jump(int op, int source, std::uint32_t k = 0) {
  return {ins(BPF_LD | BPF_IMM, 12), ins(BPF_LDX | BPF_IMM, 5), ins(BPF_JMP | op | source, k, 0, 1),
          ins(BPF_RET | BPF_K, 1), ins(BPF_RET | BPF_K, 2)};
}

INSTANTIATE_TEST_SUITE_P(
    Programs, Computation,
    ::testing::Values(
        Computed{"nr", {ins(BPF_LD | BPF_W | BPF_ABS, 0), kRetA}, 7},
        Computed{"arch", {ins(BPF_LD | BPF_W | BPF_ABS, 4), kRetA}, AUDIT_ARCH_X86_64},
        Computed{"argLow", {ins(BPF_LD | BPF_W | BPF_ABS, 16), kRetA}, 0x22222222},
        Computed{"argHigh", {ins(BPF_LD | BPF_W | BPF_ABS, 20), kRetA}, 0x11111111},
        Computed{"lastArgHigh", {ins(BPF_LD | BPF_W | BPF_ABS, 60), kRetA}, 0xaaaaaaaa},
        Computed{"length", {ins(BPF_LD | BPF_W | BPF_LEN), kRetA}, 64},
        Computed{"lengthX", {ins(BPF_LDX | BPF_W | BPF_LEN), ins(BPF_MISC | BPF_TXA), kRetA}, 64},
        Computed{"add", alu(BPF_ADD, BPF_K, 0xfffffff5), 1},
        Computed{"sub", alu(BPF_SUB, BPF_X), 7}, Computed{"mul", alu(BPF_MUL, BPF_X), 60},
        Computed{"div", alu(BPF_DIV, BPF_X), 2}, Computed{"and", alu(BPF_AND, BPF_K, 6), 4},
        Computed{"or", alu(BPF_OR, BPF_K, 3), 15}, Computed{"xor", alu(BPF_XOR, BPF_K, 10), 6},
        Computed{"lsh", alu(BPF_LSH, BPF_K, 31), 0}, Computed{"rsh", alu(BPF_RSH, BPF_K, 2), 3},
        Computed{"neg", alu(BPF_NEG, BPF_K), 0xfffffff4},
        Computed{"eqYes", jump(BPF_JEQ, BPF_K, 12), 1}, Computed{"eqNo", jump(BPF_JEQ, BPF_X), 2},
        Computed{"geYes", jump(BPF_JGE, BPF_K, 12), 1},
        Computed{"geNo", jump(BPF_JGE, BPF_K, 13), 2}, Computed{"gtYes", jump(BPF_JGT, BPF_X), 1},
        Computed{"gtNo", jump(BPF_JGT, BPF_K, 12), 2}, Computed{"setYes", jump(BPF_JSET, BPF_X), 1},
        Computed{"setNo", jump(BPF_JSET, BPF_K, 0x13), 2},
        Computed{"always",
                 {ins(BPF_JMP | BPF_JA, 1), ins(BPF_RET | BPF_K, 1), ins(BPF_RET | BPF_K, 2)},
                 2},
        Computed{"divideByX",
                 {ins(BPF_LDX | BPF_IMM, 0), ins(BPF_ALU | BPF_DIV | BPF_X), kAllow},
                 SECCOMP_RET_KILL_THREAD},
        Computed{"scratch",
                 {ins(BPF_LD | BPF_IMM, 9), ins(BPF_ST, 15), ins(BPF_MISC | BPF_TAX),
                  ins(BPF_STX, 0), ins(BPF_LD | BPF_IMM, 0), ins(BPF_LD | BPF_MEM, 15),
                  ins(BPF_LDX | BPF_MEM, 0), ins(BPF_ALU | BPF_ADD | BPF_X), kRetA},
                 18}),
    [](const auto& test) { return test.param.what; });

}  // namespace
}  // namespace orrery
