// Rule -> the kernel's expressions.
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

#include "netns/nft/ops.h"
#include "netns/nft/vm.h"

namespace orrery::nft::vm {
namespace {

std::string paddedName(const std::string& name) {
  std::string bytes = name.substr(0, kMaxIfNameLength);
  bytes.resize(kMaxIfNameLength + 1, '\0');
  return bytes;
}

std::uint32_t routeType(AddressType type) {
  switch (type) {
    case AddressType::unicast:
      return RTN_UNICAST;
    case AddressType::local:
      return RTN_LOCAL;
    case AddressType::broadcast:
      return RTN_BROADCAST;
    case AddressType::multicast:
      return RTN_MULTICAST;
    case AddressType::blackhole:
      return RTN_BLACKHOLE;
    case AddressType::unreachable:
      return RTN_UNREACHABLE;
    case AddressType::prohibit:
      return RTN_PROHIBIT;
  }
  return RTN_UNSPEC;
}

// net/netfilter/nf_tables: bit numbers of enum ip_conntrack_info (NF_CT_STATE_BIT).
std::uint32_t stateBits(const CtState& e) {
  std::uint32_t bits = 0;
  if (e.invalid) bits |= NF_CT_STATE_INVALID_BIT;
  if (e.established) bits |= NF_CT_STATE_BIT(IP_CT_ESTABLISHED);
  if (e.related) bits |= NF_CT_STATE_BIT(IP_CT_RELATED);
  if (e.fresh) bits |= NF_CT_STATE_BIT(IP_CT_NEW);
  if (e.untracked) bits |= NF_CT_STATE_UNTRACKED_BIT;
  return bits;
}

std::uint64_t secondsIn(Per per) {
  switch (per) {
    case Per::second:
      return 1;
    case Per::minute:
      return 60;
    case Per::hour:
      return 3600;
    case Per::day:
      return 86400;
  }
  return 1;
}

// The register of the n-th 32-bit word. The kernel names the first of each four by the older
// numbering of 128-bit registers (nft_dump_register(), net/netfilter/nf_tables_api.c).
std::uint32_t registerAt(std::uint32_t word) {
  return word % 4 == 0 ? NFT_REG_1 + word / 4 : NFT_REG32_00 + word;
}

Op loadPart(KeyPart part, std::uint32_t reg) {
  switch (part) {
    case KeyPart::inputName:
      break;
    case KeyPart::etherSource:
      return payload(NFT_PAYLOAD_LL_HEADER, 6, 6, reg);
    case KeyPart::ipSource:
      return payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, reg);
    case KeyPart::arpSenderMac:  // RFC 826, of Ethernet and IPv4
      return payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 6, reg);
    case KeyPart::arpSenderIp:
      return payload(NFT_PAYLOAD_NETWORK_HEADER, 14, 4, reg);
    case KeyPart::dhcpClientMac:  // RFC 2131: chaddr, behind the 8 bytes of UDP and 28 of the head
      return payload(NFT_PAYLOAD_TRANSPORT_HEADER, 36, 6, reg);
  }
  return meta(NFT_META_IIFNAME, reg);
}

Ops loadKey(const std::vector<KeyPart>& key) {
  Ops ops;
  std::uint32_t word = 0;
  for (const KeyPart part : key) {
    ops.push_back(loadPart(part, registerAt(word)));
    word += wordsOf(typeOf(part));
  }
  return ops;
}

Ops dynset(const std::string& set, const std::vector<KeyPart>& key, std::uint32_t operation,
           Op inner) {
  Ops ops = loadKey(key);
  Op last = op("dynset", {{NFTNL_EXPR_DYNSET_SREG_KEY, u32(NFT_REG_1)},
                          {NFTNL_EXPR_DYNSET_OP, u32(operation)},
                          {NFTNL_EXPR_DYNSET_SET_NAME, set}});
  last.inner.push_back(std::move(inner));
  ops.push_back(std::move(last));
  return ops;
}

Op limit(const Limit& e) {
  return op("limit", {{NFTNL_EXPR_LIMIT_RATE, host(e.rate)},
                      {NFTNL_EXPR_LIMIT_UNIT, host(secondsIn(e.per))},
                      {NFTNL_EXPR_LIMIT_BURST, u32(e.burst)},
                      {NFTNL_EXPR_LIMIT_TYPE, u32(NFT_LIMIT_PKTS)},
                      {NFTNL_EXPR_LIMIT_FLAGS, u32(e.over ? NFT_LIMIT_F_INV : 0)}});
}

// struct xt_bpf_info_v1 (linux/netfilter/xt_bpf.h) as the kernel hands it back: no descriptor, and
// no pointer of its own. A longer program is refused before (nft.cc).
std::string bpfInfo(const BpfProgram& program) {
  xt_bpf_info_v1 info{};
  info.mode = XT_BPF_MODE_BYTECODE;
  info.bpf_program_num_elem = static_cast<__u16>(program.size());
  for (std::size_t n = 0; n < program.size() && n < XT_BPF_MAX_NUM_INSTR; ++n)
    info.bpf_program[n] = {program[n].code, program[n].jumpTrue, program[n].jumpFalse,
                           program[n].k};
  return host(info);
}

struct Lower {
  Family family;

  Ops operator()(const Interface& e) const {
    return {meta(e.direction == Direction::in ? NFT_META_IIFNAME : NFT_META_OIFNAME),
            testEach(e.negated, kIfName, e.names, paddedName)};
  }
  Ops operator()(const Protocol& e) const {
    return {meta(NFT_META_PROTOCOL), testEach(e.negated, kEtherType, e.types, be16)};
  }
  Ops operator()(const EtherType& e) const {
    return {payload(NFT_PAYLOAD_LL_HEADER, 12, 2), testEach(e.negated, kEtherType, e.types, be16)};
  }
  Ops operator()(const L4Proto& e) const {
    return {meta(NFT_META_L4PROTO), testEach(e.negated, kInetProto, e.protocols, u8)};
  }
  Ops operator()(const PacketTypeIs& e) const {
    return {meta(NFT_META_PKTTYPE), testEach(e.negated, kPktType, e.types, [](PacketType type) {
              return u8(static_cast<std::uint8_t>(type));  // PACKET_HOST 0 … PACKET_OTHERHOST 3
            })};
  }
  Ops operator()(const Address& e) const {
    const Op load = payload(NFT_PAYLOAD_NETWORK_HEADER, e.side == Side::source ? 12 : 16, 4);
    if (e.prefixes.size() == 1 && e.prefixes[0].length < 32)
      return {load, mask(be32(e.prefixes[0].mask().value)),
              compare(e.negated, be32(e.prefixes[0].network().value))};
    std::vector<KeyRange> ranges;
    for (const Prefix4& p : e.prefixes)
      ranges.push_back({be32(p.network().value), be32(p.broadcast().value)});
    return {load, test(e.negated, kIpv4Addr, ranges)};
  }
  Ops operator()(const Fragment&) const {
    return {payload(NFT_PAYLOAD_NETWORK_HEADER, 6, 2), mask(be16(0x3fff)), compare(true, be16(0))};
  }
  Ops operator()(const Port& e) const {
    std::vector<KeyRange> ranges;
    for (const PortRange& r : e.ranges) ranges.push_back({be16(r.first), be16(r.last)});
    return {payload(NFT_PAYLOAD_TRANSPORT_HEADER, e.side == Side::source ? 0 : 2, 2),
            test(e.negated, kInetService, ranges)};
  }
  Ops operator()(const IcmpType& e) const {
    return {payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1),
            testEach(e.negated, kIcmpType, e.types, u8)};
  }
  Ops operator()(const CtState& e) const {
    return {ct(NFT_CT_STATE), mask(u32(stateBits(e))), compare(true, u32(0))};
  }
  Ops operator()(const CtStatus& e) const {
    std::uint32_t bits = 0;
    if (e.snat) bits |= IPS_SRC_NAT;
    if (e.dnat) bits |= IPS_DST_NAT;
    return {ct(NFT_CT_STATUS), mask(u32(bits)), compare(true, u32(0))};
  }
  Ops operator()(const FibType& e) const {
    std::uint32_t flags = e.side == Side::source ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR;
    if (e.onInputInterface) flags |= NFTA_FIB_F_IIF;
    return {fib(NFT_FIB_RESULT_ADDRTYPE, flags),
            testEach(e.negated, kFibAddrType, e.types,
                     [](AddressType type) { return u32(routeType(type)); })};
  }
  Ops operator()(const FibReversePath& e) const {
    return {fib(NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT),
            compare(false, u32(e.exists ? 1 : 0))};
  }
  Ops operator()(const TcpFlags& e) const {
    return {payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1), mask(u8(e.mask)),
            testEach(e.negated, kTcpFlag, e.values, u8)};
  }
  Ops operator()(const Mark& e) const {
    return {meta(NFT_META_MARK), compare(e.negated, u32(e.value))};
  }
  Ops operator()(const EtherAddress& e) const {
    return {payload(NFT_PAYLOAD_LL_HEADER, e.side == Side::source ? 6 : 0, 6),
            testEach(e.negated, kEtherAddr, e.addresses, [](const Mac& mac) {
              return std::string(mac.bytes.begin(), mac.bytes.end());
            })};
  }
  Ops operator()(const Payload& e) const {
    return {payload(static_cast<std::uint32_t>(e.base), e.offset,
                    static_cast<std::uint32_t>(e.bytes.size())),
            compare(e.negated, std::string(e.bytes.begin(), e.bytes.end()))};
  }
  Ops operator()(const ShorterThan& e) const {
    // Lengths are compared as bytes, so in network order, as nft does it.
    return {meta(NFT_META_LEN),
            op("byteorder", {{NFTNL_EXPR_BYTEORDER_DREG, u32(NFT_REG_1)},
                             {NFTNL_EXPR_BYTEORDER_SREG, u32(NFT_REG_1)},
                             {NFTNL_EXPR_BYTEORDER_OP, u32(NFT_BYTEORDER_HTON)},
                             {NFTNL_EXPR_BYTEORDER_LEN, u32(4)},
                             {NFTNL_EXPR_BYTEORDER_SIZE, u32(4)}}),
            op("cmp", {{NFTNL_EXPR_CMP_SREG, u32(NFT_REG_1)},
                       {NFTNL_EXPR_CMP_OP, u32(NFT_CMP_LT)},
                       {NFTNL_EXPR_CMP_DATA, be32(e.bytes)}})};
  }
  Ops operator()(const InSet& e) const {
    Ops ops = loadKey(e.key);
    Attributes attributes = {{NFTNL_EXPR_LOOKUP_SREG, u32(NFT_REG_1)},
                             {NFTNL_EXPR_LOOKUP_SET, e.set}};
    if (e.negated) attributes.emplace_back(NFTNL_EXPR_LOOKUP_FLAGS, u32(NFT_LOOKUP_F_INV));
    ops.push_back(op("lookup", std::move(attributes)));
    return ops;
  }
  Ops operator()(const OverRate& e) const {
    return dynset(e.set, e.key, NFT_DYNSET_OP_UPDATE,
                  limit(Limit{e.rate, Per::second, e.burst, true}));
  }
  Ops operator()(const OverCount& e) const {
    return dynset(e.set, e.key, NFT_DYNSET_OP_ADD,
                  op("connlimit", {{NFTNL_EXPR_CONNLIMIT_COUNT, u32(e.most)},
                                   {NFTNL_EXPR_CONNLIMIT_FLAGS, u32(NFT_CONNLIMIT_F_INV)}}));
  }
  Ops operator()(const Bpf& e) const {
    return {op("match", {{NFTNL_EXPR_MT_NAME, "bpf"},
                         {NFTNL_EXPR_MT_REV, u32(1)},
                         {NFTNL_EXPR_MT_INFO, bpfInfo(e.program)}})};
  }
  Ops operator()(const Limit& e) const { return {limit(e)}; }
  Ops operator()(const Accept&) const { return {verdict(NF_ACCEPT)}; }
  Ops operator()(const Drop&) const { return {verdict(NF_DROP)}; }
  Ops operator()(const Return&) const { return {verdict(NFT_RETURN)}; }
  Ops operator()(const Jump& e) const { return {verdict(NFT_JUMP, e.chain)}; }
  Ops operator()(const Goto& e) const { return {verdict(NFT_GOTO, e.chain)}; }
  Ops operator()(const Reject& e) const {
    if (e.with == RejectWith::tcpReset)
      return {op("reject", {{NFTNL_EXPR_REJECT_TYPE, u32(NFT_REJECT_TCP_RST)}})};
    const bool v4 = family == Family::ip;  // else the kernel's family-neutral codes
    std::uint8_t code = 0;
    switch (e.with) {
      case RejectWith::tcpReset:
      case RejectWith::netUnreachable:
        code = v4 ? 0 : NFT_REJECT_ICMPX_NO_ROUTE;
        break;
      case RejectWith::hostUnreachable:
        code = v4 ? 1 : NFT_REJECT_ICMPX_HOST_UNREACH;
        break;
      case RejectWith::portUnreachable:
        code = v4 ? 3 : NFT_REJECT_ICMPX_PORT_UNREACH;
        break;
      case RejectWith::adminProhibited:
        code = v4 ? 13 : NFT_REJECT_ICMPX_ADMIN_PROHIBITED;
        break;
    }
    return {op("reject", {{NFTNL_EXPR_REJECT_TYPE,
                           u32(v4 ? NFT_REJECT_ICMP_UNREACH : NFT_REJECT_ICMPX_UNREACH)},
                          {NFTNL_EXPR_REJECT_CODE, u8(code)}})};
  }
  Ops operator()(const Masquerade& e) const {
    if (!e.fullyRandom) return {op("masq")};
    return {op("masq", {{NFTNL_EXPR_MASQ_FLAGS, u32(NF_NAT_RANGE_PROTO_RANDOM_FULLY)}})};
  }
  Ops operator()(const SourceNat& e) const {
    return {immediate(NFT_REG_1, be32(e.address.value)), nat(NFT_NAT_SNAT, false)};
  }
  Ops operator()(const DestinationNat& e) const {
    Ops ops = {immediate(NFT_REG_1, be32(e.address.value))};
    if (e.port) ops.push_back(immediate(NFT_REG_2, be16(*e.port)));
    ops.push_back(nat(NFT_NAT_DNAT, e.port.has_value()));
    return ops;
  }
  Ops operator()(const Redirect& e) const {
    if (!e.port) return {op("redir")};
    return {immediate(NFT_REG_1, be16(*e.port)),
            op("redir", {{NFTNL_EXPR_REDIR_REG_PROTO_MIN, u32(NFT_REG_1)},
                         {NFTNL_EXPR_REDIR_REG_PROTO_MAX, u32(NFT_REG_1)},
                         {NFTNL_EXPR_REDIR_FLAGS, u32(NF_NAT_RANGE_PROTO_SPECIFIED)}})};
  }
  Ops operator()(const Tproxy& e) const {
    Ops ops;
    Attributes attributes = {{NFTNL_EXPR_TPROXY_FAMILY, u32(NFPROTO_IPV4)}};
    std::uint32_t reg = NFT_REG_1;
    if (e.address) {
      ops.push_back(immediate(reg, be32(e.address->value)));
      attributes.emplace_back(NFTNL_EXPR_TPROXY_REG_ADDR, u32(reg++));
    }
    ops.push_back(immediate(reg, be16(e.port)));
    attributes.emplace_back(NFTNL_EXPR_TPROXY_REG_PORT, u32(reg));
    ops.push_back(op("tproxy", std::move(attributes)));
    return ops;
  }
  Ops operator()(const SetMark& e) const {
    return {immediate(NFT_REG_1, u32(e.value)),
            op("meta", {{NFTNL_EXPR_META_KEY, u32(NFT_META_MARK)},
                        {NFTNL_EXPR_META_SREG, u32(NFT_REG_1)}})};
  }
  Ops operator()(const Log& e) const {
    Attributes attributes = {{NFTNL_EXPR_LOG_GROUP, host(e.group)}};
    if (!e.prefix.empty()) attributes.emplace_back(NFTNL_EXPR_LOG_PREFIX, e.prefix);
    return {op("log", std::move(attributes))};
  }
  Ops operator()(const NoTrack&) const { return {op("notrack")}; }
  Ops operator()(const ClampMss&) const {
    constexpr std::uint8_t kMaxSegmentOption = 2;  // RFC 9293: kind 2, length 4, value at offset 2
    return {
        op("rt", {{NFTNL_EXPR_RT_KEY, u32(NFT_RT_TCPMSS)}, {NFTNL_EXPR_RT_DREG, u32(NFT_REG_1)}}),
        op("byteorder", {{NFTNL_EXPR_BYTEORDER_DREG, u32(NFT_REG_1)},
                         {NFTNL_EXPR_BYTEORDER_SREG, u32(NFT_REG_1)},
                         {NFTNL_EXPR_BYTEORDER_OP, u32(NFT_BYTEORDER_HTON)},
                         {NFTNL_EXPR_BYTEORDER_LEN, u32(2)},
                         {NFTNL_EXPR_BYTEORDER_SIZE, u32(2)}}),
        op("exthdr", {{NFTNL_EXPR_EXTHDR_TYPE, u8(kMaxSegmentOption)},
                      {NFTNL_EXPR_EXTHDR_OFFSET, u32(2)},
                      {NFTNL_EXPR_EXTHDR_LEN, u32(2)},
                      {NFTNL_EXPR_EXTHDR_OP, u32(NFT_EXTHDR_OP_TCPOPT)},
                      {NFTNL_EXPR_EXTHDR_SREG, u32(NFT_REG_1)}})};
  }
  Ops operator()(const Unknown& e) const { return {op(e.name.c_str())}; }

  static Op nat(std::uint32_t type, bool withPort) {
    Attributes attributes = {{NFTNL_EXPR_NAT_TYPE, u32(type)},
                             {NFTNL_EXPR_NAT_FAMILY, u32(NFPROTO_IPV4)},
                             {NFTNL_EXPR_NAT_REG_ADDR_MIN, u32(NFT_REG_1)},
                             {NFTNL_EXPR_NAT_REG_ADDR_MAX, u32(NFT_REG_1)}};
    std::uint32_t flags = NF_NAT_RANGE_MAP_IPS;
    if (withPort) {
      attributes.emplace_back(NFTNL_EXPR_NAT_REG_PROTO_MIN, u32(NFT_REG_2));
      attributes.emplace_back(NFTNL_EXPR_NAT_REG_PROTO_MAX, u32(NFT_REG_2));
      flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
    }
    attributes.emplace_back(NFTNL_EXPR_NAT_FLAGS, u32(flags));
    return op("nat", std::move(attributes));
  }
};

}  // namespace

std::vector<Op> lower(const Expr& expr, Family family) {
  return std::visit(Lower{family}, expr);
}

std::vector<Op> lower(const Rule& rule, Family family) {
  std::vector<Op> ops;
  bool counted = !rule.counter;
  const auto count = [&] {
    if (!counted) ops.push_back(op("counter"));
    counted = true;
  };
  for (const Expr& expr : rule.exprs) {
    if (!isMatch(expr)) count();
    for (Op& each : lower(expr, family)) ops.push_back(std::move(each));
  }
  count();
  return ops;
}

}  // namespace orrery::nft::vm
