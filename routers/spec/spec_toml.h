// A spec as definition text.
#pragma once

#include <string>

#include "routers/spec/router_spec.h"

namespace orrery {

// Canonical: every default filled in, a fixed order of keys, so that two texts can be compared line
// by line. No secret is in it: profiles and user/password files appear as their paths. Reading it
// back with the same auxiliary files gives an equal spec.
std::string toToml(const RouterSpec& spec);

}  // namespace orrery
