#include "sandbox/seccomp/bpf_eval.h"

#include <linux/bpf_common.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace orrery {
namespace {

constexpr std::uint32_t kScratchWords = BPF_MEMWORDS;  // 16

bool isConditional(std::uint16_t code) {
  const std::uint16_t op = BPF_OP(code);
  return BPF_CLASS(code) == BPF_JMP && op != BPF_JA;
}

bool usesScratch(std::uint16_t code) {
  return code == BPF_ST || code == BPF_STX || code == (BPF_LD | BPF_MEM) ||
         code == (BPF_LDX | BPF_MEM);
}

// The list of seccomp_check_filter(): everything else of classic BPF reads packets.
bool isKnown(std::uint16_t code) {
  static constexpr std::uint16_t kAluOps[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND,
                                              BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH};
  static constexpr std::uint16_t kJumpOps[] = {BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JSET};
  const auto operand = static_cast<std::uint16_t>(code & ~(BPF_CLASS(code) | BPF_SRC(code)));
  switch (BPF_CLASS(code)) {
    case BPF_LD:
    case BPF_LDX:
      return code == (BPF_LD | BPF_W | BPF_ABS) || code == (BPF_LD | BPF_W | BPF_LEN) ||
             code == (BPF_LDX | BPF_W | BPF_LEN) || code == (BPF_LD | BPF_IMM) ||
             code == (BPF_LDX | BPF_IMM) || usesScratch(code);
    case BPF_ST:
    case BPF_STX:
      return usesScratch(code);
    case BPF_ALU:
      return code == (BPF_ALU | BPF_NEG) ||
             std::find(std::begin(kAluOps), std::end(kAluOps), operand) != std::end(kAluOps);
    case BPF_JMP:
      return code == (BPF_JMP | BPF_JA) ||
             std::find(std::begin(kJumpOps), std::end(kJumpOps), operand) != std::end(kJumpOps);
    case BPF_RET:
      return code == (BPF_RET | BPF_K) || code == (BPF_RET | BPF_A);
    default:
      return code == (BPF_MISC | BPF_TAX) || code == (BPF_MISC | BPF_TXA);
  }
}

Status checkInstruction(const sock_filter& f, std::size_t at, std::size_t size) {
  if (!isKnown(f.code)) return error("instruction {}: unknown code {:#x}", at, f.code);
  if (f.code == (BPF_LD | BPF_W | BPF_ABS) && (f.k >= sizeof(seccomp_data) || f.k % 4 != 0))
    return error("instruction {}: load from offset {}", at, f.k);
  if (usesScratch(f.code) && f.k >= kScratchWords)
    return error("instruction {}: scratch word {}", at, f.k);
  if (f.code == (BPF_ALU | BPF_DIV | BPF_K) && f.k == 0)
    return error("instruction {}: division by zero", at);
  if ((f.code == (BPF_ALU | BPF_LSH | BPF_K) || f.code == (BPF_ALU | BPF_RSH | BPF_K)) && f.k >= 32)
    return error("instruction {}: shift by {}", at, f.k);
  const std::size_t left = size - at - 1;  // instructions behind this one
  if (f.code == (BPF_JMP | BPF_JA) && f.k >= left)
    return error("instruction {}: jump past the end", at);
  if (isConditional(f.code) && (f.jt >= left || f.jf >= left))
    return error("instruction {}: jump past the end", at);
  return {};
}

// Scratch words must be written on every way to where they are read.
Status checkScratch(std::span<const sock_filter> program) {
  std::vector<std::uint16_t> written(program.size(), 0xffff);  // on all ways that lead here by jump
  std::uint16_t now = 0;
  for (std::size_t i = 0; i < program.size(); ++i) {
    const sock_filter& f = program[i];
    now = static_cast<std::uint16_t>(now & written[i]);
    if (f.code == BPF_ST || f.code == BPF_STX) now = static_cast<std::uint16_t>(now | (1U << f.k));
    if ((f.code == (BPF_LD | BPF_MEM) || f.code == (BPF_LDX | BPF_MEM)) && (now & (1U << f.k)) == 0)
      return error("instruction {}: scratch word {} is read before it is written", i, f.k);
    if (BPF_CLASS(f.code) == BPF_JMP) {
      const bool always = !isConditional(f.code);
      const std::size_t yes = i + 1 + (always ? f.k : f.jt);
      const std::size_t no = i + 1 + (always ? f.k : f.jf);
      written[yes] = static_cast<std::uint16_t>(written[yes] & now);
      written[no] = static_cast<std::uint16_t>(written[no] & now);
    }
    if (BPF_CLASS(f.code) == BPF_JMP || BPF_CLASS(f.code) == BPF_RET) now = 0xffff;
  }
  return {};
}

struct Machine {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::array<std::uint32_t, kScratchWords> scratch{};
};

void load(Machine& m, const sock_filter& f, const seccomp_data& data) {
  std::uint32_t value = f.k;  // BPF_IMM
  if (f.code == (BPF_LD | BPF_W | BPF_ABS)) {
    std::array<char, sizeof(seccomp_data)> bytes{};
    std::memcpy(bytes.data(), &data, sizeof data);
    std::memcpy(&value, bytes.data() + f.k, sizeof value);
  } else if (BPF_MODE(f.code) == BPF_LEN) {
    value = sizeof(seccomp_data);
  } else if (BPF_MODE(f.code) == BPF_MEM) {
    value = m.scratch.at(f.k);
  }
  (BPF_CLASS(f.code) == BPF_LD ? m.a : m.x) = value;
}

// False: division by a zero in X, which ends the program with 0 as in the kernel.
bool calculate(Machine& m, const sock_filter& f) {
  const std::uint32_t v = BPF_SRC(f.code) == BPF_X ? m.x : f.k;
  switch (BPF_OP(f.code)) {
    case BPF_ADD:
      m.a += v;
      break;
    case BPF_SUB:
      m.a -= v;
      break;
    case BPF_MUL:
      m.a *= v;
      break;
    case BPF_DIV:
      if (v == 0) return false;
      m.a /= v;
      break;
    case BPF_AND:
      m.a &= v;
      break;
    case BPF_OR:
      m.a |= v;
      break;
    case BPF_XOR:
      m.a ^= v;
      break;
    case BPF_LSH:
      m.a <<= (v & 31U);
      break;
    case BPF_RSH:
      m.a >>= (v & 31U);
      break;
    default:
      m.a = 0U - m.a;  // BPF_NEG
  }
  return true;
}

std::size_t jumpOffset(const Machine& m, const sock_filter& f) {
  const std::uint32_t v = BPF_SRC(f.code) == BPF_X ? m.x : f.k;
  switch (BPF_OP(f.code)) {
    case BPF_JEQ:
      return m.a == v ? f.jt : f.jf;
    case BPF_JGE:
      return m.a >= v ? f.jt : f.jf;
    case BPF_JGT:
      return m.a > v ? f.jt : f.jf;
    case BPF_JSET:
      return (m.a & v) != 0 ? f.jt : f.jf;
    default:
      return f.k;  // BPF_JA
  }
}

}  // namespace

Status checkProgram(std::span<const sock_filter> program) {
  if (program.empty()) return error("empty program");
  if (program.size() > BPF_MAXINSNS)
    return error("{} instructions; the kernel takes {}", program.size(), BPF_MAXINSNS);
  for (std::size_t i = 0; i < program.size(); ++i)
    ORRERY_TRY(checkInstruction(program[i], i, program.size()));
  if (BPF_CLASS(program.back().code) != BPF_RET) return error("the last instruction is no return");
  return checkScratch(program);
}

std::uint32_t evaluate(std::span<const sock_filter> program, const seccomp_data& data) {
  const auto checked = CheckedProgram::of(program);
  return checked ? checked->run(data) : SECCOMP_RET_KILL_PROCESS;
}

Result<CheckedProgram> CheckedProgram::of(std::span<const sock_filter> program) {
  ORRERY_TRY(checkProgram(program));
  return CheckedProgram(program);
}

std::uint32_t CheckedProgram::run(const seccomp_data& data) const {
  Machine m;
  for (std::size_t pc = 0;; ++pc) {
    const sock_filter& f = program_[pc];
    switch (BPF_CLASS(f.code)) {
      case BPF_LD:
      case BPF_LDX:
        load(m, f, data);
        break;
      case BPF_ST:
        m.scratch.at(f.k) = m.a;
        break;
      case BPF_STX:
        m.scratch.at(f.k) = m.x;
        break;
      case BPF_ALU:
        if (!calculate(m, f)) return SECCOMP_RET_KILL_THREAD;
        break;
      case BPF_JMP:
        pc += jumpOffset(m, f);
        break;
      case BPF_RET:
        return f.code == (BPF_RET | BPF_A) ? m.a : f.k;
      default:
        if (f.code == (BPF_MISC | BPF_TAX))
          m.x = m.a;
        else
          m.a = m.x;
    }
  }
}

}  // namespace orrery
