// From what the kernel has to what the definition wants, as data. Pure: no system call, no clock.
#pragma once

#include <vector>

#include "routers/plan/resource.h"

namespace orrery {

// Removes, newest first, what is not wanted; then creates or replaces in order. Empty when `have`
// is `want`. What lives in a network namespace that goes is left to the kernel, except what must go
// before it: a veth's port is shut, a physical NIC is given back, and the other links are set down
// while the rules still stand (the kernel drops a dying namespace's rules before its links). A link
// that is replaced takes what is on it along (addresses, routes, its being up): that is removed
// before and made anew.
Plan makePlan(const std::vector<Resource>& want, const std::vector<Resource>& have);

// The removal of a whole set of routers, given what each has, those that hang on others first. What
// one router's plan does is done in its order, but the set goes in stages: all supervisors end,
// then all that leads out is closed, then all namespaces go, then files and cgroups. (The kernel
// clears namespaces away under the lock that each change of a link needs: a link that is set down
// after the first namespace has gone waits for all of them.)
struct SetStep {
  std::size_t router = 0;  // index in the set
  Step step;
  friend bool operator==(const SetStep&, const SetStep&) = default;
};
std::vector<SetStep> makeRemoval(const std::vector<std::vector<Resource>>& have);

// The link that a resource is, or is on, if any.
const IfName* linkOf(const Resource& resource);
// The network namespace that a resource lives in, if any. A veth lives in its inner namespace.
const std::string* netnsOf(const Resource& resource);

}  // namespace orrery
