// The ruleset of each namespace of a router, as a value. Pure.
//
// Each is complete and deny-by-default: every base chain's policy is drop, so it can be applied
// before the first link exists, and needs no change when links, leases or tunnels come and go:
// links are matched by the names that they will have. The structure of namespaces is the first wall
// (docs/ARCHITECTURE.md); this is the second.
//
//   lanRuleset     direct:               LAN and uplink in one namespace, NAT between them
//                  openvpn, wireguard:   the same with the tunnel as the only uplink; clients' DNS
//                                        goes to our resolver, MSS follows the tunnel's MTU
//                  tor, socks5:          nothing is forwarded; TCP and DNS go to `tproxy`, the rest
//                                        is refused at once
//   egressRuleset  what the tunnel or proxy daemon may send, and to whom: the lines of the leak
//                  contract (routers/contract), a rule each
//
// A rule with a counter has a comment that names what it counts ("spoofed-source",
// "dns-elsewhere"); rules of one name in one chain count the same thing. Sources: RFC 2827
// (spoofing), CVE-2019-14899 (packets for a tunnel's address on another link), CVE-2021-3773 (port
// shadowing: random ports), net/netfilter/nft_tproxy.c (tproxy without a listener falls through to
// the next rule).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/nft/ruleset.h"
#include "routers/contract/contract.h"
#include "routers/spec/router_spec.h"

namespace orrery {

// Marks what `tproxy` may receive; an `ip rule` delivers it locally (routers/kinds).
inline constexpr std::uint32_t kProxyMark = 1;

// The ports that `tproxy` listens on in the LAN namespace (runtime/tproxy/listeners.h).
struct ProxyPorts {
  std::uint16_t tcp = 9040;
  std::uint16_t dnsUdp = 5353;
  std::uint16_t dnsTcp = 5354;
  friend bool operator==(const ProxyPorts&, const ProxyPorts&) = default;
};

// Whoever hangs on a port of a LAN's bridge: a client or a router downstream. The address is the
// one that it has, or is entitled to by DHCP.
struct PortOwner {
  IfName port;
  Mac mac;
  Ipv4 address;
  bool router = false;  // one of ours, which holds its own clients to their limits
  friend bool operator==(const PortOwner&, const PortOwner&) = default;
};
// What a LAN's ruleset must be told of it (netns/nft/nft.h, addToSets) before its port exists:
// nothing passes a port whose owner is not known.
std::vector<nft::SetElement> guardEntries(const PortOwner& owner);
// Of those, what frees a router downstream from the limits of a client.
nft::SetElement exemptionOf(Ipv4 address);
// True for an entry without a port's name whose MAC or address an owner in `present` has.
bool isGuardOfAnother(const nft::SetElement& entry, const std::vector<nft::SetElement>& present);

// The comment of the counted rules of the definition's filter of that number, from 0: "filter-1".
std::string filterName(std::size_t number);

nft::Ruleset lanRuleset(const RouterSpec& spec);
// Only for routers with hasEgressNamespace(); for others a ruleset that drops everything.
nft::Ruleset egressRuleset(const RouterSpec& spec, const UplinkFacts& facts);

}  // namespace orrery
