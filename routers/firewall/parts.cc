#include "routers/firewall/parts.h"

#include <variant>

#include "netns/addr/special.h"

namespace orrery::firewall {

using namespace nft;

namespace {

std::vector<std::uint8_t> wireBytes(Ipv4 address) {
  const std::uint32_t v = address.value;
  return {static_cast<std::uint8_t>(v >> 24), static_cast<std::uint8_t>(v >> 16),
          static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

}  // namespace

Exprs operator+(Exprs a, const Exprs& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Expr in(std::string name) {
  return Interface{Direction::in, {std::move(name)}, false};
}
Expr out(std::string name) {
  return Interface{Direction::out, {std::move(name)}, false};
}
Expr from(std::vector<Prefix4> prefixes) {
  return Address{Side::source, std::move(prefixes), false};
}
Expr notFrom(std::vector<Prefix4> prefixes) {
  return Address{Side::source, std::move(prefixes), true};
}
Expr to(std::vector<Prefix4> prefixes) {
  return Address{Side::destination, std::move(prefixes), false};
}
Expr notTo(std::vector<Prefix4> prefixes) {
  return Address{Side::destination, std::move(prefixes), true};
}
Prefix4 only(Ipv4 address) {
  return {address, 32};
}
Expr l4(std::vector<std::uint8_t> protocols) {
  return L4Proto{std::move(protocols), false};
}
Expr tcp() {
  return l4({protocol::kTcp});
}
Expr udp() {
  return l4({protocol::kUdp});
}
Expr fromPort(std::uint16_t port) {
  return Port{Side::source, {{port, port}}, false};
}
Expr toPort(std::uint16_t port) {
  return Port{Side::destination, {{port, port}}, false};
}
Expr toPorts(std::initializer_list<std::uint16_t> ports) {
  Port match{Side::destination, {}, false};
  for (const std::uint16_t port : ports) match.ranges.push_back({port, port});
  return match;
}
Exprs icmp(std::vector<std::uint8_t> types) {
  return {l4({protocol::kIcmp}), IcmpType{std::move(types), false}};
}
Expr established() {
  return CtState{.established = true, .related = true};
}
Expr freshOrEstablished() {
  return CtState{.established = true, .related = true, .fresh = true};
}
Expr invalid() {
  return CtState{.invalid = true};
}
Expr syn() {
  return TcpFlags{tcpflag::kSyn | tcpflag::kRst, {tcpflag::kSyn}, false};
}
Expr notBeginning() {
  using namespace tcpflag;
  return TcpFlags{kFin | kSyn | kRst | kAck, {kSyn}, true};
}
Expr closing() {
  using namespace tcpflag;
  return TcpFlags{kFin | kSyn | kRst, {kFin}, false};
}
Expr resetting() {
  using namespace tcpflag;
  return TcpFlags{kFin | kSyn | kRst, {kRst}, false};
}

Expr acknowledging() {
  using namespace tcpflag;
  return TcpFlags{kFin | kSyn | kRst | kAck, {kAck}, false};
}

Expr bytesAt(PayloadBase base, std::uint16_t offset, std::vector<std::uint8_t> bytes) {
  return Payload{base, offset, std::move(bytes), false};
}
Expr arpHead() {
  return bytesAt(PayloadBase::network, 0, {0, 1, 8, 0, 6, 4});
}
Expr arpSender(Ipv4 address) {
  return bytesAt(PayloadBase::network, 14, wireBytes(address));
}
Expr arpTarget(Ipv4 address) {
  return bytesAt(PayloadBase::network, 24, wireBytes(address));
}

Rule act(std::string comment, Exprs exprs, bool counter) {
  return Rule{std::move(exprs), std::move(comment), counter};
}
Rule accept(std::string comment, Exprs matches) {
  matches.emplace_back(Accept{});
  return act(std::move(comment), std::move(matches));
}
Rule drop(std::string reason, Exprs matches) {
  matches.emplace_back(Drop{});
  return act(std::move(reason), std::move(matches), true);
}
Rule reject(std::string reason, Exprs matches) {
  matches.emplace_back(Reject{RejectWith::adminProhibited});
  return act(std::move(reason), std::move(matches), true);
}
Rule reset(std::string reason, Exprs matches) {
  matches.emplace_back(Reject{RejectWith::tcpReset});
  return act(std::move(reason), std::move(matches), true);
}

Chain chain(std::string name, Hook hook, std::int32_t priority, std::vector<Rule> rules) {
  return {std::move(name), Base{ChainType::filter, hook, priority, Policy::drop, std::nullopt},
          std::move(rules)};
}
Chain natChain(std::string name, Hook hook, std::int32_t priority, std::vector<Rule> rules) {
  return {std::move(name), Base{ChainType::nat, hook, priority, Policy::drop, std::nullopt},
          std::move(rules)};
}

Rule impossibleTcp() {
  using namespace tcpflag;
  return drop("tcp-flags",
              {tcp(), TcpFlags{kFin | kSyn | kRst | kAck,
                               {kSyn, kSyn | kAck, kAck, kFin | kAck, kRst, kRst | kAck},
                               true}});
}

Rule neverForwarded(const std::string& lan) {
  return reject("never-forwarded",
                {in(lan), notTo({kForwardedAssignments}), to(neverForwardedTo())});
}

std::vector<Prefix4> impossibleSources() {
  return {{Ipv4{0x00000000}, 8}, {Ipv4{0x7f000000}, 8}, {Ipv4{0xe0000000}, 3}};
}

Table noIpv6() {
  Table table{Family::ip6, kTableName, {}};
  for (const Hook hook : {Hook::prerouting, Hook::input, Hook::forward, Hook::output})
    table.chains.push_back(chain(toString(hook), hook, priority::kRaw, {drop("ipv6", {})}));
  return table;
}

bool isTunnel(const EgressSpec& egress) {
  return std::holds_alternative<OpenVpnEgress>(egress) ||
         std::holds_alternative<WireGuardEgress>(egress);
}

}  // namespace orrery::firewall
