// The facts that only the host can tell, gathered when a router is spawned and kept in
// <runDir>/placement.json for its supervisor and for the next spawn.
#pragma once

#include <map>
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

// What a router has that was spawned as `spec`.
struct PresentPlacement {
  StoredPlacement stored;
  RouterSpec spec;
  std::vector<Resource> resources;  // by its journal
};
// The same for a new definition of a router: what it has is kept as long as it fits.
Result<Placement> keepPlacement(const RouterSpec& spec, const PresentPlacement& present,
                                Rtnl& host);

// The lowest address of the uplink's subnet, from .2 up, that nobody has. `taken` in any order.
Result<Ipv4> chooseUplinkAddress(const RouterSpec& uplink, const std::vector<Ipv4>& taken);

// For plans that are only shown: each call chooses as choosePlacement would after the routers of
// the calls before had been spawned, with uplinks taken from `set`. Never fails: what cannot be
// seen is left out of the plan, and a NIC that is not there is named as the definition names it.
class PlacementPreview {
 public:
  PlacementPreview(const std::vector<RouterSpec>& set, Rtnl* host) : set_(set), host_(host) {}
  Placement choose(const RouterSpec& spec);

 private:
  void chooseNic(const NicUplink& uplink, Placement& placement) const;
  void chooseAddress(const RouterId& id, const RouterUplink& uplink, Placement& placement);

  const std::vector<RouterSpec>& set_;
  Rtnl* host_;  // null: NICs are not looked for
  std::vector<std::uint32_t> slots_;
  std::map<RouterId, std::vector<Ipv4>> addresses_;  // given on the LAN of an uplink
};

KernelFacts probeKernel();

}  // namespace orrery
