#include "netns/nft/ops.h"

// libnftnl/expr.h names FILE without including <cstdio>.
// clang-format off
#include <cstdio>
#include <libnftnl/expr.h>
// clang-format on

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <optional>

namespace orrery::nft::vm {
namespace {

std::string network(std::uint32_t value, std::size_t length) {  // big endian
  std::string bytes(length, '\0');
  for (std::size_t i = 0; i < length; ++i)
    bytes[length - 1 - i] = static_cast<char>((value >> (8 * i)) & 0xff);
  return bytes;
}

// The key behind `key` in big-endian order; nothing behind the last one.
std::optional<std::string> successor(std::string key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    key[i] = static_cast<char>(static_cast<unsigned char>(key[i]) + 1);
    if (key[i] != 0) return key;
  }
  return std::nullopt;
}

Op lookup(bool negated, DataType type, const std::vector<KeyRange>& ranges) {
  SetData set;
  set.keyType = type;
  set.hostOrder = type == kIfName || type == kFibAddrType;
  set.keyLength = static_cast<std::uint32_t>(ranges.front().first.size());
  for (const KeyRange& range : ranges) set.interval = set.interval || range.first != range.last;
  for (const KeyRange& range : ranges) {
    set.elements.push_back({range.first, false});
    if (!set.interval) continue;
    if (auto end = successor(range.last)) set.elements.push_back({*std::move(end), true});
  }
  std::sort(set.elements.begin(), set.elements.end(), [](const Element& a, const Element& b) {
    return a.key != b.key ? a.key < b.key : a.end > b.end;
  });
  Attributes attributes = {{NFTNL_EXPR_LOOKUP_SREG, u32(NFT_REG_1)}};
  if (negated) attributes.emplace_back(NFTNL_EXPR_LOOKUP_FLAGS, u32(NFT_LOOKUP_F_INV));
  Op result = op("lookup", std::move(attributes));
  result.set = std::move(set);
  return result;
}

}  // namespace

std::string u32(std::uint64_t value) {
  return host(static_cast<std::uint32_t>(value));
}
std::string u8(std::uint8_t value) {
  return host(value);
}

std::string be16(std::uint16_t value) {
  return network(value, 2);
}
std::string be32(std::uint32_t value) {
  return network(value, 4);
}

Op op(const char* name, Attributes attributes) {
  std::sort(attributes.begin(), attributes.end());
  return Op{name, std::move(attributes), std::nullopt};
}

Op meta(std::uint32_t key) {
  return meta(key, NFT_REG_1);
}
Op meta(std::uint32_t key, std::uint32_t reg) {
  return op("meta", {{NFTNL_EXPR_META_KEY, u32(key)}, {NFTNL_EXPR_META_DREG, u32(reg)}});
}
Op payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length) {
  return payload(base, offset, length, NFT_REG_1);
}
Op payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t reg) {
  return op("payload", {{NFTNL_EXPR_PAYLOAD_DREG, u32(reg)},
                        {NFTNL_EXPR_PAYLOAD_BASE, u32(base)},
                        {NFTNL_EXPR_PAYLOAD_OFFSET, u32(offset)},
                        {NFTNL_EXPR_PAYLOAD_LEN, u32(length)}});
}
Op ct(std::uint32_t key) {
  return op("ct", {{NFTNL_EXPR_CT_DREG, u32(NFT_REG_1)}, {NFTNL_EXPR_CT_KEY, u32(key)}});
}
Op fib(std::uint32_t result, std::uint32_t flags) {
  return op("fib", {{NFTNL_EXPR_FIB_DREG, u32(NFT_REG_1)},
                    {NFTNL_EXPR_FIB_RESULT, u32(result)},
                    {NFTNL_EXPR_FIB_FLAGS, u32(flags)}});
}
Op mask(std::string bits) {
  const std::size_t length = bits.size();
  return op("bitwise", {{NFTNL_EXPR_BITWISE_SREG, u32(NFT_REG_1)},
                        {NFTNL_EXPR_BITWISE_DREG, u32(NFT_REG_1)},
                        {NFTNL_EXPR_BITWISE_LEN, u32(length)},
                        {NFTNL_EXPR_BITWISE_MASK, std::move(bits)},
                        {NFTNL_EXPR_BITWISE_XOR, std::string(length, '\0')}});
}
Op compare(bool notEqual, std::string data) {
  return op("cmp", {{NFTNL_EXPR_CMP_SREG, u32(NFT_REG_1)},
                    {NFTNL_EXPR_CMP_OP, u32(notEqual ? NFT_CMP_NEQ : NFT_CMP_EQ)},
                    {NFTNL_EXPR_CMP_DATA, std::move(data)}});
}
Op immediate(std::uint32_t reg, std::string data) {
  return op("immediate", {{NFTNL_EXPR_IMM_DREG, u32(reg)}, {NFTNL_EXPR_IMM_DATA, std::move(data)}});
}
Op verdict(int code, const std::string& chain) {
  Attributes attributes = {{NFTNL_EXPR_IMM_DREG, u32(NFT_REG_VERDICT)},
                           {NFTNL_EXPR_IMM_VERDICT, host(static_cast<std::uint32_t>(code))}};
  if (!chain.empty()) attributes.emplace_back(NFTNL_EXPR_IMM_CHAIN, chain);
  return op("immediate", std::move(attributes));
}

Op test(bool negated, DataType type, const std::vector<KeyRange>& ranges) {
  if (ranges.size() != 1) return lookup(negated, type, ranges);
  if (ranges[0].first == ranges[0].last) return compare(negated, ranges[0].first);
  return op("range", {{NFTNL_EXPR_RANGE_SREG, u32(NFT_REG_1)},
                      {NFTNL_EXPR_RANGE_OP, u32(negated ? NFT_RANGE_NEQ : NFT_RANGE_EQ)},
                      {NFTNL_EXPR_RANGE_FROM_DATA, ranges[0].first},
                      {NFTNL_EXPR_RANGE_TO_DATA, ranges[0].last}});
}

}  // namespace orrery::nft::vm
