// A filter of frames as a program of the classic BPF machine (Documentation/networking/filter.rst):
// a value, its check, and the machine itself for who has no kernel at hand. Pure.
//
// Programs are of link type Ethernet: offset 0 is the first byte of the destination MAC. A load
// behind the end of the frame ends the program with 0, as in the kernel (bpf(4), filter.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace orrery {

struct BpfInstruction {  // struct sock_filter
  std::uint16_t code = 0;
  std::uint8_t jumpTrue = 0;
  std::uint8_t jumpFalse = 0;
  std::uint32_t k = 0;
  friend bool operator==(const BpfInstruction&, const BpfInstruction&) = default;
};
using BpfProgram = std::vector<BpfInstruction>;

// What one match of nftables' takes (XT_BPF_MAX_NUM_INSTR, linux/netfilter/xt_bpf.h).
inline constexpr std::size_t kMaxBpfInstructions = 64;

// Nothing if the machine can run it to an end: known instructions, jumps within, memory cells that
// exist, no division by zero, constants as results, loads only of bytes of the frame. That is less
// than the kernel allows: no ancillary data (which tells of more than the frame).
Status checkProgram(const BpfProgram& program);

// The result of a checked program: 0 "no", else "yes".
std::uint32_t runProgram(const BpfProgram& program, std::span<const std::uint8_t> frame);

// The same program for nftables' bridge hooks, where offset 0 is the first byte behind the Ethernet
// header and that is reached by SKF_LL_OFF (linux/filter.h). Err if it computes offsets that may
// lie on either side, or has become longer than kMaxBpfInstructions.
Result<BpfProgram> forBridgeHooks(const BpfProgram& program);

// "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0": length, then code, jumps and constant of each, as tcpdump
// -ddd and iptables' bpf match have it. The reader takes up to 4096 instructions, and checks none.
std::string toText(const BpfProgram& program);
Result<BpfProgram> parseProgram(std::string_view text);

}  // namespace orrery
