// A namespace's nftables ruleset as a value: pure data, no kernel or library headers.
//
// The model is semantic: one Expr is one match or statement as `nft` would print it, not one
// expression of the kernel's virtual machine. A ruleset compares equal to the dump of itself as
// long as it is canonical (see canonical()). Numbers are in host byte order.
//
// Payload matches look at a fixed place in the packet. A match on an address belongs into a table
// of family ip (or behind Protocol{0x0800} in bridge, netdev and inet), and one on a port or an
// ICMP type behind an L4Proto match of the same rule, as in nft's own generated code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/filter/program.h"

namespace orrery::nft {

// We own the tables of this name, and no other (nft.h).
inline constexpr const char* kTableName = "orrery";
inline constexpr std::size_t kMaxCommentLength = 126;  // bytes; the kernel's TLV holds 128 with NUL

enum class Family { ip, ip6, inet, arp, bridge, netdev };
enum class ChainType { filter, nat, route };
enum class Hook { prerouting, input, forward, output, postrouting, ingress };
enum class Policy { accept, drop };

// Priorities of netfilter's own hooks in the ip, ip6 and inet families (linux/netfilter_ipv4.h).
namespace priority {
inline constexpr std::int32_t kBeforeDefrag = -450;
inline constexpr std::int32_t kRaw = -300;
inline constexpr std::int32_t kConntrack = -200;
inline constexpr std::int32_t kMangle = -150;
inline constexpr std::int32_t kDstNat = -100;
inline constexpr std::int32_t kFilter = 0;
inline constexpr std::int32_t kSrcNat = 100;
inline constexpr std::int32_t kBridgeFilter = -200;  // linux/netfilter_bridge.h
}  // namespace priority

namespace protocol {  // IANA protocol numbers
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
}  // namespace protocol

namespace ethertype {  // IEEE 802 numbers
inline constexpr std::uint16_t kIpv4 = 0x0800;
inline constexpr std::uint16_t kArp = 0x0806;
inline constexpr std::uint16_t kIpv6 = 0x86dd;
}  // namespace ethertype

// --- matches -------------------------------------------------------------------------------------
// A list of several values is an anonymous set; the match holds if one of them is met, with
// `negated` if none is.

enum class Direction { in, out };
enum class Side { source, destination };

struct Interface {  // meta iifname / oifname: by name, so that a rule may precede its link
  Direction direction = Direction::in;
  std::vector<std::string> names;
  bool negated = false;
  friend bool operator==(const Interface&, const Interface&) = default;
};
struct Protocol {  // meta protocol: the Ethernet type
  std::vector<std::uint16_t> types;
  bool negated = false;
  friend bool operator==(const Protocol&, const Protocol&) = default;
};
struct EtherType {  // ether type, of the frame itself: 0x8100 for a tagged one
  std::vector<std::uint16_t> types;
  bool negated = false;
  friend bool operator==(const EtherType&, const EtherType&) = default;
};
struct L4Proto {  // meta l4proto
  std::vector<std::uint8_t> protocols;
  bool negated = false;
  friend bool operator==(const L4Proto&, const L4Proto&) = default;
};
enum class PacketType { host, broadcast, multicast, other };
struct PacketTypeIs {  // meta pkttype: how the frame was addressed
  std::vector<PacketType> types;
  bool negated = false;
  friend bool operator==(const PacketTypeIs&, const PacketTypeIs&) = default;
};
struct Address {  // ip saddr / daddr
  Side side = Side::source;
  std::vector<Prefix4> prefixes;  // several: disjoint
  bool negated = false;
  friend bool operator==(const Address&, const Address&) = default;
};
struct Fragment {  // ip frag-off & 0x3fff != 0: any piece of a datagram, the first one too
  friend bool operator==(const Fragment&, const Fragment&) = default;
};
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  friend auto operator<=>(const PortRange&, const PortRange&) = default;
};
struct Port {  // th sport / dport
  Side side = Side::destination;
  std::vector<PortRange> ranges;  // several: disjoint
  bool negated = false;
  friend bool operator==(const Port&, const Port&) = default;
};
struct IcmpType {  // icmp type
  std::vector<std::uint8_t> types;
  bool negated = false;
  friend bool operator==(const IcmpType&, const IcmpType&) = default;
};
struct CtState {  // ct state; any of those that are set
  bool invalid = false;
  bool established = false;
  bool related = false;
  bool fresh = false;  // "new"
  bool untracked = false;
  friend bool operator==(const CtState&, const CtState&) = default;
};
struct CtStatus {  // ct status; any of those that are set
  bool snat = false;
  bool dnat = false;
  friend bool operator==(const CtStatus&, const CtStatus&) = default;
};
enum class AddressType { unicast, local, broadcast, multicast, blackhole, unreachable, prohibit };
struct FibType {  // fib saddr|daddr [. iif] type
  Side side = Side::destination;
  bool onInputInterface = false;  // an address counts as local only if the input interface has it
  std::vector<AddressType> types;
  bool negated = false;
  friend bool operator==(const FibType&, const FibType&) = default;
};
struct FibReversePath {  // fib saddr . iif oif missing | exists
  bool exists = false;
  friend bool operator==(const FibReversePath&, const FibReversePath&) = default;
};
namespace tcpflag {
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;
}
struct TcpFlags {  // tcp flags & mask == value, or one of several values
  std::uint8_t mask = 0;
  std::vector<std::uint8_t> values;
  bool negated = false;
  friend bool operator==(const TcpFlags&, const TcpFlags&) = default;
};
struct Mark {  // meta mark
  std::uint32_t value = 0;
  bool negated = false;
  friend bool operator==(const Mark&, const Mark&) = default;
};
struct EtherAddress {  // ether saddr / daddr
  Side side = Side::source;
  std::vector<Mac> addresses;
  bool negated = false;
  friend bool operator==(const EtherAddress&, const EtherAddress&) = default;
};
enum class PayloadBase { link, network, transport };
struct Payload {  // raw bytes, for what has no struct above: @nh,OFFSET,LENGTH
  PayloadBase base = PayloadBase::network;
  std::uint16_t offset = 0;         // bytes
  std::vector<std::uint8_t> bytes;  // 1 to 16, as on the wire
  bool negated = false;
  friend bool operator==(const Payload&, const Payload&) = default;
};
struct ShorterThan {  // meta length < N: of the network layer, without the frame's Ethernet header
  std::uint32_t bytes = 0;
  friend bool operator==(const ShorterThan&, const ShorterThan&) = default;
};
// Fields of a packet that make a key of a NamedSet. Those of ARP are of an Ethernet/IPv4 message:
// a match on its head must precede them.
// That of DHCP is the client's hardware address (RFC 2131, chaddr), of an Ethernet client.
enum class KeyPart { inputName, etherSource, ipSource, arpSenderMac, arpSenderIp, dhcpClientMac };
struct InSet {  // iifname . ether saddr @name
  std::string set;
  std::vector<KeyPart> key;  // 1 to 4, of the types that the set has
  bool negated = false;
  friend bool operator==(const InSet&, const InSet&) = default;
};
// Met by what is beyond the rate of its key; the set is dynamic. Where the set is full nothing of a
// new key is met (nft_dynset_eval()): who may fill it must be bounded by other rules.
struct OverRate {  // update @set { iifname limit rate over N/second burst N packets }
  std::string set;
  std::vector<KeyPart> key;
  std::uint64_t rate = 1;   // packets a second
  std::uint32_t burst = 5;  // packets
  friend bool operator==(const OverRate&, const OverRate&) = default;
};
// Met by a packet of a connection beyond the number that its key may have at once (nft_connlimit).
// For packets that begin one: each lookup walks the key's connections, at most once a jiffy
// (nf_conncount.c). The set is dynamic, without a timeout: a key without connections goes by
// itself.
struct OverCount {  // add @set { ip saddr ct count over N }
  std::string set;
  std::vector<KeyPart> key;
  std::uint32_t most = 1;
  friend bool operator==(const OverCount&, const OverCount&) = default;
};
// A program of forBridgeHooks(), by nft_compat and xt_bpf: the match holds if it says "yes". Family
// bridge only. `nft list` cannot print it, and says so.
struct Bpf {
  BpfProgram program;
  friend bool operator==(const Bpf&, const Bpf&) = default;
};
enum class Per { second, minute, hour, day };
struct Limit {  // limit rate [over] N/second burst N packets
  std::uint64_t rate = 1;
  Per per = Per::second;
  std::uint32_t burst = 5;  // packets
  bool over = false;
  friend bool operator==(const Limit&, const Limit&) = default;
};

// --- statements ----------------------------------------------------------------------------------

struct Accept {
  friend bool operator==(const Accept&, const Accept&) = default;
};
struct Drop {
  friend bool operator==(const Drop&, const Drop&) = default;
};
struct Return {
  friend bool operator==(const Return&, const Return&) = default;
};
struct Jump {
  std::string chain;
  friend bool operator==(const Jump&, const Jump&) = default;
};
struct Goto {
  std::string chain;
  friend bool operator==(const Goto&, const Goto&) = default;
};
enum class RejectWith {
  tcpReset,
  netUnreachable,
  hostUnreachable,
  portUnreachable,
  adminProhibited
};
struct Reject {  // ICMP, or RST (behind L4Proto tcp)
  RejectWith with = RejectWith::adminProhibited;
  friend bool operator==(const Reject&, const Reject&) = default;
};
struct Masquerade {
  bool fullyRandom = false;
  friend bool operator==(const Masquerade&, const Masquerade&) = default;
};
struct SourceNat {
  Ipv4 address;
  friend bool operator==(const SourceNat&, const SourceNat&) = default;
};
struct DestinationNat {
  Ipv4 address;
  std::optional<std::uint16_t> port;
  friend bool operator==(const DestinationNat&, const DestinationNat&) = default;
};
struct Redirect {  // to the input interface's own address
  std::optional<std::uint16_t> port;
  friend bool operator==(const Redirect&, const Redirect&) = default;
};
// Hands the packet to a transparent socket. If nobody listens the kernel ends this RULE, not the
// packet: it goes on to the next rule. A drop of the same match must follow (nft_tproxy.c).
struct Tproxy {
  std::optional<Ipv4> address;  // none: the packet's own destination
  std::uint16_t port = 0;
  friend bool operator==(const Tproxy&, const Tproxy&) = default;
};
struct SetMark {
  std::uint32_t value = 0;
  friend bool operator==(const SetMark&, const SetMark&) = default;
};
struct Log {  // to nfnetlink_log's group; the kernel log is not for namespaces
  std::string prefix;
  std::uint16_t group = 0;
  friend bool operator==(const Log&, const Log&) = default;
};
struct NoTrack {
  friend bool operator==(const NoTrack&, const NoTrack&) = default;
};
struct ClampMss {  // tcp option maxseg size set rt mtu (behind a match on SYN)
  friend bool operator==(const ClampMss&, const ClampMss&) = default;
};
// What a dump held and this model does not: never equal to anything that we would write.
struct Unknown {
  std::string name;  // of the kernel's expression, with a reason where it helps
  friend bool operator==(const Unknown&, const Unknown&) = default;
};

using Expr =
    std::variant<Interface, Protocol, EtherType, L4Proto, PacketTypeIs, Address, Fragment, Port,
                 IcmpType, CtState, CtStatus, FibType, FibReversePath, TcpFlags, Mark, EtherAddress,
                 Payload, ShorterThan, InSet, Bpf, OverRate, OverCount, Limit, Accept, Drop, Return,
                 Jump, Goto, Reject, Masquerade, SourceNat, DestinationNat, Redirect, Tproxy,
                 SetMark, Log, NoTrack, ClampMss, Unknown>;

struct Rule {
  std::vector<Expr> exprs;  // matches first, then statements, a verdict last
  std::string comment;      // at most kMaxCommentLength bytes; names what is counted
  bool counter = false;     // counts what all matches let through
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct Base {
  ChainType type = ChainType::filter;
  Hook hook = Hook::input;
  std::int32_t priority = 0;
  Policy policy = Policy::drop;
  std::optional<std::string> device;  // family netdev only, and then required
  friend bool operator==(const Base&, const Base&) = default;
};
struct Chain {
  std::string name;
  std::optional<Base> base;  // none: reached by jump
  std::vector<Rule> rules;
  friend bool operator==(const Chain&, const Chain&) = default;
};
enum class KeyType { ifName, etherAddress, ipv4Address };
// A set whose elements come and go while its rules stay (nft.h, addToSets). They are not part of a
// ruleset as a value: two that differ in them alone are equal, and a replacement keeps them.
struct NamedSet {
  std::string name;
  std::vector<KeyType> key;  // 1 to 4; several: a concatenation
  std::uint32_t size = 0;    // elements at most; the kernel then takes its quicker kind of table
  // Filled by packets (OverRate, OverCount). Such elements are neither read nor kept.
  bool dynamic = false;
  std::uint32_t timeout = 0;  // seconds that a dynamic element stays after its last packet; 0: ever
  friend bool operator==(const NamedSet&, const NamedSet&) = default;
};
struct Table {
  Family family = Family::ip;
  std::string name = kTableName;
  std::vector<Chain> chains;
  std::vector<NamedSet> sets = {};
  friend bool operator==(const Table&, const Table&) = default;
};
struct Ruleset {
  std::vector<Table> tables;
  friend bool operator==(const Ruleset&, const Ruleset&) = default;
};

// One element of a named set.
using KeyValue = std::variant<std::string, Mac, Ipv4>;  // an interface's name, …
struct SetElement {
  Family family = Family::bridge;
  std::string set;
  std::vector<KeyValue> key;
  friend auto operator<=>(const SetElement&, const SetElement&) = default;
};

KeyType typeOf(KeyPart part);

// The same ruleset as a dump would show it: tables by family, named sets by name, values of sets
// sorted and unique, prefixes without host bits. replaceRuleset() writes the canonical form.
Ruleset canonical(Ruleset ruleset);

// Without the rules that count connections (OverCount) and their sets: for a kernel that lacks
// nft_connlimit.
Ruleset withoutCounts(Ruleset ruleset);

const char* toString(Family family);
const char* toString(Hook hook);

// True if the expression only decides whether the rule goes on; false for statements and verdicts.
bool isMatch(const Expr& expr);

}  // namespace orrery::nft
