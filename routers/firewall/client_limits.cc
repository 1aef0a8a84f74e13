// What each client may take of what all share: connection tracking, the resolver, the DHCP server,
// the bridge and the proxy (ClientLimits, routers/spec).
//
// Each limit stands where the first packet of something new, ARP, DHCP or DNS comes by; a packet of
// an established flow meets none of them, but before a tunnel, whose own work costs far more. The
// keys of their sets are what the guard at the port has tied to one client, so that no client can
// fill a set or spend another's share. docs/adr/0019-limits-per-client.md weighs where and how.
#include "routers/firewall/client_limits.h"

#include <algorithm>

#include "routers/firewall/parts.h"

namespace orrery::firewall {
namespace {

using namespace nft;

constexpr const char* kRouters = "routers";  // addresses of routers downstream
constexpr const char* kLeases = "leases";    // MAC of a port's owner, twice
constexpr std::uint32_t kForgotten = 60;     // seconds; a bucket is full again after kBurstSeconds
constexpr std::uint32_t kPings = 20;         // a second and client, to the router itself
// Of a client to the resolver: dnsmasq serves 20 at once (MAX_PROCS), a process for each.
constexpr std::uint32_t kDnsConnections = 4;

Expr overRate(const char* set, KeyPart key, std::uint32_t rate) {
  return OverRate{set, {key}, rate, rate * kBurstSeconds};
}
Expr overCount(const char* set, std::uint32_t most) {
  return OverCount{set, {KeyPart::ipSource}, most};
}
Expr fresh() {
  return CtState{.fresh = true};
}
Expr ofClient() {
  return InSet{kRouters, {KeyPart::ipSource}, true};
}

void append(std::vector<Rule>& to, std::vector<Rule> rules) {
  for (Rule& rule : rules) to.push_back(std::move(rule));
}

}  // namespace

std::vector<Rule> dhcpLimits(const RouterSpec& spec) {
  if (!spec.lan.dhcp) return {};
  const Exprs request = {in(spec.id.name), udp(), toPort(kDhcpServerPort)};
  // Under another's hardware address a client could decline or release the other's lease, under
  // invented ones take all that are left.
  std::vector<Rule> rules = {
      drop("dhcp-forged",
           request + Exprs{InSet{kLeases, {KeyPart::etherSource, KeyPart::dhcpClientMac}, true}})};
  if (const std::uint32_t rate = spec.clientLimits.dhcpFrames; rate != 0)
    rules.push_back(
        drop("dhcp-flood", request + Exprs{overRate("dhcp-rate", KeyPart::etherSource, rate)}));
  return rules;
}

std::vector<Rule> pingLimits(const RouterSpec& spec) {
  return {drop("ping-flood", Exprs{in(spec.id.name)} + icmp({kEchoRequest}) +
                                 Exprs{overRate("ping-rate", KeyPart::ipSource, kPings)})};
}

std::vector<Rule> dnsLimits(const RouterSpec& spec) {
  const std::uint32_t rate = spec.clientLimits.dnsQueries;
  if (rate == 0) return {};
  return {drop("dns-flood", {in(spec.id.name), udp(), toPort(kDnsPort), ofClient(),
                             overRate("dns-rate", KeyPart::ipSource, rate)})};
}

std::vector<Rule> localLimits(const RouterSpec& spec) {
  std::vector<Rule> rules = dhcpLimits(spec);
  append(rules, dnsLimits(spec));
  if (spec.clientLimits.connections != 0)
    rules.push_back(drop("dns-connections", {in(spec.id.name), tcp(), toPort(kDnsPort), fresh(),
                                             ofClient(), overCount("dns-flows", kDnsConnections)}));
  append(rules, pingLimits(spec));
  return rules;
}

namespace {

std::vector<Rule> limitsOn(const Exprs& begun, const ClientLimits& limits) {
  std::vector<Rule> rules;
  // The rate first: it bounds how often the connections are walked.
  if (limits.newConnections != 0)
    rules.push_back(drop("new-connections", begun + Exprs{overRate("new-rate", KeyPart::ipSource,
                                                                   limits.newConnections)}));
  if (limits.connections != 0)
    rules.push_back(drop("connections", begun + Exprs{overCount("flows", limits.connections)}));
  return rules;
}

}  // namespace

std::vector<Rule> flowLimits(const RouterSpec& spec) {
  return limitsOn({in(spec.id.name), fresh(), ofClient()}, spec.clientLimits);
}

std::vector<Rule> proxiedFlowLimits(const RouterSpec& spec) {
  return limitsOn({in(spec.id.name), tcp(), fresh(), ofClient()}, spec.clientLimits);
}

// A tunnel's ring is one queue for all, and what comes when it is full is lost, whoever's it is. A
// large send of TCP or QUIC is one packet here (GSO), and becomes many only in the tunnel.
std::vector<Rule> tunnelLimits(const RouterSpec& spec) {
  const std::uint32_t rate = spec.clientLimits.tunnelPackets;
  if (rate == 0 || !isTunnel(spec.egress)) return {};
  const std::uint32_t burst = std::max(rate / 10, 100u);  // about what the ring holds
  return {drop("tunnel-packets", {in(spec.id.name), ofClient(),
                                  OverRate{"tunnel-rate", {KeyPart::ipSource}, rate, burst}})};
}

std::vector<Rule> frameLimits(const RouterSpec& spec) {
  if (spec.clientLimits.arpFrames == 0) return {};
  return {
      drop("arp-flood", {EtherType{{ethertype::kArp}, false},
                         overRate("arp-rate", KeyPart::inputName, spec.clientLimits.arpFrames)})};
}

std::vector<Rule> broadcastLimits(const RouterSpec& spec) {
  if (spec.clientLimits.broadcasts == 0 || !spec.lan.clientsTalk) return {};
  return {drop("broadcast-flood",
               {PacketTypeIs{{PacketType::broadcast, PacketType::multicast}, false},
                overRate("broadcast-rate", KeyPart::inputName, spec.clientLimits.broadcasts)})};
}

void addLimitSets(Table& table) {
  const auto keyOf = [](const std::vector<KeyPart>& parts) {
    std::vector<KeyType> types;
    for (const KeyPart part : parts) types.push_back(typeOf(part));
    return types;
  };
  for (const Chain& chain : table.chains)
    for (const Rule& rule : chain.rules)
      for (const Expr& expr : rule.exprs) {
        if (const auto* e = std::get_if<OverRate>(&expr))
          table.sets.push_back({e->set, keyOf(e->key), kMostPorts, true, kForgotten});
        if (const auto* e = std::get_if<OverCount>(&expr))
          table.sets.push_back({e->set, keyOf(e->key), kMostPorts, true});
      }
  if (table.family != Family::ip) return;
  // There whether they are looked at or not: who is attached need not ask (guardEntries).
  table.sets.push_back({kRouters, {KeyType::ipv4Address}, kMostPorts});
  table.sets.push_back({kLeases, {KeyType::etherAddress, KeyType::etherAddress}, kMostPorts});
}

std::vector<SetElement> limitEntries(const PortOwner& owner) {
  std::vector<SetElement> entries = {{Family::ip, kLeases, {owner.mac, owner.mac}}};
  if (owner.router) entries.push_back(exemptionOf(owner.address));
  return entries;
}

}  // namespace orrery::firewall

namespace orrery {

nft::SetElement exemptionOf(Ipv4 address) {
  return {nft::Family::ip, firewall::kRouters, {address}};
}

bool isGuardOfAnother(const nft::SetElement& entry, const std::vector<nft::SetElement>& present) {
  if (entry.family != nft::Family::ip) return false;
  return std::any_of(present.begin(), present.end(), [&](const nft::SetElement& other) {
    return other.set == firewall::kClients &&
           std::find(other.key.begin(), other.key.end(), entry.key[0]) != other.key.end();
  });
}

}  // namespace orrery
