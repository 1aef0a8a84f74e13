// What a router is made of: from its definition, and the few facts that only the host can tell, to
// the ordered list of resources. Pure.
//
// The order is the kill switch's: namespaces, their sysctls (IPv6 off), their complete rulesets
// (policy drop), then the LAN side, and the link to the outside last.
#pragma once

#include <optional>
#include <vector>

#include "routers/plan/resource.h"
#include "routers/spec/router_spec.h"

namespace orrery {

// What this kernel has; settings that it lacks are left out of the plan.
struct KernelFacts {
  bool ipv6 = true;
  bool bridgeNetfilter = true;
  friend bool operator==(const KernelFacts&, const KernelFacts&) = default;
};

struct NicFacts {
  std::string hostName;
  Mac hostMac;
  Mac permanentMac;
  bool up = false;
  std::uint16_t mtu = 1500;
  friend bool operator==(const NicFacts&, const NicFacts&) = default;
};

// Chosen when the router is spawned, and kept for its life.
struct Placement {
  KernelFacts kernel;
  std::uint32_t idSlot = 0;              // which range of user ids is its own
  std::optional<NicFacts> nic;           // universe
  std::optional<RouterSpec> uplink;      // the router upstream
  std::optional<Ipv4> uplinkAddress;     // ours on its LAN
};

// Host ids: one range of kIdsPerRouter a router, above what systemd (up to 0x6fffffff) gives to
// containers and below 2^31. See https://systemd.io/UIDS-GIDS.
inline constexpr std::uint32_t kFirstId = 0x70000000;
inline constexpr std::uint32_t kIdsPerRouter = 256;
inline constexpr std::uint32_t kIdSlots = 0x10000000 / kIdsPerRouter;
inline std::uint32_t idBase(const Placement& p) { return kFirstId + p.idSlot * kIdsPerRouter; }

// Where packets with kProxyMark (routers/firewall) are delivered locally.
inline constexpr std::uint32_t kTproxyTable = 100;
// The kernel's last table (RT_TABLE_DEFAULT, ip-rule(8)), after main. In a namespace that forwards it
// holds one route, to `lo`: what no way out takes meets the rules there, and is refused.
inline constexpr std::uint32_t kLastTable = 253;

// Names of interfaces inside the namespaces; ours, never found by probing.
IfName nicName();                             // "ens1": the NIC in a universe
IfName uplinkName();                          // "uplink": the veth to the router upstream
std::optional<IfName> tunnelName(const RouterSpec&);  // "tun0" or "wg0"
IfName bridgeName(const RouterSpec&);         // the router's own name
// The namespace that holds the uplink: the egress namespace, or the only one.
std::string uplinkNetns(const RouterSpec&);
// The router's MAC on its uplink, and that of the port at the other end.
Mac uplinkMac(const RouterSpec&, Ipv4 uplinkAddress);
Mac portMac(const Mac& inner);

// Below the run directory of `router`: one file per reserved address, read by its dnsmasq.
std::string reservationDirectory(const RouterId& router);
std::string runDirectory(const RouterId& router);
std::string idSlotPath(std::uint32_t slot);

std::vector<Resource> desiredState(const RouterSpec& spec, const Placement& placement);

}  // namespace orrery
