// From texts to what is installed: flattened, compiled, checked. The one way by which a profile
// becomes a program, when Orrery is built (gen_main.cc) and when a user's own is loaded.
#pragma once

#include <linux/filter.h>

#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/seccomp/profile.h"

namespace orrery {

struct BuiltProfile {
  FlatProfile flat;
  std::vector<sock_filter> program;    // the kernel carries every answer out
  std::vector<sock_filter> reporting;  // refusals go to a listener: reportingRefusals()
};

// The profile that the supervisor runs under, and with it all services.
inline constexpr std::string_view kSupervisorProfile = "supervisor";

// Refuses what flatten(), compile(), checkProgram() and checkLaws() refuse, and what is not within
// the supervisor's profile, if the set has one.
Result<BuiltProfile> buildProfile(const ProfileSet& set, std::string_view name,
                                  const FlattenOptions& options = {});

// A user's profile, which may extend the shipped ones by name. `name` is what errors call it.
Result<BuiltProfile> buildOwnProfile(std::string_view name, std::string_view text,
                                     const ProfileSet& shipped);

// The texts of configs/seccomp as they were when Orrery was built.
Result<ProfileSet> embeddedProfileSet();

}  // namespace orrery
