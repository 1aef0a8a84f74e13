// Pieces of link requests. For this folder.
#pragma once

#include <linux/rtnetlink.h>

#include <string>

#include "netns/link/link.h"

namespace orrery {

ifinfomsg linkHeader();
// A request about the link of that name (no index in the header).
NlMessage aboutLink(std::string label, std::uint16_t type, std::uint16_t flags,
                    const ifinfomsg& head, const IfName& name);
// IFLA_LINKINFO with a bridge port's settings.
void putBridgePort(NlMessage& message, const BridgePort& settings);

}  // namespace orrery
