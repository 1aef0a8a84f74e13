// Whether a link that has just come up passes frames. The kernel says that it has a carrier at
// once, and acts on it later, in a work of its own, up to a second (net/core/link_watch.c): until
// then a bridge does not forward to and from its port, and what is sent by a link is dropped in
// silence.
#pragma once

#include <chrono>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

// False for a link that is no bridge's port. No privilege.
Result<bool> isForwarding(Rtnl& rtnl, const IfName& port);

// Waits until it does, woken by what the kernel tells of links. Err ETIMEDOUT at the deadline.
Status awaitForwarding(Rtnl& rtnl, const IfName& port,
                       std::chrono::steady_clock::time_point deadline);
// What a link sends passes, and routes by it count (ignore_routes_with_linkdown, rp_filter): a
// bridge's do so from its first port on. IFF_RUNNING; false without such a link.
Result<bool> isRunning(Rtnl& rtnl, const IfName& link);
Status awaitRunning(Rtnl& rtnl, const IfName& link, std::chrono::steady_clock::time_point deadline);

}  // namespace orrery
