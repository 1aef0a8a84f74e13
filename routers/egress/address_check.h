// Which addresses a far side may give us. Private to routers/egress.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "netns/addr/ip.h"

namespace orrery {

// A host address that a link may carry: one that routers forward to (netns/addr/special.h).
bool isUsableHost(Ipv4 address);
// The prefix length of a netmask; nothing if its ones are not all in front.
std::optional<std::uint8_t> lengthOfMask(Ipv4 mask);
Status checkLinkAddress(const Prefix4& address, const std::vector<Prefix4>& ownSubnets);

}  // namespace orrery
