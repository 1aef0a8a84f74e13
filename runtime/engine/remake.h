// A router that is there already, brought to a definition: `restart`, and a `spawn` that finds a
// router without its supervisor.
#pragma once

#include <vector>

#include "routers/plan/resource.h"
#include "routers/spec/router_spec.h"
#include "runtime/engine/kernel_world.h"
#include "runtime/engine/supervisor_process.h"

namespace orrery {

// Of what the journal names, what the kernel and the disk still have. A link that has gone (with
// the namespace at its other end, say) takes its addresses, routes and state along.
Result<std::vector<Resource>> stillThere(const std::vector<Resource>& journalled,
                                         KernelWorld& world);

// Journals keep rulesets and sysctls by name alone: their contents as `desired` has them.
std::vector<Resource> withContents(std::vector<Resource> journalled,
                                   const std::vector<Resource>& desired);

// The last thing that a router gets: without it, it was never whole.
bool endsInSupervisor(const std::vector<Resource>& journalled);

struct Remake {
  KernelWorld& world;
  SupervisorProcesses& supervisors;
  std::string libexec;
};
// To be called under the StoreLock. See restart() in operations.h.
Status remakeRouter(const RouterSpec& spec, const Remake& by);

// What the plan of remakeRouter would be, for showing.
Result<Plan> previewRemake(const RouterSpec& spec, KernelWorld& world);

}  // namespace orrery
