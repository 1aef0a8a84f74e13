// LAN namespaces that forward: direct routers, and galaxies whose uplink is a tunnel device.
//
// A frame of a client meets: the bridge's guard (port_guard.cc) -> guard (addresses, before
// connection tracking) -> for a tunnel, dns (its queries to other resolvers come to ours) -> input,
// or forward -> nat (the uplink's address, random port). Answers go guard -> forward, by connection
// tracking.
//
// What no router forwards (netns/addr/special.h) is refused where a flow begins, and so costs the
// packets of a flow nothing. Loopback, groups and everybody the kernel does not forward by itself.
//
// What most packets meet comes first, and costs least: a match on an address is a few instructions
// within nft_do_chain(), one on a name, a set or connection tracking is a call through a function
// pointer, ten times as dear. So addresses are looked at before names, and what needs a route
// lookup (weak-host) only where connection tracking does not know the packet.
//
// A flow ends with its egress. While there is no way out the namespace's last route (routers/kinds)
// leads clients' packets to `lo`, where they are refused, TCP by a reset. When a way out is there
// again, nothing goes on that another egress had begun: its entries in connection tracking are gone
// (runtime/supervisor), and a segment in mid-stream, which the kernel would take for the beginning
// of a flow (nf_conntrack_tcp_loose), is reset. A client that only listens is made to speak, and so
// to be told, by a segment in the server's name (netns/conntrack/nudge.h), which no flow may come
// of.
#include <variant>

#include "netns/addr/special.h"
#include "routers/firewall/client_limits.h"
#include "routers/firewall/firewall.h"
#include "routers/firewall/parts.h"

namespace orrery {
namespace {

using namespace nft;
using namespace firewall;

struct Sides {
  std::string lan;     // the bridge
  std::string uplink;  // NIC, veth or tunnel device
  Ipv4 router;         // ours on the bridge
  Prefix4 subnet;
  bool tunnel = false;
  bool leased = false;  // the uplink's address comes by DHCP
};

Sides sidesOf(const RouterSpec& spec) {
  Sides sides{spec.id.name,
              kUplink,
              spec.lan.address.address,
              {spec.lan.address.network(), spec.lan.address.length}};
  sides.tunnel = isTunnel(spec.egress);
  if (std::holds_alternative<OpenVpnEgress>(spec.egress)) sides.uplink = kOpenVpnDevice;
  if (std::holds_alternative<WireGuardEgress>(spec.egress)) sides.uplink = kWireGuardDevice;
  const auto* nic = std::get_if<NicUplink>(&spec.uplink);
  if (nic != nullptr && !sides.tunnel) {
    sides.uplink = kNic;
    sides.leased = !nic->fixed;
  }
  return sides;
}

// Before connection tracking: whose packets may be here at all. (What flags a TCP segment may have
// is connection tracking's own business: tcp_error(), net/netfilter/nf_conntrack_proto_tcp.c, says
// invalid to the same combinations as impossibleTcp().)
Chain guard(const RouterSpec& spec, const Sides& s) {
  std::vector<Rule> rules;
  rules.push_back(accept("from-clients", {from({s.subnet}), notFrom({only(s.router)}),
                                          notFrom({only(s.subnet.network())}),
                                          notFrom({only(s.subnet.broadcast())}), in(s.lan)}));
  for (const Prefix4& prefix : impossibleSources())
    rules.push_back(drop("spoofed-source", {from({prefix}), in(s.uplink)}));
  rules.push_back(accept("from-uplink", {notFrom({s.subnet}), in(s.uplink)}));
  rules.push_back(drop("spoofed-client", {in(s.uplink)}));
  if (spec.lan.dhcp)
    rules.push_back(accept("dhcp", {in(s.lan), from({only(Ipv4{0})}), to({only(Ipv4{0xffffffff})}),
                                    udp(), fromPort(kDhcpClientPort), toPort(kDhcpServerPort)}));
  rules.push_back(drop("spoofed-router", {in(s.lan), from({s.subnet})}));
  rules.push_back(drop("spoofed-source", {in(s.lan)}));
  rules.push_back(accept("loopback", {in("lo")}));
  rules.push_back(drop("unknown-link", {}));
  return chain("guard", Hook::prerouting, priority::kRaw, std::move(rules));
}

// Clients' queries to any resolver are answered by ours. Sees the first packet of a flow only.
Chain dns(const Sides& s) {
  std::vector<Rule> rules;
  rules.push_back(act("dns-elsewhere",
                      {in(s.lan), l4({protocol::kTcp, protocol::kUdp}), toPort(kDnsPort),
                       notTo({only(s.router)}), Redirect{}},
                      true));
  rules.push_back(accept("other", {in(s.lan)}));
  rules.push_back(accept("loopback", {in("lo")}));
  rules.push_back(drop("not-ours", {}));
  return natChain("dns", Hook::prerouting, priority::kDstNat, std::move(rules));
}

Chain input(const RouterSpec& spec, const Sides& s) {
  std::vector<Rule> rules = localLimits(spec);
  rules.push_back(accept("answers", {established()}));
  rules.push_back(drop("invalid", {invalid()}));
  rules.push_back(accept("loopback", {in("lo")}));
  if (spec.lan.dhcp)
    rules.push_back(
        accept("dhcp", {in(s.lan), udp(), fromPort(kDhcpClientPort), toPort(kDhcpServerPort)}));
  rules.push_back(accept("dns", {in(s.lan), to({only(s.router)}),
                                 l4({protocol::kTcp, protocol::kUdp}), toPort(kDnsPort)}));
  rules.push_back(accept("ping", Exprs{in(s.lan), to({only(s.router)})} + icmp({kEchoRequest})));
  rules.push_back(drop("rogue-dhcp", {in(s.lan), udp(), fromPort(kDhcpServerPort)}));
  rules.push_back(
      drop("broadcast",
           {in(s.lan), PacketTypeIs{{PacketType::broadcast, PacketType::multicast}, false}}));
  rules.push_back(drop("router-port", {in(s.lan)}));
  // Answers come to the address that masquerade chose, which is the uplink's own. What is addressed
  // to the bridge came by a wrong way (CVE-2019-14899). It can be no answer either: those to our
  // own address there come from clients, and no client's address passes the guard on the uplink.
  rules.push_back(drop(
      "weak-host", {in(s.uplink), FibType{Side::destination, true, {AddressType::local}, true}}));
  rules.push_back(drop("unsolicited", {}));
  return chain("input", Hook::input, priority::kFilter, std::move(rules));
}

Chain forward(const RouterSpec& spec, const Sides& s) {
  std::vector<Rule> rules;
  if (s.tunnel) rules.push_back(act("mss", {tcp(), syn(), ClampMss{}}));
  for (Rule& rule : tunnelLimits(spec)) rules.push_back(std::move(rule));
  // The guard has tied sources to links: of the LAN's subnet is what came by the LAN.
  rules.push_back(accept("outbound", {from({s.subnet}), out(s.uplink), established()}));
  rules.push_back(
      accept("answers", {notFrom({s.subnet}), out(s.lan), CtState{.established = true}}));
  // A flow that nobody answers is "new" for ever: what was translated has begun before. Here it is
  // the stream of datagrams that must not meet all that follows; below, what else was asked again.
  const CtStatus begun{.snat = true, .dnat = false};
  rules.push_back(
      accept("unanswered", {from({s.subnet}), out(s.uplink), l4({protocol::kUdp}), begun}));
  // No flow begins to there, so what is established needs no look; an error may come from anybody.
  // (What nobody can have as a source the guard has dropped.)
  rules.push_back(drop("never-forwarded", {in(s.uplink), from({kLinkLocal})}));
  rules.push_back(accept("errors", {notFrom({s.subnet}), out(s.lan), CtState{.related = true}}));
  rules.push_back(neverForwarded(s.lan));
  rules.push_back(reset("no-way-out", {in(s.lan), out("lo"), tcp()}));
  rules.push_back(reject("no-way-out", {in(s.lan), out("lo")}));
  // Invalid is a FIN that connection tracking knows no flow for; other segments outside of a flow's
  // window are invalid as well, and no reason to end it.
  rules.push_back(reset("lost-flow", {in(s.lan), out(s.uplink), tcp(), closing(), invalid()}));
  rules.push_back(drop("invalid", {invalid()}));
  if (s.tunnel)
    rules.push_back(reject("dns-elsewhere", {in(s.lan), l4({protocol::kTcp, protocol::kUdp}),
                                             toPorts({kDnsPort, kDnsOverTlsPort})}));
  rules.push_back(reset("lost-flow", {in(s.lan), out(s.uplink), tcp(), notBeginning()}));
  rules.push_back(accept("unanswered", {in(s.lan), out(s.uplink), begun}));
  for (Rule& rule : flowLimits(spec)) rules.push_back(std::move(rule));
  rules.push_back(accept("new-outbound", {in(s.lan), out(s.uplink), CtState{.fresh = true}}));
  if (spec.lan.clientsTalk)
    rules.push_back(accept("clients-talk", {in(s.lan), out(s.lan)}));
  else
    rules.push_back(drop("client-to-client", {in(s.lan), out(s.lan)}));
  // Addressed to a client by its own address, or to be routed back: never an answer, see input.
  rules.push_back(drop("weak-host", {in(s.uplink)}));
  rules.push_back(drop("unsolicited", {}));
  return chain("forward", Hook::forward, priority::kFilter, std::move(rules));
}

// Before connection tracking: of ours with another's source, an answer would be a flow's.
Chain nudges(const Sides& s) {
  std::vector<Rule> rules;
  rules.push_back(act(
      "nudge",
      {out(s.lan), tcp(), FibType{Side::source, false, {AddressType::local}, true}, NoTrack{}}));
  rules.push_back(accept("all", {}));
  return chain("nudges", Hook::output, priority::kRaw, std::move(rules));
}

// The router's own packets: answers to clients, its resolver's queries, errors about flows.
Chain output(const RouterSpec& spec, const Sides& s) {
  std::vector<Rule> rules;
  rules.push_back(accept("answers", {out(s.lan), established()}));
  // Dropped here, a datagram is an error to its sender: the resolver need not wait for an answer.
  rules.push_back(drop("no-way-out",
                       {out("lo"), FibType{Side::destination, false, {AddressType::local}, true}}));
  rules.push_back(accept("loopback", {out("lo")}));
  if (spec.lan.dhcp)
    rules.push_back(
        accept("dhcp", {out(s.lan), udp(), fromPort(kDhcpServerPort), toPort(kDhcpClientPort)}));
  rules.push_back(accept("resets", {out(s.lan), tcp(), resetting()}));
  rules.push_back(
      accept("nudge", {out(s.lan), tcp(), acknowledging(), CtState{.untracked = true}}));
  rules.push_back(accept(
      "icmp-errors", Exprs{out(s.lan)} + icmp({kUnreachable, kTimeExceeded, kParameterProblem})));
  Exprs query = {out(s.uplink), l4({protocol::kTcp, protocol::kUdp}), toPort(kDnsPort)};
  if (!spec.dns.servers.empty()) {
    std::vector<Prefix4> servers;
    for (const Ipv4 server : spec.dns.servers) servers.push_back(only(server));
    query.insert(query.begin() + 1, to(std::move(servers)));
  } else if (!s.tunnel) {
    query.insert(query.begin() + 1, notTo(neverForwardedTo()));  // the contract has no such line
  }
  rules.push_back(accept("dns", query + Exprs{freshOrEstablished()}));
  rules.push_back(accept("icmp-errors", Exprs{out(s.uplink)} + icmp({kUnreachable, kTimeExceeded}) +
                                            Exprs{CtState{.related = true}}));
  if (s.leased)
    rules.push_back(accept("dhcp-renew", {out(s.uplink), notTo(neverForwardedTo()), udp(),
                                          fromPort(kDhcpClientPort), toPort(kDhcpServerPort)}));
  rules.push_back(drop("own-traffic", {}));
  return chain("output", Hook::output, priority::kFilter, std::move(rules));
}

Chain nat(const Sides& s) {
  std::vector<Rule> rules;
  rules.push_back(act("masquerade", {out(s.uplink), Masquerade{true}}));
  rules.push_back(accept("to-clients", {out(s.lan)}));
  rules.push_back(accept("loopback", {out("lo")}));
  rules.push_back(drop("not-ours", {}));
  return natChain("nat", Hook::postrouting, priority::kSrcNat, std::move(rules));
}

}  // namespace

Ruleset firewall::forwardingRuleset(const RouterSpec& spec) {
  const Sides sides = sidesOf(spec);
  Table table{Family::ip, kTableName, {}};
  table.chains.push_back(guard(spec, sides));
  if (sides.tunnel) table.chains.push_back(dns(sides));
  table.chains.push_back(input(spec, sides));
  table.chains.push_back(forward(spec, sides));
  table.chains.push_back(nudges(sides));
  table.chains.push_back(output(spec, sides));
  table.chains.push_back(nat(sides));
  addLimitSets(table);
  return canonical({{std::move(table), noIpv6(), bridgeTable(spec)}});
}

}  // namespace orrery
