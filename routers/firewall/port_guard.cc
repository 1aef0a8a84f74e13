// The guard at each port of a LAN's bridge, in the bridge family's prerouting hook.
//
// br_handle_frame() (net/bridge/br_input.c) calls that hook before br_handle_frame_finish() learns
// the source address, so what is dropped here has taught the bridge nothing. Frames to
// 01:80:c2:00:00:0x would be handled, and learned from, apart; a group_fwd_mask sends them this way
// as well (createBridge, netns/link). docs/adr/0013-guard-at-each-port.md weighs this against
// netdev's ingress hook.
//
// One ruleset serves all ports: two sets hold who is where, and to attach a client is to add two
// elements. The first rule is the whole way of an honest IPv4 packet; all behind it is for ARP,
// DHCP and to tell the kinds of what is wrong apart. A tag of 802.1Q shows as the frame's Ethernet
// type, also where the kernel has taken it off (nft_payload_copy_vlan()), so tagged frames match
// nothing but their own drop.
#include "routers/firewall/client_limits.h"
#include "routers/firewall/firewall.h"
#include "routers/firewall/parts.h"

namespace orrery {
namespace {

using namespace nft;
using namespace firewall;

constexpr const char* kPorts = "ports";  // port, MAC

constexpr std::uint16_t kVlan = 0x8100, kServiceVlan = 0x88a8;
constexpr std::uint32_t kIpv4Head = 20, kArpMessage = 28;  // bytes
constexpr std::uint8_t kIcmp6 = 58, kRouterAdvertisement = 134;

Expr type(std::vector<std::uint16_t> types) {
  return EtherType{std::move(types), false};
}
Expr ipv4() {
  return type({ethertype::kIpv4});
}
Expr arp() {
  return type({ethertype::kArp});
}
// Version 4 and a header of five words (RFC 791): no options. A recorded route would tell our own
// networks' addresses to who receives it, and established packets are not looked at again.
Expr plainHead() {
  return bytesAt(PayloadBase::network, 0, {0x45});
}
// 01:80:c2: bridges' own business (IEEE 802.1D, table 7-10): BPDUs, LACP, LLDP, pause.
Expr linkLocal() {
  return bytesAt(PayloadBase::link, 0, {0x01, 0x80, 0xc2});
}

Expr knownClient() {
  return InSet{kClients, {KeyPart::inputName, KeyPart::etherSource, KeyPart::ipSource}, false};
}
Expr ownMac(bool negated = false) {
  return InSet{kPorts, {KeyPart::inputName, KeyPart::etherSource}, negated};
}

std::vector<Rule> honest(const RouterSpec& spec) {
  std::vector<Rule> rules = broadcastLimits(spec);
  rules.push_back(accept("client", {ipv4(), plainHead(), knownClient()}));
  for (Rule& rule : frameLimits(spec)) rules.push_back(std::move(rule));
  rules.push_back(accept(
      "arp",
      {arp(), arpHead(), ownMac(),
       InSet{kClients, {KeyPart::inputName, KeyPart::arpSenderMac, KeyPart::arpSenderIp}, false}}));
  // Asks whether an address is free before it is used (RFC 5227): changes nobody's table.
  rules.push_back(
      accept("arp-probe",
             {arp(), bytesAt(PayloadBase::network, 0, {0, 1, 8, 0, 6, 4, 0, 1}), arpSender(Ipv4{0}),
              ownMac(), InSet{kPorts, {KeyPart::inputName, KeyPart::arpSenderMac}, false}}));
  if (spec.lan.dhcp)
    rules.push_back(
        accept("dhcp", {ipv4(), from({only(Ipv4{0})}), to({only(Ipv4{0xffffffff})}), udp(),
                        fromPort(kDhcpClientPort), toPort(kDhcpServerPort), ownMac()}));
  return rules;
}

std::vector<Rule> wrong(const RouterSpec& spec) {
  return {
      drop("link-local", {linkLocal()}),
      drop("vlan-tag", {type({kVlan, kServiceVlan})}),
      drop("rogue-ra", {type({ethertype::kIpv6}), bytesAt(PayloadBase::network, 6, {kIcmp6}),
                        bytesAt(PayloadBase::network, 40, {kRouterAdvertisement})}),
      drop("ipv6", {type({ethertype::kIpv6})}),
      drop("runt", {ipv4(), ShorterThan{kIpv4Head}}),
      drop("runt", {arp(), ShorterThan{kArpMessage}}),
      drop("rogue-dhcp", {ipv4(), udp(), fromPort(kDhcpServerPort)}),
      drop("ip-options", {ipv4(), knownClient()}),
      drop("arp-gateway", {arp(), arpSender(spec.lan.address.address)}),
      drop("spoofed-mac", {type({ethertype::kIpv4, ethertype::kArp}), ownMac(true)}),
      drop("arp-sender", {arp()}),
      drop("spoofed-ip", {ipv4()}),
      drop("ethertype", {}),
  };
}

// From port to port, where clients may talk. What is addressed to the router never comes by here.
std::vector<Rule> between(const RouterSpec& spec) {
  std::vector<Rule> rules;
  if (spec.lan.clientsTalk) {
    rules.push_back(drop("rogue-dhcp", {ipv4(), udp(), fromPort(kDhcpServerPort)}));
    rules.push_back(drop("link-local", {linkLocal()}));
    rules.push_back(accept("clients-talk", {type({ethertype::kIpv4, ethertype::kArp})}));
  }
  rules.push_back(drop("client-to-client", {}));
  return rules;
}

}  // namespace

Table firewall::bridgeTable(const RouterSpec& spec) {
  std::vector<Rule> rules = honest(spec);
  for (Rule& rule : wrong(spec)) rules.push_back(std::move(rule));
  Chain frames = chain("prerouting", Hook::prerouting, priority::kBridgeFilter, std::move(rules));
  Chain forward = chain("forward", Hook::forward, priority::kBridgeFilter, between(spec));
  Table table{
      Family::bridge,
      kTableName,
      {std::move(frames), std::move(forward)},
      {{kClients, {KeyType::ifName, KeyType::etherAddress, KeyType::ipv4Address}, kMostPorts},
       {kPorts, {KeyType::ifName, KeyType::etherAddress}, kMostPorts}}};
  addLimitSets(table);
  for (const FilterDirection direction : {FilterDirection::fromClient, FilterDirection::toClient})
    if (auto filters = filterChain(spec, direction)) table.chains.push_back(*std::move(filters));
  return table;
}

std::vector<SetElement> guardEntries(const PortOwner& owner) {
  std::vector<SetElement> entries = limitEntries(owner);
  entries.push_back({Family::bridge, kClients, {owner.port.str(), owner.mac, owner.address}});
  entries.push_back({Family::bridge, kPorts, {owner.port.str(), owner.mac}});
  return entries;
}

}  // namespace orrery
