// A spec as JSON, for the supervisor that is started with it. It holds everything, the secrets of
// profiles too: a file with it needs mode 0600, which is the caller's business.
#pragma once

#include <string>
#include <string_view>

#include "routers/spec/router_spec.h"

namespace orrery {

std::string specToJson(const RouterSpec& spec);
// Accepts only what specToJson writes: unknown kinds, missing keys and bad addresses are errors.
Result<RouterSpec> specFromJson(std::string_view json);

}  // namespace orrery
