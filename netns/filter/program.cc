#include "netns/filter/program.h"

#include <linux/bpf_common.h>
#include <linux/filter.h>

#include <array>
#include <optional>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::uint32_t kEthernetHeader = 14;  // bytes
constexpr std::uint32_t kMostOffset = 0xffff;  // of a load: no frame is longer
constexpr std::size_t kMostWords = 4096;       // BPF_MAXINSNS
constexpr std::uint32_t kLinkLayer = static_cast<std::uint32_t>(SKF_LL_OFF);

bool isLoad(const BpfInstruction& i) {
  return BPF_CLASS(i.code) == BPF_LD || BPF_CLASS(i.code) == BPF_LDX;
}
// Of the packet's length, which the bridge hooks count without the Ethernet header.
bool isLength(const BpfInstruction& i) {
  return isLoad(i) && BPF_MODE(i.code) == BPF_LEN;
}
bool isAbsolute(const BpfInstruction& i) {
  return isLoad(i) && (BPF_MODE(i.code) == BPF_ABS || BPF_MODE(i.code) == BPF_MSH);
}
bool isIndirect(const BpfInstruction& i) {
  return BPF_CLASS(i.code) == BPF_LD && BPF_MODE(i.code) == BPF_IND;
}
bool isConditional(const BpfInstruction& i) {
  return BPF_CLASS(i.code) == BPF_JMP && BPF_OP(i.code) != BPF_JA;
}

std::uint32_t sizeOf(const BpfInstruction& i) {
  switch (BPF_SIZE(i.code)) {
    case BPF_W:
      return 4;
    case BPF_H:
      return 2;
    default:
      return 1;
  }
}

Status checkLoad(const BpfInstruction& i) {
  switch (i.code) {
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_LD | BPF_W | BPF_LEN:
      return {};
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
      return i.k < BPF_MEMWORDS ? Status{} : error("a memory cell that does not exist");
    case BPF_LD | BPF_W | BPF_ABS:
    case BPF_LD | BPF_H | BPF_ABS:
    case BPF_LD | BPF_B | BPF_ABS:
    case BPF_LD | BPF_W | BPF_IND:
    case BPF_LD | BPF_H | BPF_IND:
    case BPF_LD | BPF_B | BPF_IND:
    case BPF_LDX | BPF_B | BPF_MSH:
      return i.k <= kMostOffset ? Status{} : error("a load from outside of the frame");
    default:
      return error("an unknown load {:#06x}", i.code);
  }
}

Status checkArithmetic(const BpfInstruction& i) {
  const auto op = BPF_OP(i.code);
  const bool constant = BPF_SRC(i.code) == BPF_K;
  if (op > BPF_XOR || (op == BPF_NEG && !constant) || (i.code & 0xff00u) != 0)
    return error("unknown arithmetic {:#06x}", i.code);
  if (constant && (op == BPF_DIV || op == BPF_MOD) && i.k == 0) return error("a division by zero");
  if (constant && (op == BPF_LSH || op == BPF_RSH) && i.k >= 32) return error("a shift by {}", i.k);
  return {};
}

Status checkJump(const BpfInstruction& i, std::size_t left) {
  const auto op = BPF_OP(i.code);
  if (op == BPF_JA)
    return i.code == (BPF_JMP | BPF_JA) && i.k < left ? Status{} : error("a jump out of it");
  if (op > BPF_JSET || (i.code & 0xff00u) != 0) return error("an unknown jump {:#06x}", i.code);
  if (i.jumpTrue >= left || i.jumpFalse >= left) return error("a jump out of it");
  return {};
}

Status checkInstruction(const BpfInstruction& i, std::size_t left) {
  switch (BPF_CLASS(i.code)) {
    case BPF_LD:
    case BPF_LDX:
      return checkLoad(i);
    case BPF_ST:
    case BPF_STX:
      if (i.code != BPF_ST && i.code != BPF_STX) return error("an unknown store {:#06x}", i.code);
      return i.k < BPF_MEMWORDS ? Status{} : error("a memory cell that does not exist");
    case BPF_ALU:
      return checkArithmetic(i);
    case BPF_JMP:
      return checkJump(i, left);
    case BPF_RET:
      return i.code == (BPF_RET | BPF_K) ? Status{} : error("a computed result");
    default:
      if (i.code == (BPF_MISC | BPF_TAX) || i.code == (BPF_MISC | BPF_TXA)) return {};
      return error("an unknown instruction {:#06x}", i.code);
  }
}

class Machine {
 public:
  Machine(const BpfProgram& program, std::span<const std::uint8_t> frame)
      : program_(program), frame_(frame) {}

  std::uint32_t run() {
    for (std::size_t pc = 0; pc < program_.size(); ++pc) {
      const BpfInstruction& i = program_[pc];
      switch (BPF_CLASS(i.code)) {
        case BPF_RET:
          return i.k;
        case BPF_LD:
        case BPF_LDX: {
          const auto value = load(i);
          if (!value) return 0;
          (BPF_CLASS(i.code) == BPF_LD ? a_ : x_) = *value;
          break;
        }
        case BPF_ST:
          memory_[i.k] = a_;
          break;
        case BPF_STX:
          memory_[i.k] = x_;
          break;
        case BPF_ALU:
          if (!compute(i)) return 0;
          break;
        case BPF_JMP:
          pc += jump(i);
          break;
        default:
          i.code == (BPF_MISC | BPF_TAX) ? x_ = a_ : a_ = x_;
          break;
      }
    }
    return 0;
  }

 private:
  std::optional<std::uint32_t> bytesAt(std::uint64_t offset, std::uint32_t size) const {
    if (offset + size > frame_.size()) return std::nullopt;
    std::uint32_t value = 0;
    for (std::uint32_t n = 0; n < size; ++n) value = value << 8 | frame_[offset + n];
    return value;
  }
  std::optional<std::uint32_t> load(const BpfInstruction& i) const {
    switch (BPF_MODE(i.code)) {
      case BPF_IMM:
        return i.k;
      case BPF_MEM:
        return memory_[i.k];
      case BPF_LEN:
        return static_cast<std::uint32_t>(frame_.size());
      case BPF_ABS:
        return bytesAt(i.k, sizeOf(i));
      case BPF_IND:  // the sum is a 32-bit number; one that is negative lies outside
        return bytesAt(static_cast<std::uint32_t>(x_ + i.k), sizeOf(i));
      default: {  // BPF_MSH: the length of an IPv4 header
        const auto byte = bytesAt(i.k, 1);
        if (!byte) return std::nullopt;
        return (*byte & 0xf) * 4;
      }
    }
  }
  bool compute(const BpfInstruction& i) {
    const std::uint32_t v = BPF_SRC(i.code) == BPF_K ? i.k : x_;
    switch (BPF_OP(i.code)) {
      case BPF_ADD:
        a_ += v;
        return true;
      case BPF_SUB:
        a_ -= v;
        return true;
      case BPF_MUL:
        a_ *= v;
        return true;
      case BPF_DIV:
        if (v != 0) a_ /= v;
        return v != 0;
      case BPF_MOD:
        if (v != 0) a_ %= v;
        return v != 0;
      case BPF_OR:
        a_ |= v;
        return true;
      case BPF_AND:
        a_ &= v;
        return true;
      case BPF_XOR:
        a_ ^= v;
        return true;
      case BPF_LSH:  // by the low five bits, as the kernel's own machine does
        a_ <<= v & 31;
        return true;
      case BPF_RSH:
        a_ >>= v & 31;
        return true;
      default:
        a_ = 0 - a_;
        return true;
    }
  }
  std::size_t jump(const BpfInstruction& i) const {
    const std::uint32_t v = BPF_SRC(i.code) == BPF_K ? i.k : x_;
    bool taken = false;
    switch (BPF_OP(i.code)) {
      case BPF_JA:
        return i.k;
      case BPF_JEQ:
        taken = a_ == v;
        break;
      case BPF_JGT:
        taken = a_ > v;
        break;
      case BPF_JGE:
        taken = a_ >= v;
        break;
      default:
        taken = (a_ & v) != 0;
        break;
    }
    return taken ? i.jumpTrue : i.jumpFalse;
  }

  const BpfProgram& program_;
  std::span<const std::uint8_t> frame_;
  std::uint32_t a_ = 0, x_ = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory_{};
};

// Places of the old instructions in the new program, where each LEN has one more behind it.
std::vector<std::size_t> newPlaces(const BpfProgram& program) {
  std::vector<std::size_t> places;
  std::size_t next = 0;
  for (const BpfInstruction& i : program) {
    places.push_back(next);
    next += isLength(i) ? 2 : 1;
  }
  return places;
}

// The distance to skip so as to come from `at` to `to`.
std::size_t distance(const std::vector<std::size_t>& places, std::size_t at, std::size_t skip) {
  return places[at + 1 + skip] - places[at] - 1;
}

Result<BpfInstruction> movedLoad(BpfInstruction i) {
  if (isIndirect(i)) {
    if (i.k < kEthernetHeader) return error("it computes a place that may lie before the packet");
    i.k -= kEthernetHeader;
    return i;
  }
  if (i.k >= kEthernetHeader) {
    i.k -= kEthernetHeader;
    return i;
  }
  if (BPF_MODE(i.code) != BPF_MSH && i.k + sizeOf(i) > kEthernetHeader)
    return error("it reads across the end of the Ethernet header");
  if (BPF_MODE(i.code) == BPF_MSH)
    return error("it takes a byte of the MAC addresses for a length");
  i.k += kLinkLayer;
  return i;
}

}  // namespace

Status checkProgram(const BpfProgram& program) {
  if (program.empty()) return error("a filter program of no instruction");
  if (program.size() > kMaxBpfInstructions)
    return error("a filter program of {} instructions; at most {} are possible", program.size(),
                 kMaxBpfInstructions);
  for (std::size_t n = 0; n < program.size(); ++n)
    if (Status s = checkInstruction(program[n], program.size() - n - 1); !s)
      return wrap(std::move(s).error(), "instruction {} of a filter program", n);
  if (BPF_CLASS(program.back().code) != BPF_RET)
    return error("a filter program that does not end with a result");
  return {};
}

std::uint32_t runProgram(const BpfProgram& program, std::span<const std::uint8_t> frame) {
  return Machine(program, frame).run();
}

Result<BpfProgram> forBridgeHooks(const BpfProgram& program) {
  const std::vector<std::size_t> places = newPlaces(program);
  BpfProgram moved;
  for (std::size_t n = 0; n < program.size(); ++n) {
    BpfInstruction i = program[n];
    if (isConditional(i)) {
      i.jumpTrue = static_cast<std::uint8_t>(distance(places, n, i.jumpTrue));
      i.jumpFalse = static_cast<std::uint8_t>(distance(places, n, i.jumpFalse));
    } else if (i.code == (BPF_JMP | BPF_JA)) {
      i.k = static_cast<std::uint32_t>(distance(places, n, i.k));
    } else if (isAbsolute(i) || isIndirect(i)) {
      ORRERY_TRY_ASSIGN(i, movedLoad(i));
    }
    moved.push_back(i);
    if (isLength(i)) moved.push_back({BPF_ALU | BPF_ADD | BPF_K, 0, 0, kEthernetHeader});
  }
  if (moved.size() > kMaxBpfInstructions)
    return error("it takes {} instructions; at most {} are possible", moved.size(),
                 kMaxBpfInstructions);
  return moved;
}

std::string toText(const BpfProgram& program) {
  std::string text = fmt::format("{}", program.size());
  for (const BpfInstruction& i : program)
    text += fmt::format(",{} {} {} {}", i.code, i.jumpTrue, i.jumpFalse, i.k);
  return text;
}

Result<BpfProgram> parseProgram(std::string_view text) {
  const auto parts = split(text, ',');
  const auto length = parseNumber<std::size_t>(parts.front());
  if (!length || *length > kMostWords || parts.size() != *length + 1)
    return error("no filter program: its length is not what it says");
  BpfProgram program;
  for (std::size_t n = 1; n < parts.size(); ++n) {
    const auto words = splitWords(parts[n]);
    if (words.size() != 4) return error("no filter program: instruction {}", n - 1);
    const auto code = parseNumber<std::uint16_t>(words[0]);
    const auto yes = parseNumber<std::uint8_t>(words[1]), no = parseNumber<std::uint8_t>(words[2]);
    const auto k = parseNumber<std::uint32_t>(words[3]);
    if (!code || !yes || !no || !k) return error("no filter program: instruction {}", n - 1);
    program.push_back({*code, *yes, *no, *k});
  }
  return program;
}

}  // namespace orrery
