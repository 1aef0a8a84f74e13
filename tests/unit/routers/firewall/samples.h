// One definition of each kind and egress, as values, with the ruleset of each of its namespaces.
// Used by the golden files and by the system tests.
#pragma once

#include <string>
#include <vector>

#include "routers/firewall/firewall.h"

namespace orrery::samples {

inline Ipv4 ip(const char* text) {
  return parseIpv4(text).value();
}
inline Prefix4 net(const char* text) {
  return parsePrefix4(text).value();
}

inline RouterSpec router(const char* name, Kind kind, const char* lan, EgressSpec egress) {
  RouterSpec spec;
  spec.id = {"network0", name};
  spec.kind = kind;
  spec.lan.address = net(lan);
  spec.lan.mac = macFromAddress(spec.lan.address.address, 0);
  spec.egress = std::move(egress);
  spec.uplink = RouterUplink{"universe0", std::nullopt};
  return spec;
}

inline RouterSpec universe() {
  RouterSpec spec = router("universe0", Kind::universe, "10.0.0.1/24", DirectEgress{});
  spec.uplink = NicUplink{NicByName{IfName::parse("eth0").value()}, std::nullopt, std::nullopt};
  spec.lan.dhcp = DhcpSpec{ip("10.0.0.2"), ip("10.0.0.254")};
  return spec;
}

inline RouterSpec universeStatic() {
  RouterSpec spec = universe();
  spec.uplink =
      NicUplink{NicByName{IfName::parse("eth0").value()},
                StaticUplink{net("198.51.100.2/24"), ip("198.51.100.1"), {ip("198.51.100.53")}},
                std::nullopt};
  spec.lan.dhcp.reset();
  spec.dns.servers = {ip("9.9.9.9"), ip("149.112.112.112")};
  return spec;
}

inline RouterSpec galaxyDirect() {
  RouterSpec spec = router("galaxy3", Kind::galaxy, "10.1.3.254/24", DirectEgress{});
  spec.lan.dhcp = DhcpSpec{ip("10.1.3.2"), ip("10.1.3.253")};
  spec.lan.clientsTalk = true;
  return spec;
}

inline RouterSpec galaxyOpenVpn() {
  OpenVpnEgress egress;
  egress.remotes = {{ip("198.18.1.10"), 1194, false}, {ip("198.18.1.11"), 443, true}};
  RouterSpec spec = router("galaxy0", Kind::galaxy, "10.1.1.254/24", egress);
  spec.lan.dhcp = DhcpSpec{ip("10.1.1.2"), ip("10.1.1.253")};
  return spec;
}

inline RouterSpec galaxyWireGuard() {
  WireGuardEgress egress;
  WireGuardPeer peer;
  peer.endpoint = {ip("198.18.1.20"), 51820, false};
  egress.peers = {peer};
  egress.address = net("10.64.0.2/32");
  return router("galaxy1", Kind::galaxy, "10.1.2.254/24", egress);
}

inline RouterSpec galaxySocks5() {
  Socks5Egress egress;
  egress.server = {ip("198.18.1.30"), 1080, true};
  RouterSpec spec = router("galaxy2", Kind::galaxy, "10.1.4.254/24", egress);
  spec.lan.dhcp = DhcpSpec{ip("10.1.4.2"), ip("10.1.4.253")};
  return spec;
}

inline RouterSpec star() {
  RouterSpec spec = router("star0", Kind::star, "10.2.2.254/24", TorEgress{});
  spec.lan.dhcp = DhcpSpec{ip("10.2.2.2"), ip("10.2.2.253")};
  return spec;
}

inline UplinkFacts facts() {
  return {ip("10.0.0.7"), ip("10.0.0.1"), net("10.0.0.1/24")};
}

struct Sample {
  std::string name;  // also of the golden file
  nft::Ruleset ruleset;
};
inline std::vector<Sample> all() {
  return {
      {"universe-direct-dhcp", lanRuleset(universe())},
      {"universe-direct-static", lanRuleset(universeStatic())},
      {"galaxy-direct", lanRuleset(galaxyDirect())},
      {"galaxy-openvpn", lanRuleset(galaxyOpenVpn())},
      {"galaxy-openvpn.egress", egressRuleset(galaxyOpenVpn(), facts())},
      {"galaxy-wireguard", lanRuleset(galaxyWireGuard())},
      {"galaxy-wireguard.egress", egressRuleset(galaxyWireGuard(), facts())},
      {"galaxy-socks5", lanRuleset(galaxySocks5())},
      {"galaxy-socks5.egress", egressRuleset(galaxySocks5(), facts())},
      {"star-tor", lanRuleset(star())},
      {"star-tor.egress", egressRuleset(star(), facts())},
  };
}

}  // namespace orrery::samples
