// Resources as JSON, for the journal. A ruleset and a set of sysctls are kept by the name of their
// namespace alone: they go with it, and nothing is undone by their contents.
#pragma once

#include "routers/plan/resource.h"
#include "runtime/control/json.h"

namespace orrery {

Json toJson(const Resource& resource);
Result<Resource> resourceFromJson(const Json& json);

}  // namespace orrery
