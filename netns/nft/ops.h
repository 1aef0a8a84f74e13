// Instructions of the kernel's virtual machine, and their operands as bytes: the words that lower()
// writes in. Private to netns/nft.
//
// Register 1 serves all but the second operand of a nat and the parts of a key. Numbers are those
// of linux/netfilter/nf_tables.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "netns/nft/vm.h"

namespace orrery::nft::vm {

using Ops = std::vector<Op>;
using Attributes = std::vector<std::pair<std::uint16_t, std::string>>;

// --- operands ------------------------------------------------------------------------------------
template <class T>
std::string host(T value) {  // as in memory
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
std::string u32(std::uint64_t value);  // as in memory
std::string u8(std::uint8_t value);
std::string be16(std::uint16_t value);  // big endian
std::string be32(std::uint32_t value);

// --- instructions --------------------------------------------------------------------------------
Op op(const char* name, Attributes attributes = {});
Op meta(std::uint32_t key);
Op meta(std::uint32_t key, std::uint32_t reg);
Op payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length);
Op payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t reg);
Op ct(std::uint32_t key);
Op fib(std::uint32_t result, std::uint32_t flags);
Op mask(std::string bits);
Op compare(bool notEqual, std::string data);
Op immediate(std::uint32_t reg, std::string data);
Op verdict(int code, const std::string& chain = {});

struct KeyRange {
  std::string first, last;
};
// The register is (not) one of these values. An empty list is refused before (nft.cc).
Op test(bool negated, DataType type, const std::vector<KeyRange>& ranges);
template <class T, class F>
Op testEach(bool negated, DataType type, const std::vector<T>& values, F encode) {
  std::vector<KeyRange> ranges;
  ranges.reserve(values.size());
  for (const T& value : values) ranges.push_back({encode(value), encode(value)});
  return test(negated, type, ranges);
}

}  // namespace orrery::nft::vm
