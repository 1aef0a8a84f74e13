// Checks a user's own profile (build_profile.h builds it). Free of kernel headers, for routers/.
#pragma once

#include <string_view>

#include "sandbox/base/result.h"

namespace orrery {

// Errors name the line: what readProfile() and buildOwnProfile() refuse.
Status checkOwnProfile(std::string_view name, std::string_view text);

}  // namespace orrery
