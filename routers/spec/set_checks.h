// What can only be said of all routers together.
#pragma once

#include <vector>

#include "routers/spec/diagnostic.h"
#include "routers/spec/router_reader.h"

namespace orrery {

// A [router.NAME] of the set, faulty or not: so that a router whose own fault is reported already
// is not called unknown as well.
struct DeclaredRouter {
  RouterId id;
  Span span;
  const Source* source = nullptr;  // none: a router that is there already
};

struct RouterSet {
  std::vector<DeclaredRouter> declared;
  std::vector<PlacedRouter> routers;  // those without a fault of their own
};

// Names used twice; uplinks: unknown, in a cycle, Tor over Tor, addresses that cannot be; one
// universe a network; one universe a NIC; subnets that overlap within a network. Faults of known
// routers alone are not reported. Instances of one template are reported once for each fault.
Diagnostics checkSet(const RouterSet& set);

}  // namespace orrery
