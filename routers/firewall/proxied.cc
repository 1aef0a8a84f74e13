// LAN namespaces of tor and socks5 routers. Nothing is forwarded: TCP and DNS are handed to
// `tproxy` (sockets in this namespace), all else is refused so that programs notice at once.
//
// tproxy without a listener lets the packet go on to the next rule, so the next rule is always a
// drop of the same match. What gets past everything meets input (only what carries the mark) and
// forward (no accept at all).
#include <variant>

#include "routers/firewall/client_limits.h"
#include "routers/firewall/firewall.h"
#include "routers/firewall/parts.h"

namespace orrery {
namespace {

using namespace nft;
using namespace firewall;

// Before defragmentation (-400): fragments never meet a rule that looks at ports.
Chain guard(const RouterSpec& spec) {
  const std::string lan = spec.id.name;
  const Prefix4 subnet{spec.lan.address.network(), spec.lan.address.length};
  std::vector<Rule> rules;
  rules.push_back(drop("fragment", {Fragment{}}));
  rules.push_back(impossibleTcp());
  if (spec.lan.dhcp)
    rules.push_back(accept("dhcp", {in(lan), from({only(Ipv4{0})}), to({only(Ipv4{0xffffffff})}),
                                    udp(), fromPort(kDhcpClientPort), toPort(kDhcpServerPort)}));
  rules.push_back(drop("spoofed-source", {in(lan), notFrom({subnet})}));
  rules.push_back(
      drop("spoofed-router", {in(lan), from({only(spec.lan.address.address), only(subnet.network()),
                                             only(subnet.broadcast())})}));
  rules.push_back(accept("from-clients", {in(lan)}));
  rules.push_back(accept("loopback", {in("lo")}));
  rules.push_back(drop("unknown-link", {}));
  return chain("guard", Hook::prerouting, priority::kBeforeDefrag, std::move(rules));
}

// A tproxy rule and the drop that closes it when nobody listens.
void handOver(std::vector<Rule>& rules, const std::string& what, const Exprs& match,
              std::uint16_t port) {
  rules.push_back(
      act(what, match + Exprs{Tproxy{std::nullopt, port}, SetMark{kProxyMark}, Accept{}}));
  rules.push_back(drop(what + "-no-listener", match));
}

// What only a local network has, the LAN itself among it, but not the addresses that stand for
// names.
void refusePrivate(std::vector<Rule>& rules, const RouterSpec& spec, const std::string& lan) {
  rules.push_back(reset("router-port", {in(lan), tcp(), to({only(spec.lan.address.address)})}));
  rules.push_back(
      reset("private-destination",
            {in(lan), tcp(), to({{spec.lan.address.network(), spec.lan.address.length}})}));
  rules.push_back(reset("private-destination",
                        {in(lan), tcp(), notTo({spec.dns.names}), to(privateNetworks())}));
}

Chain proxy(const RouterSpec& spec) {
  const std::string lan = spec.id.name;
  const Ipv4 router = spec.lan.address.address;
  const ProxyPorts ports;
  std::vector<Rule> rules;
  rules.push_back(accept("loopback", {in("lo")}));
  rules.push_back(drop("invalid", {invalid()}));
  for (Rule& rule : dhcpLimits(spec)) rules.push_back(std::move(rule));
  if (spec.lan.dhcp)
    rules.push_back(
        accept("dhcp", {in(lan), udp(), fromPort(kDhcpClientPort), toPort(kDhcpServerPort),
                        to({only(router), only(Ipv4{0xffffffff})})}));
  rules.push_back(drop(
      "multicast", {in(lan), PacketTypeIs{{PacketType::broadcast, PacketType::multicast}, false}}));
  rules.push_back(drop("multicast", {in(lan), to({{Ipv4{0xe0000000}, 4}})}));
  // Before any listener: who asks is told at once, and no proxy hears of it.
  rules.push_back(neverForwarded(lan));
  for (Rule& rule : pingLimits(spec)) rules.push_back(std::move(rule));
  rules.push_back(accept("ping", Exprs{in(lan), to({only(router)})} + icmp({kEchoRequest})));
  for (Rule& rule : dnsLimits(spec)) rules.push_back(std::move(rule));
  handOver(rules, "dns-udp", {in(lan), udp(), toPort(kDnsPort)}, ports.dnsUdp);
  for (Rule& rule : proxiedFlowLimits(spec)) rules.push_back(std::move(rule));
  handOver(rules, "dns-tcp", {in(lan), tcp(), toPort(kDnsPort)}, ports.dnsTcp);
  refusePrivate(rules, spec, lan);
  handOver(rules, "tcp", {in(lan), tcp()}, ports.tcp);
  rules.push_back(reject("udp", {in(lan), udp()}));
  rules.push_back(reject("icmp", {in(lan), l4({protocol::kIcmp})}));
  rules.push_back(reject("other", {in(lan)}));
  rules.push_back(drop("unknown-link", {}));
  return chain("proxy", Hook::prerouting, priority::kMangle, std::move(rules));
}

Chain input(const RouterSpec& spec) {
  const std::string lan = spec.id.name;
  std::vector<Rule> rules;
  rules.push_back(
      accept("tproxy", {in(lan), Mark{kProxyMark, false}, l4({protocol::kTcp, protocol::kUdp})}));
  rules.push_back(accept("loopback", {in("lo")}));
  if (spec.lan.dhcp)
    rules.push_back(
        accept("dhcp", {in(lan), udp(), fromPort(kDhcpClientPort), toPort(kDhcpServerPort)}));
  rules.push_back(
      accept("ping", Exprs{in(lan), to({only(spec.lan.address.address)})} + icmp({kEchoRequest})));
  rules.push_back(drop("unsolicited", {}));
  return chain("input", Hook::input, priority::kFilter, std::move(rules));
}

Chain output(const RouterSpec& spec) {
  const std::string lan = spec.id.name;
  std::vector<Rule> rules;
  rules.push_back(accept("answers", {out(lan), established()}));
  rules.push_back(accept("loopback", {out("lo")}));
  if (spec.lan.dhcp)
    rules.push_back(
        accept("dhcp", {out(lan), udp(), fromPort(kDhcpServerPort), toPort(kDhcpClientPort)}));
  rules.push_back(accept("icmp-errors",
                         Exprs{out(lan)} + icmp({kUnreachable, kTimeExceeded, kParameterProblem})));
  rules.push_back(drop("own-traffic", {}));
  return chain("output", Hook::output, priority::kFilter, std::move(rules));
}

Ruleset proxiedRuleset(const RouterSpec& spec) {
  Table table{Family::ip, kTableName, {}};
  table.chains.push_back(guard(spec));
  table.chains.push_back(proxy(spec));
  table.chains.push_back(input(spec));
  table.chains.push_back(
      chain("forward", Hook::forward, priority::kFilter, {drop("forwarded", {})}));
  table.chains.push_back(output(spec));
  addLimitSets(table);
  return canonical({{std::move(table), noIpv6(), bridgeTable(spec)}});
}

}  // namespace

Ruleset lanRuleset(const RouterSpec& spec) {
  return isProxied(spec.egress) ? proxiedRuleset(spec) : forwardingRuleset(spec);
}

}  // namespace orrery
