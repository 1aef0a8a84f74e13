// Egress namespaces: one link, one daemon, and the servers that it was configured for. There is no
// NAT, no forwarding, no loopback and no name resolution here.
#include <algorithm>
#include <variant>

#include "routers/firewall/firewall.h"
#include "routers/firewall/parts.h"

namespace orrery {
namespace {

using namespace nft;
using namespace firewall;

std::vector<Endpoint> endpointsOf(const EgressSpec& egress) {
  std::vector<Endpoint> list;
  if (const auto* openvpn = std::get_if<OpenVpnEgress>(&egress)) list = openvpn->remotes;
  if (const auto* wireguard = std::get_if<WireGuardEgress>(&egress))
    for (const WireGuardPeer& peer : wireguard->peers) list.push_back(peer.endpoint);
  if (const auto* socks5 = std::get_if<Socks5Egress>(&egress)) list.push_back(socks5->server);
  if (std::holds_alternative<Socks5Egress>(egress))
    for (Endpoint& endpoint : list) endpoint.tcp = true;
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

Expr protocolOf(const Endpoint& endpoint) {
  return endpoint.tcp ? tcp() : udp();
}

// What the daemon may send, and the same seen from the other side.
struct Ways {
  std::vector<Rule> outward;
  std::vector<Rule> inward;
};

Ways waysOf(const RouterSpec& spec, const UplinkFacts& facts) {
  Ways ways;
  const Exprs leaving = {out(kUplink), from({only(facts.address)})};
  const Exprs coming = {in(kUplink), to({only(facts.address)})};
  for (const Endpoint& endpoint : endpointsOf(spec.egress)) {
    ways.outward.push_back(
        accept("server", leaving + Exprs{to({only(endpoint.address)}), protocolOf(endpoint),
                                         toPort(endpoint.port), freshOrEstablished()}));
    ways.inward.push_back(
        accept("server", coming + Exprs{from({only(endpoint.address)}), protocolOf(endpoint),
                                        fromPort(endpoint.port), CtState{.established = true}}));
  }
  if (!std::holds_alternative<TorEgress>(spec.egress)) return ways;
  // Relays are anywhere, on any port; the uplink's LAN and private networks hold none.
  if (facts.lan)
    ways.outward.push_back(drop("uplink-lan", {to({{facts.lan->network(), facts.lan->length}})}));
  ways.outward.push_back(drop("uplink-lan", {to({only(facts.gateway)})}));
  ways.outward.push_back(drop("private-destination", {to(privateDestinations())}));
  ways.outward.push_back(accept("relays", leaving + Exprs{tcp(), freshOrEstablished()}));
  ways.inward.push_back(accept("relays", coming + Exprs{tcp(), CtState{.established = true}}));
  return ways;
}

}  // namespace

Ruleset egressRuleset(const RouterSpec& spec, const UplinkFacts& facts) {
  Ways ways = waysOf(spec, facts);
  std::vector<Rule> guard = {impossibleTcp()};
  guard.push_back(drop("spoofed-source", {from(impossibleSources())}));
  guard.push_back(drop("spoofed-source", {from({only(facts.address)})}));
  guard.push_back(accept("ours", {in(kUplink), to({only(facts.address)})}));
  guard.push_back(drop("not-for-us", {}));

  std::vector<Rule> input = std::move(ways.inward);
  input.push_back(accept("icmp-errors", Exprs{in(kUplink), to({only(facts.address)})} +
                                            icmp({kUnreachable, kTimeExceeded, kParameterProblem}) +
                                            Exprs{CtState{.related = true}}));
  input.push_back(drop("unsolicited", {}));

  std::vector<Rule> output = std::move(ways.outward);
  output.push_back(drop("elsewhere", {}));

  Table table{Family::ip, kTableName, {}};
  table.chains.push_back(chain("guard", Hook::prerouting, priority::kRaw, std::move(guard)));
  table.chains.push_back(chain("input", Hook::input, priority::kFilter, std::move(input)));
  table.chains.push_back(
      chain("forward", Hook::forward, priority::kFilter, {drop("forwarded", {})}));
  table.chains.push_back(chain("output", Hook::output, priority::kFilter, std::move(output)));
  return canonical({{std::move(table), noIpv6()}});
}

}  // namespace orrery
