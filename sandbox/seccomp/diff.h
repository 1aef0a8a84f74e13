// What changed between two versions of a profile, for reviewers.
#pragma once

#include <string>

#include "sandbox/seccomp/profile.h"

namespace orrery {

// One line for each clause that came ("+"), went ("-") or got another action ("!"), by call; first
// a line that says whether the default changed. "" if both decide alike: reasons and places may
// differ.
std::string diffProfiles(const FlatProfile& before, const FlatProfile& after);

}  // namespace orrery
