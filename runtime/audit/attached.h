// What hangs on a namespace beside its links, addresses, routes and rules, and could open a way as
// well: filters and programs on links, elements of the guard's sets, forwarding and neighbour
// entries, sockets, multicast memberships. Part of structure.h's comparison.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "netns/netlink/rtnl.h"
#include "netns/tc/traffic_control.h"

namespace orrery::audit {

struct NamespaceModel;
struct NamespaceSeen;

struct ForwardingEntry {  // of a bridge
  int index = 0;          // of the port
  Mac mac;
  friend bool operator==(const ForwardingEntry&, const ForwardingEntry&) = default;
};
struct ProxyNeighbour {  // answers ARP for another
  int index = 0;
  Ipv4 address;
  friend bool operator==(const ProxyNeighbour&, const ProxyNeighbour&) = default;
};
struct SocketSeen {
  std::string protocol;  // "tcp", "udp", "packet", "raw", …
  std::uint32_t uid = 0;
  std::uint64_t inode = 0;
  std::string where;   // "10.0.0.7:1194 > 198.18.1.10:1194"
  std::string holder;  // a program that has it; only of those that are not tcp or udp
  friend bool operator==(const SocketSeen&, const SocketSeen&) = default;
};
struct Membership {
  std::string link;
  Ipv4 group;
  friend bool operator==(const Membership&, const Membership&) = default;
};

struct AttachedSeen {
  TrafficControl traffic;
  std::vector<ForwardingEntry> forwarding;
  std::vector<ProxyNeighbour> proxies;
  std::vector<SocketSeen> sockets;
  std::vector<Membership> memberships;
  std::vector<std::string> ipv6Routes;  // that lead to a link other than lo
};
Result<AttachedSeen> observeAttached(Rtnl& rtnl);

// Sentences without the namespace's name.
std::vector<std::string> compareTraffic(const TrafficControl& traffic,
                                        const std::function<std::string(int index)>& linkName);
std::vector<std::string> compareAttached(const NamespaceModel& model, const NamespaceSeen& seen);

}  // namespace orrery::audit
