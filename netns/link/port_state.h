// Whether a bridge lets frames pass a port.
#pragma once

#include <chrono>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

// A port that is new forwards only when the kernel has looked at its carrier, which is up to a
// second later (net/core/link_watch.c). False for a link that is no bridge's port. No privilege.
Result<bool> isForwarding(Rtnl& rtnl, const IfName& port);

// Waits until it does, woken by what the kernel tells of links. Err ETIMEDOUT at the deadline.
Status awaitForwarding(Rtnl& rtnl, const IfName& port,
                       std::chrono::steady_clock::time_point deadline);

}  // namespace orrery
