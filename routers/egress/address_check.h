// Which addresses a far side may give us. Private to routers/egress.
#pragma once

#include <vector>

#include "netns/addr/ip.h"

namespace orrery {

// A host address that a link may carry: not 0/8, 127/8, 169.254/16, multicast or class E (RFC 6890).
bool isUsableHost(Ipv4 address);
Status checkLinkAddress(const Prefix4& address, const std::vector<Prefix4>& ownSubnets);

}  // namespace orrery
