// The settings of every network namespace that we make. A new namespace inherits IPv4's settings
// from the machine's first one (net.core.devconf_inherit_init_net 0), so each value that a router
// relies on is written, zeros as well as ones.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "routers/kinds/desired.h"

namespace orrery {

using SysctlValues = std::vector<std::pair<std::string, std::string>>;

// For a namespace that routes between its links.
SysctlValues forwardingSysctls(const KernelFacts& kernel);
// For one that only holds end points of connections (an egress namespace, a proxied LAN).
SysctlValues endpointSysctls(const KernelFacts& kernel);

}  // namespace orrery
