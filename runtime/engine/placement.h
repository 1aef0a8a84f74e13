// The facts that only the host can tell, gathered when a router is spawned and kept in
// <runDir>/placement.json for its supervisor and for the next spawn.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netns/netlink/rtnl.h"
#include "routers/kinds/desired.h"
#include "runtime/control/paths.h"

namespace orrery {

// What is kept. (The uplink's definition is read from its own run directory.)
struct StoredPlacement {
  std::uint32_t idSlot = 0;
  std::optional<Ipv4> uplinkAddress;
  std::string libexec;
  friend bool operator==(const StoredPlacement&, const StoredPlacement&) = default;
};
std::string placementPath(const RouterId& router);
std::string toText(const StoredPlacement& placement);
Result<StoredPlacement> parsePlacement(std::string_view text);
Result<StoredPlacement> readPlacement(const RouterId& router);

// The definition that a running router was spawned with. Err ENOENT if there is none.
Result<RouterSpec> readSpec(const RouterId& router);

// Chooses what is free: a range of ids, an address on the uplink's LAN; finds the NIC.
Result<Placement> choosePlacement(const RouterSpec& spec, Rtnl& host);

// The lowest address of the uplink's subnet, from .2 up, that nobody has. `taken` in any order.
Result<Ipv4> chooseUplinkAddress(const RouterSpec& uplink, const std::vector<Ipv4>& taken);

// For a plan that is only shown: as choosePlacement would, on a host where nothing runs, the uplink
// taken from `set`. A NIC is named as the definition names it.
void previewPlacement(const RouterSpec& spec, const std::vector<RouterSpec>& set,
                      Placement& placement);

KernelFacts probeKernel();

}  // namespace orrery
