// Is a router in the kernel what its plan says, and nothing more? The passive half of
// `routerctl verify`.
//
// modelOf() makes of the plan's resources what each namespace may hold; observeNamespace() reads
// what it holds; compare() names every difference that opens a way or takes a wall away. What is
// missing and closes (a link that is gone, a tunnel that is down) is no finding: the ladder tells.
// attached.h has the part about what hangs on links beside addresses and routes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netns/nft/text.h"
#include "netns/observe/snapshot.h"
#include "routers/firewall/firewall.h"
#include "routers/plan/resource.h"
#include "runtime/audit/attached.h"
#include "runtime/control/state.h"

namespace orrery::audit {

struct ModelLink {
  std::string name;
  std::string kind;        // "" any
  std::optional<Mac> mac;  // none: any
  std::string bridge;      // that it is a port of; "": of none
  std::optional<bool> isolated;
  friend bool operator==(const ModelLink&, const ModelLink&) = default;
};

struct ModelAddress {
  std::string link;
  std::optional<Prefix4> address;  // none: one, whichever (a lease, a pushed address)
  bool ofLink = false;             // AddressResource::ofLink
  friend bool operator==(const ModelAddress&, const ModelAddress&) = default;
};

struct ModelRoute {
  Prefix4 destination;
  std::optional<Ipv4> gateway;
  bool anyGateway = false;  // by a lease
  std::string link;
  std::uint32_t table = 254;
  bool local = false;
  friend bool operator==(const ModelRoute&, const ModelRoute&) = default;
};

struct UserSpan {  // host ids
  std::uint32_t first = 0, count = 0;
  friend bool operator==(const UserSpan&, const UserSpan&) = default;
};

struct NamespaceModel {
  std::string name;
  std::vector<ModelLink> links;  // those that may be there, `lo` among them
  std::vector<ModelAddress> addresses;
  std::vector<ModelRoute> routes;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> markRules;  // mark, table
  std::vector<std::pair<std::string, std::string>> sysctls;
  nft::Ruleset ruleset;
  bool countsIfPossible = false;        // see RulesetResource
  std::vector<PortOwner> owners;        // of the bridge's ports
  std::optional<UserSpan> socketUsers;  // whose TCP and UDP sockets may be there; none: not known
  bool mayHoldRootsSockets = false;     // made by the supervisor or by the kernel (WireGuard)
  bool mayHoldPacketSocket = false;     // udhcpc, the declared exception (docs/adr/0007)
};

// What the plan does not say, because it comes and goes.
struct Surroundings {
  std::vector<PortOwner> ports;   // of clients and of routers downstream, on the bridge
  std::optional<Prefix4> wayOut;  // address of the NIC or of the tunnel, by the supervisor
  std::optional<UserSpan> users = std::nullopt;  // of the router's services
};
std::vector<NamespaceModel> modelOf(const RouterSpec& spec, const std::vector<Resource>& plan,
                                    const Surroundings& around);

struct ProcessSeen {
  std::int32_t pid = 0;
  std::string name;
  std::string capabilities;  // effective, as the kernel writes them
  bool sealed = false;       // in a user namespace of its own, which owns nothing of ours
};

struct NamespaceSeen {
  Snapshot snapshot;
  nft::CountedRuleset rules;
  std::vector<std::pair<std::string, std::string>> sysctls;      // those of the model
  std::vector<std::pair<std::string, std::string>> linkSysctls;  // of each link; perLinkSysctls()
  std::vector<std::string> ipv6;                                 // addresses, link by link
  bool ours = false;                                             // owned by our own user namespace
  std::vector<ProcessSeen> processes;
  AttachedSeen attached;
};
// Err ENOENT if the router has no such namespace.
Result<NamespaceSeen> observeNamespace(const NamespaceModel& model);

// One sentence each; none: it is as it should be.
std::vector<std::string> compare(const NamespaceModel& model, const NamespaceSeen& seen);

// How many things were held against the model, for the table of what was proven.
struct StructureCount {
  std::size_t links = 0, addresses = 0, routes = 0, rules = 0, sysctls = 0, nftRules = 0,
              processes = 0;
  // Set elements, forwarding, neighbour and queueing entries, sockets, memberships.
  std::size_t attached = 0;
};
StructureCount countOf(const NamespaceSeen& seen);

}  // namespace orrery::audit
