// The ARP table of a namespace (ip-neighbour(8)).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

struct Neighbour {
  int index = 0;  // of the interface
  Ipv4 address;
  std::optional<Mac> mac;   // none while it is asked for, or if nobody answered
  std::uint16_t state = 0;  // NUD_*: 0x02 reachable, 0x04 stale, 0x20 failed, 0x80 permanent
  bool permanent() const { return (state & 0x80) != 0; }
  bool failed() const { return (state & 0x20) != 0; }
  friend bool operator==(const Neighbour&, const Neighbour&) = default;
};
Result<Neighbour> parseNeighbour(Bytes payload);  // of an RTM_NEWNEIGH of AF_INET; err EBADMSG

Result<std::vector<Neighbour>> listNeighbours(Rtnl& rtnl);  // IPv4
// Replaces an entry that is there.
Status setPermanentNeighbour(Rtnl& rtnl, const IfName& interface, Ipv4 address, const Mac& mac);
Status deleteNeighbour(Rtnl& rtnl, const IfName& interface, Ipv4 address);  // absent is fine

}  // namespace orrery
