// A router as the inspection sections want it.
#pragma once

#include <string>

#include "routers/spec/router_spec.h"
#include "runtime/shell/inspect.h"

namespace orrery {

InspectTarget inspectTarget(const std::string& root, const RouterId& id);

}  // namespace orrery
