// The check of filter programs, the machine that runs them, and their way into a bridge's hooks.
#include "netns/filter/program.h"

#include <gtest/gtest.h>
#include <linux/filter.h>

#include <string>
#include <vector>

namespace orrery {
namespace {

using Frame = std::vector<std::uint8_t>;

constexpr BpfInstruction kYes{BPF_RET | BPF_K, 0, 0, 1}, kNo{BPF_RET | BPF_K, 0, 0, 0};

Frame frameOf(std::size_t size) {
  Frame frame(size);
  for (std::size_t i = 0; i < size; ++i) frame[i] = static_cast<std::uint8_t>(i + 1);
  return frame;
}

TEST(FilterProgram, WhatCouldNotRunToAnEndIsRefused) {
  const struct {
    const char* name;
    BpfProgram program;
  } kCases[] = {
      {"nothing", {}},
      {"no result", {{BPF_LD | BPF_IMM, 0, 0, 1}}},
      {"a jump behind the end", {{BPF_JMP | BPF_JA, 0, 0, 1}, kYes}},
      {"a jump that wraps", {{BPF_JMP | BPF_JA, 0, 0, 0xffffffff}, kYes}},
      {"a branch behind the end", {{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 5}, kYes}},
      {"a division by zero", {{BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, kYes}},
      {"a remainder by zero", {{BPF_ALU | BPF_MOD | BPF_K, 0, 0, 0}, kYes}},
      {"a shift too far", {{BPF_ALU | BPF_LSH | BPF_K, 0, 0, 32}, kYes}},
      {"memory that is not there", {{BPF_ST, 0, 0, BPF_MEMWORDS}, kYes}},
      {"loading it", {{BPF_LD | BPF_MEM, 0, 0, BPF_MEMWORDS}, kYes}},
      {"ancillary data: what kind of packet", {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0xfffff004}, kYes}},
      {"relative to a header", {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0xfff00000}, kYes}},
      {"a computed result", {{BPF_RET | BPF_A, 0, 0, 0}}},
      {"an instruction of no class", {{0x77, 0, 0, 0}, kYes}},
      {"a load of no size", {{BPF_LD | 0x18 | BPF_ABS, 0, 0, 0}, kYes}},
      {"a call of eBPF", {{BPF_JMP | 0x80, 0, 0, 0}, kYes}},
      {"too many", BpfProgram(kMaxBpfInstructions + 1, kYes)},
  };
  for (const auto& each : kCases) EXPECT_FALSE(checkProgram(each.program)) << each.name;
  EXPECT_TRUE(checkProgram(BpfProgram(kMaxBpfInstructions, kYes)));
}

TEST(FilterProgram, ComputesAsTheMachineDoes) {
  const auto returns = [](std::vector<BpfInstruction> body, std::uint32_t wanted) {
    body.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, wanted});
    body.push_back(kYes);
    body.push_back(kNo);
    EXPECT_TRUE(checkProgram(body));
    return runProgram(body, frameOf(20)) == 1;
  };
  const auto with = [&](std::uint16_t op, std::uint32_t a, std::uint32_t v, std::uint32_t wanted) {
    const auto code = static_cast<std::uint16_t>(BPF_ALU | op | BPF_K);
    const auto byX = static_cast<std::uint16_t>(BPF_ALU | op | BPF_X);
    EXPECT_TRUE(returns({{BPF_LD | BPF_IMM, 0, 0, a}, {code, 0, 0, v}}, wanted)) << op;
    EXPECT_TRUE(returns({{BPF_LDX | BPF_IMM, 0, 0, v}, {BPF_LD | BPF_IMM, 0, 0, a}, {byX, 0, 0, 0}},
                        wanted))
        << op;
  };
  with(BPF_ADD, 0xffffffff, 2, 1);
  with(BPF_SUB, 1, 2, 0xffffffff);
  with(BPF_MUL, 0x10001, 0x10001, 0x20001);
  with(BPF_DIV, 17, 5, 3);
  with(BPF_MOD, 17, 5, 2);
  with(BPF_OR, 0xf0, 0x0f, 0xff);
  with(BPF_AND, 0xf1, 0x0f, 1);
  with(BPF_XOR, 0xff, 0x0f, 0xf0);
  with(BPF_LSH, 1, 31, 0x80000000);
  with(BPF_RSH, 0x80000000, 31, 1);
  EXPECT_TRUE(returns({{BPF_LD | BPF_IMM, 0, 0, 1}, {BPF_ALU | BPF_NEG, 0, 0, 0}}, 0xffffffff));
  EXPECT_TRUE(returns({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 2}}, 0x03040506)) << "big endian";
  EXPECT_TRUE(returns({{BPF_LD | BPF_H | BPF_ABS, 0, 0, 18}}, 0x1314));
  EXPECT_TRUE(returns({{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0}}, 20));
  EXPECT_TRUE(returns({{BPF_LDX | BPF_B | BPF_MSH, 0, 0, 4}, {BPF_MISC | BPF_TXA, 0, 0, 0}}, 20))
      << "byte 5: four times its lower half";
  EXPECT_TRUE(returns({{BPF_LDX | BPF_IMM, 0, 0, 3}, {BPF_LD | BPF_B | BPF_IND, 0, 0, 4}}, 8));
  EXPECT_TRUE(returns({{BPF_LD | BPF_IMM, 0, 0, 7},
                       {BPF_ST, 0, 0, 15},
                       {BPF_LD | BPF_IMM, 0, 0, 1},
                       {BPF_LDX | BPF_MEM, 0, 0, 15},
                       {BPF_MISC | BPF_TXA, 0, 0, 0}},
                      7));
}

TEST(FilterProgram, ALoadBehindTheEndSaysNo) {
  for (const BpfInstruction& load : BpfProgram{{BPF_LD | BPF_W | BPF_ABS, 0, 0, 17},
                                               {BPF_LD | BPF_H | BPF_ABS, 0, 0, 19},
                                               {BPF_LD | BPF_B | BPF_ABS, 0, 0, 20},
                                               {BPF_LDX | BPF_B | BPF_MSH, 0, 0, 20}}) {
    const BpfProgram program = {load, kYes};
    EXPECT_EQ(runProgram(program, frameOf(20)), 0u) << load.code;
    EXPECT_EQ(runProgram(program, frameOf(21)), 1u) << load.code;
  }
  const BpfProgram indirect = {
      {BPF_LDX | BPF_IMM, 0, 0, 0xffffffff}, {BPF_LD | BPF_B | BPF_IND, 0, 0, 0}, kYes};
  EXPECT_EQ(runProgram(indirect, frameOf(20)), 0u);
}

// The packet's length lacks the Ethernet header at a bridge's hook: it is added again, and jumps
// across that are longer by one.
TEST(FilterProgram, AtABridgesHookPlacesAreCountedFromThePacket) {
  const BpfProgram program = {{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
                              {BPF_JMP | BPF_JGE | BPF_K, 0, 3, 60},
                              {BPF_LD | BPF_H | BPF_ABS, 0, 0, 12},
                              {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
                              {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x0800},
                              kYes,
                              kNo};
  const auto moved = forBridgeHooks(program);
  ASSERT_TRUE(moved);
  const BpfProgram expected = {{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
                               {BPF_ALU | BPF_ADD | BPF_K, 0, 0, 14},
                               {BPF_JMP | BPF_JGE | BPF_K, 0, 4, 60},
                               {BPF_LD | BPF_H | BPF_ABS, 0, 0, 0xffe0000c},
                               {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
                               {BPF_ALU | BPF_ADD | BPF_K, 0, 0, 14},
                               {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x0800},
                               kYes,
                               kNo};
  EXPECT_EQ(*moved, expected);
  EXPECT_EQ(forBridgeHooks({{BPF_LD | BPF_B | BPF_ABS, 0, 0, 23}, kYes})->front().k, 9u);
  EXPECT_EQ(forBridgeHooks({{BPF_LDX | BPF_B | BPF_MSH, 0, 0, 14}, kYes})->front().k, 0u);
  EXPECT_FALSE(forBridgeHooks({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 12}, kYes})) << "across";
  EXPECT_FALSE(forBridgeHooks({{BPF_LD | BPF_B | BPF_IND, 0, 0, 13}, kYes})) << "on either side";
  BpfProgram full(kMaxBpfInstructions, kYes);
  EXPECT_TRUE(forBridgeHooks(full));
  full[0] = {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0};
  EXPECT_FALSE(forBridgeHooks(full)) << "one too many";
}

TEST(FilterProgram, IsTheSameAfterBeingWrittenAndRead) {
  const BpfProgram program = {
      {BPF_LD | BPF_H | BPF_ABS, 0, 0, 12}, {BPF_JMP | BPF_JEQ | BPF_K, 255, 7, 0xffffffff}, kNo};
  EXPECT_EQ(toText(program), "3,40 0 0 12,21 255 7 4294967295,6 0 0 0");
  EXPECT_EQ(parseProgram(toText(program)).value(), program);
  for (const char* text : {"", "1", "0,6 0 0 0", "2,6 0 0 0", "1,6 0 0", "1,6 0 0 0 0",
                           "1,6 256 0 0", "1,6 0 0 -1", "1,6 0 0 4294967296", "5000", "1,x 0 0 0"})
    EXPECT_FALSE(parseProgram(text)) << text;
}

}  // namespace
}  // namespace orrery
