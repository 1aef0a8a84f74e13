// The things a router is made of in the kernel and on disk, as values.
//
// A desired state is an ordered list of resources: each one may rely on those before it, so
// creation runs forwards and removal backwards. A step replaces `before` by `after`; its inverse
// swaps them. So undo is data: it can be printed, journalled before it runs, and replayed after a
// crash.
//
// The network namespace "" is the host's (the one routerctl runs in).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/nft/ruleset.h"
#include "routers/spec/router_spec.h"

namespace orrery {

struct FileResource {
  std::string path;
  std::uint32_t mode = 0644;
  std::string text;
  friend bool operator==(const FileResource&, const FileResource&) = default;
};
struct NetnsResource {  // pinned as /run/netns/<name>
  std::string name;
  friend bool operator==(const NetnsResource&, const NetnsResource&) = default;
};
struct SysctlsResource {  // keys below /proc/sys/net with '/', e.g. "ipv4/ip_forward"
  std::string netns;
  std::vector<std::pair<std::string, std::string>> values;
  friend bool operator==(const SysctlsResource&, const SysctlsResource&) = default;
};
struct RulesetResource {
  std::string netns;
  nft::Ruleset ruleset;
  // Where the kernel cannot count connections, without the rules that do (nft::withoutCounts).
  bool countsIfPossible = false;
  friend bool operator==(const RulesetResource&, const RulesetResource&) = default;
};
struct BridgeResource {
  std::string netns;
  IfName name;
  Mac mac;
  std::uint16_t mtu = 1500;
  friend bool operator==(const BridgeResource&, const BridgeResource&) = default;
};
// One veth pair: `port` in the namespace and on the bridge of the router upstream, `name` in ours.
struct VethResource {
  std::string netns;
  IfName name;
  Mac mac;
  std::uint16_t mtu = 1500;
  std::string portNetns;
  IfName portName;
  std::optional<IfName> portBridge;
  bool portIsolated = true;
  // Ours: the only one that may be used from behind the port (guardEntries, routers/firewall).
  std::optional<Ipv4> address = std::nullopt;
  friend bool operator==(const VethResource&, const VethResource&) = default;
};
// A physical NIC, moved from the host and given back with what it had.
struct NicResource {
  std::string hostName;  // its name, MAC and state on the host, to be put back
  Mac hostMac;
  bool hostUp = false;
  std::uint16_t hostMtu = 1500;
  Mac permanentMac;  // by which it is found again after a crash
  std::string netns;
  IfName name;  // in the router
  Mac mac;      // worn in the router
  friend bool operator==(const NicResource&, const NicResource&) = default;
};
struct LinkUpResource {
  std::string netns;
  IfName name;
  friend bool operator==(const LinkUpResource&, const LinkUpResource&) = default;
};
struct AddressResource {
  std::string netns;
  IfName interface;
  Prefix4 address;
  bool ofLink = false;  // scope link: never the source of what leaves by another one
  friend bool operator==(const AddressResource&, const AddressResource&) = default;
};
struct RouteResource {
  std::string netns;
  Prefix4 destination;  // 0.0.0.0/0: default
  std::optional<Ipv4> gateway;
  IfName interface;
  std::uint32_t table = 254;  // RT_TABLE_MAIN
  bool local = false;         // RTN_LOCAL (tproxy)
  friend bool operator==(const RouteResource&, const RouteResource&) = default;
};
struct MarkRuleResource {  // ip rule: fwmark → table
  std::string netns;
  std::uint32_t mark = 0;
  std::uint32_t table = 0;
  friend bool operator==(const MarkRuleResource&, const MarkRuleResource&) = default;
};
struct CgroupResource {  // below the cgroup root of each controller
  std::string path;
  LimitsSpec limits;
  friend bool operator==(const CgroupResource&, const CgroupResource&) = default;
};
struct SupervisorResource {
  RouterId router;
  friend bool operator==(const SupervisorResource&, const SupervisorResource&) = default;
};

using Resource =
    std::variant<FileResource, NetnsResource, SysctlsResource, RulesetResource, BridgeResource,
                 VethResource, NicResource, LinkUpResource, AddressResource, RouteResource,
                 MarkRuleResource, CgroupResource, SupervisorResource>;

struct Step {
  std::optional<Resource> before;  // none: create
  std::optional<Resource> after;   // none: remove
  // Of a removal: its namespace is removed next and takes it along, so only its hold on others is
  // ended. A veth's port, in the namespace of the router upstream, is shut and loses its name: to
  // delete the pair would wait for RCU grace periods, and to leave the name to the kernel would let
  // the next router of that name wait.
  bool goesAlong = false;
  friend bool operator==(const Step&, const Step&) = default;
};
using Plan = std::vector<Step>;

Step inverse(const Step& step);

// Identifies a resource apart from its settings: two resources of one key replace each other.
std::string key(const Resource& resource);
// "bridge galaxy0 in network0.galaxy0, 00:00:10:01:01:fe, mtu 1500"
std::string toText(const Resource& resource);
std::string toText(const Step& step);  // "+ …", "- …", "~ …"

}  // namespace orrery
