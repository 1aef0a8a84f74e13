// The routers of this host as they are written down under /run/orrery, and the lock that keeps two
// commands from changing them at once.
#pragma once

#include <string>
#include <vector>

#include "routers/plan/resource.h"
#include "routers/spec/router_spec.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// Held while namespaces, addresses and id ranges are chosen and made. Released when it goes.
class StoreLock {
 public:
  static Result<StoreLock> acquire();  // waits

 private:
  explicit StoreLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Every router that has a run directory, by network and name.
Result<std::vector<RouterId>> listRouters();
// The routers of `network` whose uplink is `router`.
Result<std::vector<RouterId>> routersDownstream(const RouterId& router);

// Makes the run directory and writes the definition into it (mode 0600).
Status writeSpec(const RouterSpec& spec);
// Removes the run directory, with `state` what survives reboots too, and parents that became empty.
Status forgetRouter(const RouterId& router, bool state);

// Removes the directories of networks without a router, which a killed spawn leaves, and then
// /run/orrery itself if it is empty. Needs the lock.
Status removeEmptyStore();

// Routers with every uplink before those that use it. An uplink outside of the list is no matter.
std::vector<RouterSpec> inStartOrder(std::vector<RouterSpec> specs);

}  // namespace orrery
