// Flows that a namespace's connection tracking remembers. After an egress has changed, old flows
// would keep the old translation: they are flushed.
#pragma once

#include <cstddef>

#include "netns/addr/ip.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

Status flushConntrack(const NetnsFd& netns);
// Forgets the IPv4 flows that the address began or was asked by. Returns how many.
Result<std::size_t> deleteConntrackOf(const NetnsFd& netns, Ipv4 address);
Result<std::size_t> countConntrack(const NetnsFd& netns);

}  // namespace orrery
