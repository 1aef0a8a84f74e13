// What routers this host has, and what each one says about itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routers/spec/router_spec.h"
#include "runtime/control/state.h"
#include "runtime/routerctl/names.h"

namespace orrery {

// Every router with a definition in its run directory, by network and name.
Result<std::vector<RouterId>> knownRouters(const std::string& root);
Result<std::vector<RouterId>> knownRoutersOf(const std::string& root, const std::string& network);
// Those as well whose spawn was killed before it had written the definition down.
Result<std::vector<RouterId>> begunRouters(const std::string& root);
// A NAME of the command line among them. Err ESRCH if there is none: a router that was destroyed
// and one that never was are the same to who asks, exit code 5.
Result<RouterId> findRouter(const std::string& root, std::string_view name);
Result<NamespaceName> findNamespace(const std::string& root, std::string_view name);

struct RouterView {
  RouterId id;
  bool running = false;  // a supervisor answers
  std::optional<RouterState>
      state;            // its answer, else the last that it wrote down, as afterDeath()
  std::string problem;  // why there is no answer, or no state
};
// Never fails: what cannot be seen is said in `problem`. Waits at most two seconds.
RouterView viewRouter(const std::string& root, const RouterId& id);

// What is still true of a state whose supervisor has ended: no process of it runs, and no check
// says that something works. Why one failed stays. Pure.
RouterState afterDeath(RouterState state);

// "ready", or "down" for a router without a supervisor, whose last phase says nothing any more.
std::string phaseText(const RouterView& view);

// The definition that a router was spawned with (needs root: it holds secrets).
Result<RouterSpec> spawnedSpec(const std::string& root, const RouterId& id);

}  // namespace orrery
