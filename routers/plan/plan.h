// From what the kernel has to what the definition wants, as data. Pure: no system call, no clock.
#pragma once

#include <vector>

#include "routers/plan/resource.h"

namespace orrery {

// Removes, newest first, what is not wanted; then creates or replaces in order. Empty when `have`
// is `want`. What lives in a network namespace that goes is left to the kernel, except what must go
// before it: links that lead out are set down and a physical NIC is given back while the rules
// still stand (the kernel drops a dying namespace's rules before its links). A link that is
// replaced takes what is on it along (addresses, routes, its being up): that is removed before and
// made anew.
Plan makePlan(const std::vector<Resource>& want, const std::vector<Resource>& have);

// The link that a resource is, or is on, if any.
const IfName* linkOf(const Resource& resource);
// The network namespace that a resource lives in, if any. A veth lives in its inner namespace.
const std::string* netnsOf(const Resource& resource);

}  // namespace orrery
