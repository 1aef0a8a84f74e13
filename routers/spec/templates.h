// Commented definitions to begin with: `routerctl init KIND`.
#pragma once

#include <string>

#include "routers/spec/router_spec.h"

namespace orrery {

// A whole file with one router of the kind. Its uplink, where it needs one, is that of the kind
// above, with the name that the example of that kind has.
Result<std::string> exampleDefinition(Kind kind);

}  // namespace orrery
