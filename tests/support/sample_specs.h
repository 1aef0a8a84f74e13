// Router specs for tests: the chain of the Multiverse, universe0 → galaxy0 → star0.
#pragma once

#include "routers/kinds/desired.h"
#include "routers/spec/router_spec.h"

namespace orrery::test {

inline Prefix4 prefix(const char* text) { return parsePrefix4(text).value(); }
inline Ipv4 ip(const char* text) { return parseIpv4(text).value(); }

inline RouterSpec baseSpec(const char* name, Kind kind, const char* lan) {
  RouterSpec spec;
  spec.id = RouterId{"network0", name};
  spec.kind = kind;
  spec.lan.address = prefix(lan);
  spec.lan.mac = macFromAddress(spec.lan.address.address, 0);
  spec.lan.dhcp = DhcpSpec{Ipv4{spec.lan.address.network().value + 2},
                           Ipv4{spec.lan.address.broadcast().value - 2}};
  return spec;
}

inline RouterSpec universeSpec() {
  RouterSpec spec = baseSpec("universe0", Kind::universe, "10.0.0.1/24");
  spec.uplink = NicUplink{NicByMac{parseMac("52:54:00:ab:cd:01").value()}, std::nullopt,
                          std::nullopt};
  spec.egress = DirectEgress{};
  return spec;
}

inline RouterSpec openvpnSpec() {
  RouterSpec spec = baseSpec("galaxy0", Kind::galaxy, "10.1.1.254/24");
  spec.uplink = RouterUplink{"universe0", std::nullopt};
  OpenVpnEgress egress;
  egress.profile = "galaxy0.ovpn";
  egress.text = "client\n";
  egress.remotes = {Endpoint{ip("198.18.0.10"), 1194, false}};
  spec.egress = egress;
  return spec;
}

inline RouterSpec directSpec() {
  RouterSpec spec = baseSpec("galaxy3", Kind::galaxy, "10.1.4.254/24");
  spec.uplink = RouterUplink{"universe0", std::nullopt};
  spec.egress = DirectEgress{};
  return spec;
}

inline RouterSpec torSpec() {
  RouterSpec spec = baseSpec("star0", Kind::star, "10.2.2.254/24");
  spec.uplink = RouterUplink{"galaxy0", std::nullopt};
  spec.egress = TorEgress{};
  return spec;
}

inline Placement nicPlacement() {
  Placement placement;
  placement.nic = NicFacts{"eth1", parseMac("52:54:00:ab:cd:01").value(), Mac{}, true, 1500};
  return placement;
}

inline Placement behind(const RouterSpec& uplink, const char* address) {
  Placement placement;
  placement.uplink = uplink;
  placement.uplinkAddress = ip(address);
  return placement;
}

}  // namespace orrery::test
