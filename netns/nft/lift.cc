// The kernel's expressions -> Rule. Each guess below may be sloppy: it is kept only if lower() of
// it gives exactly the Ops that it was read from.
// libnftnl/expr.h names FILE without including <cstdio>.
// clang-format off
#include <cstdio>
#include <libnftnl/expr.h>
// clang-format on

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_bpf.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "netns/nft/vm.h"

namespace orrery::nft::vm {
namespace {

std::uint64_t number(
    const std::string* bytes) {  // as in memory, little-endian hosts and short ones
  std::uint64_t value = 0;
  if (bytes == nullptr || bytes->size() > sizeof value) return ~std::uint64_t{0};
  if constexpr (std::endian::native == std::endian::little)
    std::memcpy(&value, bytes->data(), bytes->size());
  else
    std::memcpy(reinterpret_cast<char*>(&value) + sizeof value - bytes->size(), bytes->data(),
                bytes->size());
  return value;
}
std::uint64_t number(const Op& op, std::uint16_t attribute) {
  return number(op.find(attribute));
}

std::uint32_t bigEndian(const std::string& bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

struct KeyRange {
  std::string first, last;
};

std::string predecessor(std::string key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    const bool borrow = key[i] == 0;
    key[i] = static_cast<char>(static_cast<unsigned char>(key[i]) - 1);
    if (!borrow) break;
  }
  return key;
}

// What the operation tests the register for: cmp, range or lookup.
struct Test {
  bool negated = false;
  std::vector<KeyRange> values;
};

std::vector<KeyRange> rangesOf(const SetData& set) {
  std::vector<KeyRange> ranges;
  for (std::size_t i = 0; i < set.elements.size(); ++i) {
    const Element& element = set.elements[i];
    if (element.end) continue;
    KeyRange range{element.key, element.key};
    if (set.interval) {
      const bool closed = i + 1 < set.elements.size();
      range.last =
          closed ? predecessor(set.elements[i + 1].key) : std::string(element.key.size(), '\xff');
    }
    ranges.push_back(std::move(range));
  }
  return ranges;
}

std::optional<Test> testOf(const Op& op) {
  if (op.name == "cmp") {
    const std::string* data = op.find(NFTNL_EXPR_CMP_DATA);
    if (data == nullptr) return std::nullopt;
    return Test{number(op, NFTNL_EXPR_CMP_OP) == NFT_CMP_NEQ, {{*data, *data}}};
  }
  if (op.name == "range") {
    const std::string* from = op.find(NFTNL_EXPR_RANGE_FROM_DATA);
    const std::string* to = op.find(NFTNL_EXPR_RANGE_TO_DATA);
    if (from == nullptr || to == nullptr) return std::nullopt;
    return Test{number(op, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_NEQ, {{*from, *to}}};
  }
  if (op.name == "lookup" && op.set)
    return Test{op.find(NFTNL_EXPR_LOOKUP_FLAGS) != nullptr, rangesOf(*op.set)};
  return std::nullopt;
}

template <class T, class F>
std::vector<T> convert(const Test& test, F decode) {
  std::vector<T> values;
  for (const KeyRange& range : test.values) values.push_back(decode(range.first));
  return values;
}

std::optional<Prefix4> prefixOf(const KeyRange& range) {
  if (range.first.size() != 4 || range.last.size() != 4) return std::nullopt;
  const std::uint32_t first = bigEndian(range.first), last = bigEndian(range.last);
  const std::uint32_t hostBits = first ^ last;
  if ((hostBits & (hostBits + 1)) != 0 || (first & hostBits) != 0) return std::nullopt;
  return Prefix4{Ipv4{first}, static_cast<std::uint8_t>(std::countl_zero(hostBits))};
}

Expr unknown(const char* name) {
  return Unknown{name};
}

AddressType addressType(std::uint64_t routeType) {
  switch (routeType) {
    case RTN_LOCAL:
      return AddressType::local;
    case RTN_BROADCAST:
      return AddressType::broadcast;
    case RTN_MULTICAST:
      return AddressType::multicast;
    case RTN_BLACKHOLE:
      return AddressType::blackhole;
    case RTN_UNREACHABLE:
      return AddressType::unreachable;
    case RTN_PROHIBIT:
      return AddressType::prohibit;
    default:
      return AddressType::unicast;
  }
}

std::uint8_t byteOf(const std::string& bytes) {
  return bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes[0]);
}

std::uint16_t shortOf(const std::string& bytes) {
  return static_cast<std::uint16_t>(bigEndian(bytes));
}

Expr metaMatch(const Op& load, const Test& test) {
  const bool no = test.negated;
  switch (number(load, NFTNL_EXPR_META_KEY)) {
    case NFT_META_IIFNAME:
    case NFT_META_OIFNAME: {
      const bool in = number(load, NFTNL_EXPR_META_KEY) == NFT_META_IIFNAME;
      return Interface{in ? Direction::in : Direction::out,
                       convert<std::string>(
                           test, [](const std::string& s) { return s.substr(0, s.find('\0')); }),
                       no};
    }
    case NFT_META_PROTOCOL:
      return Protocol{convert<std::uint16_t>(test, shortOf), no};
    case NFT_META_L4PROTO:
      return L4Proto{convert<std::uint8_t>(test, byteOf), no};
    case NFT_META_PKTTYPE:
      return PacketTypeIs{
          convert<PacketType>(
              test, [](const std::string& s) { return static_cast<PacketType>(byteOf(s) & 3); }),
          no};
    case NFT_META_MARK:
      return Mark{static_cast<std::uint32_t>(number(&test.values[0].first)), no};
    default:
      return unknown("meta");
  }
}

Expr rawPayload(const Op& load, const Test& test) {
  const std::string& data = test.values[0].first;
  return Payload{static_cast<PayloadBase>(number(load, NFTNL_EXPR_PAYLOAD_BASE) & 3),
                 static_cast<std::uint16_t>(number(load, NFTNL_EXPR_PAYLOAD_OFFSET)),
                 std::vector<std::uint8_t>(data.begin(), data.end()), test.negated};
}

Expr addressMatch(Side side, const Op* mask, const Test& test) {
  Address address{side, {}, test.negated};
  if (mask != nullptr) {
    const std::string* bits = mask->find(NFTNL_EXPR_BITWISE_MASK);
    if (bits == nullptr || bits->size() != 4) return unknown("payload");
    const int length = std::countl_one(bigEndian(*bits));
    address.prefixes.push_back(
        {Ipv4{bigEndian(test.values[0].first)}, static_cast<std::uint8_t>(length)});
    return address;
  }
  for (const KeyRange& range : test.values) {
    const auto prefix = prefixOf(range);
    if (!prefix) return Unknown{"payload (address range)"};
    address.prefixes.push_back(*prefix);
  }
  return address;
}

Expr portMatch(Side side, const Test& test) {
  Port port{side, {}, test.negated};
  for (const KeyRange& range : test.values)
    port.ranges.push_back({static_cast<std::uint16_t>(bigEndian(range.first)),
                           static_cast<std::uint16_t>(bigEndian(range.last))});
  return port;
}

Expr etherMatch(Side side, const Test& test) {
  EtherAddress ether{side, {}, test.negated};
  for (const KeyRange& range : test.values) {
    Mac mac;
    if (range.first.size() != mac.bytes.size()) return unknown("payload");
    std::copy(range.first.begin(), range.first.end(), mac.bytes.begin());
    ether.addresses.push_back(mac);
  }
  return ether;
}

Expr payloadMatch(const Op& load, const Op* mask, const Test& test) {
  const auto base = number(load, NFTNL_EXPR_PAYLOAD_BASE);
  const auto offset = number(load, NFTNL_EXPR_PAYLOAD_OFFSET);
  const auto length = number(load, NFTNL_EXPR_PAYLOAD_LEN);
  if (base == NFT_PAYLOAD_NETWORK_HEADER && length == 4 && (offset == 12 || offset == 16))
    return addressMatch(offset == 12 ? Side::source : Side::destination, mask, test);
  if (base == NFT_PAYLOAD_NETWORK_HEADER && offset == 6 && mask != nullptr) return Fragment{};
  if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 13 && mask != nullptr)
    return TcpFlags{static_cast<std::uint8_t>(number(*mask, NFTNL_EXPR_BITWISE_MASK)),
                    convert<std::uint8_t>(test, byteOf), test.negated};
  if (mask != nullptr) return Unknown{"payload (masked)"};
  if (base == NFT_PAYLOAD_TRANSPORT_HEADER && length == 2 && (offset == 0 || offset == 2))
    return portMatch(offset == 0 ? Side::source : Side::destination, test);
  if (base == NFT_PAYLOAD_TRANSPORT_HEADER && length == 1 && offset == 0)
    return IcmpType{convert<std::uint8_t>(test, byteOf), test.negated};
  if (base == NFT_PAYLOAD_LL_HEADER && length == 2 && offset == 12)
    return EtherType{convert<std::uint16_t>(test, shortOf), test.negated};
  if (base == NFT_PAYLOAD_LL_HEADER && length == 6 && (offset == 0 || offset == 6))
    return etherMatch(offset == 6 ? Side::source : Side::destination, test);
  return rawPayload(load, test);
}

Expr ctMatch(const Op& load, const Op* mask) {
  if (mask == nullptr) return unknown("ct");
  const auto bits = number(*mask, NFTNL_EXPR_BITWISE_MASK);
  if (number(load, NFTNL_EXPR_CT_KEY) == NFT_CT_STATUS)
    return CtStatus{(bits & IPS_SRC_NAT) != 0, (bits & IPS_DST_NAT) != 0};
  const auto has = [bits](std::uint32_t bit) { return (bits & bit) != 0; };
  return CtState{has(NF_CT_STATE_INVALID_BIT), has(NF_CT_STATE_BIT(IP_CT_ESTABLISHED)),
                 has(NF_CT_STATE_BIT(IP_CT_RELATED)), has(NF_CT_STATE_BIT(IP_CT_NEW)),
                 has(NF_CT_STATE_UNTRACKED_BIT)};
}

Expr fibMatch(const Op& load, const Test& test) {
  const auto flags = number(load, NFTNL_EXPR_FIB_FLAGS);
  if (number(load, NFTNL_EXPR_FIB_RESULT) == NFT_FIB_RESULT_OIF)
    return FibReversePath{byteOf(test.values[0].first) != 0};
  return FibType{
      (flags & NFTA_FIB_F_SADDR) != 0 ? Side::source : Side::destination,
      (flags & NFTA_FIB_F_IIF) != 0,
      convert<AddressType>(test, [](const std::string& s) { return addressType(number(&s)); }),
      test.negated};
}

struct Guess {
  Expr expr;
  std::size_t length = 1;  // Ops
};

// A load, perhaps a mask, a test.
std::optional<Guess> guessMatch(const std::vector<Op>& ops, std::size_t at) {
  std::size_t next = at + 1;
  const Op* mask = next < ops.size() && ops[next].name == "bitwise" ? &ops[next++] : nullptr;
  if (next >= ops.size()) return std::nullopt;
  const auto test = testOf(ops[next]);
  if (!test || test->values.empty()) return std::nullopt;
  const Op& load = ops[at];
  const std::size_t length = next + 1 - at;
  if (load.name == "meta" && mask == nullptr) return Guess{metaMatch(load, *test), length};
  if (load.name == "payload") return Guess{payloadMatch(load, mask, *test), length};
  if (load.name == "ct") return Guess{ctMatch(load, mask), length};
  if (load.name == "fib" && mask == nullptr) return Guess{fibMatch(load, *test), length};
  return std::nullopt;
}

std::optional<KeyPart> partOf(const Op& load) {
  if (load.name == "meta") return KeyPart::inputName;
  if (load.name != "payload") return std::nullopt;
  const bool link = number(load, NFTNL_EXPR_PAYLOAD_BASE) == NFT_PAYLOAD_LL_HEADER;
  switch (number(load, NFTNL_EXPR_PAYLOAD_OFFSET)) {
    case 6:
      return link ? std::optional(KeyPart::etherSource) : std::nullopt;
    case 8:
      return KeyPart::arpSenderMac;
    case 12:
      return KeyPart::ipSource;
    case 14:
      return KeyPart::arpSenderIp;
    case 36:
      return KeyPart::dhcpClientMac;
    default:
      return std::nullopt;
  }
}

std::optional<Expr> keyedLookup(const Op& op, std::vector<KeyPart> key) {
  const std::string* set = op.find(NFTNL_EXPR_LOOKUP_SET);
  if (set == nullptr) return std::nullopt;
  return InSet{*set, std::move(key), op.find(NFTNL_EXPR_LOOKUP_FLAGS) != nullptr};
}

std::optional<Expr> keyedMeter(const Op& op, std::vector<KeyPart> key) {
  const std::string* set = op.find(NFTNL_EXPR_DYNSET_SET_NAME);
  if (set == nullptr || op.inner.size() != 1) return std::nullopt;
  const Op& inner = op.inner[0];
  if (inner.name == "connlimit")
    return OverCount{*set, std::move(key),
                     static_cast<std::uint32_t>(number(inner, NFTNL_EXPR_CONNLIMIT_COUNT))};
  return OverRate{*set, std::move(key), number(inner, NFTNL_EXPR_LIMIT_RATE),
                  static_cast<std::uint32_t>(number(inner, NFTNL_EXPR_LIMIT_BURST))};
}

// One or several loads, and what is done with the key that they make together.
std::optional<Guess> guessKeyed(const std::vector<Op>& ops, std::size_t at) {
  std::vector<KeyPart> key;
  std::size_t next = at;
  for (; next < ops.size() && key.size() < 4; ++next) {
    const auto part = partOf(ops[next]);
    if (!part) break;
    key.push_back(*part);
  }
  if (key.empty() || next >= ops.size()) return std::nullopt;
  const Op& user = ops[next];
  std::optional<Expr> expr;
  if (user.name == "lookup") expr = keyedLookup(user, std::move(key));
  if (user.name == "dynset") expr = keyedMeter(user, std::move(key));
  if (!expr) return std::nullopt;
  return Guess{std::move(*expr), next + 1 - at};
}

std::optional<Guess> guessShorter(const std::vector<Op>& ops, std::size_t at) {
  if (at + 2 >= ops.size() || ops[at].name != "meta" || ops[at + 1].name != "byteorder" ||
      ops[at + 2].name != "cmp")
    return std::nullopt;
  const std::string* data = ops[at + 2].find(NFTNL_EXPR_CMP_DATA);
  if (data == nullptr) return std::nullopt;
  return Guess{ShorterThan{bigEndian(*data)}, 3};
}

std::optional<Guess> guessVerdict(const Op& op) {
  const std::string* code = op.find(NFTNL_EXPR_IMM_VERDICT);
  if (code == nullptr) return std::nullopt;
  const std::string* chain = op.find(NFTNL_EXPR_IMM_CHAIN);
  switch (static_cast<std::int32_t>(number(code))) {
    case NF_ACCEPT:
      return Guess{Accept{}};
    case NF_DROP:
      return Guess{Drop{}};
    case NFT_RETURN:
      return Guess{Return{}};
    case NFT_JUMP:
      return Guess{Jump{chain != nullptr ? *chain : ""}};
    case NFT_GOTO:
      return Guess{Goto{chain != nullptr ? *chain : ""}};
    default:
      return std::nullopt;
  }
}

// One or two immediates and the statement that uses them.
std::optional<Guess> guessOperands(const std::vector<Op>& ops, std::size_t at) {
  std::vector<std::string> operands;
  std::size_t next = at;
  for (; next < ops.size() && ops[next].name == "immediate" && operands.size() < 2; ++next) {
    const std::string* data = ops[next].find(NFTNL_EXPR_IMM_DATA);
    if (data == nullptr) break;
    operands.push_back(*data);
  }
  if (operands.empty() || next >= ops.size()) return std::nullopt;
  const Op& user = ops[next];
  const std::size_t length = next + 1 - at;
  const auto port = static_cast<std::uint16_t>(bigEndian(operands.back()));
  const Ipv4 address{bigEndian(operands.front())};
  if (user.name == "meta")
    return Guess{SetMark{static_cast<std::uint32_t>(number(&operands[0]))}, length};
  if (user.name == "redir") return Guess{Redirect{port}, length};
  if (user.name == "tproxy")
    return Guess{Tproxy{operands.size() == 2 ? std::optional(address) : std::nullopt, port},
                 length};
  if (user.name == "nat" && number(user, NFTNL_EXPR_NAT_TYPE) == NFT_NAT_SNAT)
    return Guess{SourceNat{address}, length};
  if (user.name == "nat")
    return Guess{DestinationNat{address, operands.size() == 2 ? std::optional(port) : std::nullopt},
                 length};
  return std::nullopt;
}

Expr rejectOf(const Op& op) {
  const auto type = number(op, NFTNL_EXPR_REJECT_TYPE);
  if (type == NFT_REJECT_TCP_RST) return Reject{RejectWith::tcpReset};
  const bool neutral = type == NFT_REJECT_ICMPX_UNREACH;
  const auto code = number(op, NFTNL_EXPR_REJECT_CODE);
  if (code == (neutral ? NFT_REJECT_ICMPX_NO_ROUTE : 0)) return Reject{RejectWith::netUnreachable};
  if (code == (neutral ? NFT_REJECT_ICMPX_HOST_UNREACH : 1))
    return Reject{RejectWith::hostUnreachable};
  if (code == (neutral ? NFT_REJECT_ICMPX_PORT_UNREACH : 3))
    return Reject{RejectWith::portUnreachable};
  return Reject{RejectWith::adminProhibited};
}

Expr limitOf(const Op& op) {
  Limit limit;
  limit.rate = number(op, NFTNL_EXPR_LIMIT_RATE);
  switch (number(op, NFTNL_EXPR_LIMIT_UNIT)) {
    case 60:
      limit.per = Per::minute;
      break;
    case 3600:
      limit.per = Per::hour;
      break;
    case 86400:
      limit.per = Per::day;
      break;
    default:
      limit.per = Per::second;
      break;
  }
  limit.burst = static_cast<std::uint32_t>(number(op, NFTNL_EXPR_LIMIT_BURST));
  limit.over = (number(op, NFTNL_EXPR_LIMIT_FLAGS) & NFT_LIMIT_F_INV) != 0;
  return limit;
}

std::optional<Guess> guessBpf(const Op& op) {
  const std::string* bytes = op.find(NFTNL_EXPR_MT_INFO);
  xt_bpf_info_v1 info{};
  if (bytes == nullptr || bytes->size() != sizeof info) return std::nullopt;
  std::memcpy(&info, bytes->data(), sizeof info);
  Bpf match;
  for (std::size_t n = 0; n < info.bpf_program_num_elem && n < XT_BPF_MAX_NUM_INSTR; ++n) {
    const sock_filter& i = info.bpf_program[n];
    match.program.push_back({i.code, i.jt, i.jf, i.k});
  }
  return Guess{std::move(match)};
}

std::optional<Guess> guessStatement(const std::vector<Op>& ops, std::size_t at) {
  const Op& op = ops[at];
  if (op.name == "immediate") {
    if (auto verdict = guessVerdict(op)) return verdict;
    return guessOperands(ops, at);
  }
  if (op.name == "reject") return Guess{rejectOf(op)};
  if (op.name == "limit") return Guess{limitOf(op)};
  if (op.name == "masq") return Guess{Masquerade{op.find(NFTNL_EXPR_MASQ_FLAGS) != nullptr}};
  if (op.name == "redir") return Guess{Redirect{}};
  if (op.name == "notrack") return Guess{NoTrack{}};
  if (op.name == "match") return guessBpf(op);
  if (op.name == "rt") return Guess{ClampMss{}, 3};
  if (op.name == "log") {
    const std::string* prefix = op.find(NFTNL_EXPR_LOG_PREFIX);
    return Guess{Log{prefix != nullptr ? *prefix : "",
                     static_cast<std::uint16_t>(number(op, NFTNL_EXPR_LOG_GROUP))}};
  }
  return std::nullopt;
}

bool proves(const Guess& guess, const std::vector<Op>& ops, std::size_t at, Family family) {
  if (std::holds_alternative<Unknown>(guess.expr) || at + guess.length > ops.size()) return false;
  const std::vector<Op> expected = lower(guess.expr, family);
  return expected.size() == guess.length &&
         std::equal(expected.begin(), expected.end(),
                    ops.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

Rule lift(const std::vector<Op>& ops, Family family, RuleCount* count) {
  Rule rule;
  for (std::size_t at = 0; at < ops.size();) {
    const Op& op = ops[at];
    if (op.name == "counter" && !rule.counter) {
      rule.counter = true;
      if (count != nullptr && op.find(NFTNL_EXPR_CTR_PACKETS) != nullptr)
        *count = {number(op, NFTNL_EXPR_CTR_PACKETS), number(op, NFTNL_EXPR_CTR_BYTES)};
      ++at;
      continue;
    }
    auto guess = guessMatch(ops, at);
    if (!guess || !proves(*guess, ops, at, family)) guess = guessKeyed(ops, at);
    if (!guess || !proves(*guess, ops, at, family)) guess = guessShorter(ops, at);
    if (!guess || !proves(*guess, ops, at, family)) guess = guessStatement(ops, at);
    if (guess && proves(*guess, ops, at, family)) {
      rule.exprs.push_back(std::move(guess->expr));
      at += guess->length;
    } else {
      rule.exprs.push_back(Unknown{op.name});
      ++at;
    }
  }
  return rule;
}

}  // namespace orrery::nft::vm
