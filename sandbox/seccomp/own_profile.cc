// The shipped texts meet the reader: what needs both sandbox_seccomp and its embedded profiles.
#include "sandbox/seccomp/own_profile.h"

#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/embedded.h"

namespace orrery {

Result<ProfileSet> embeddedProfileSet() {
  ProfileSet set;
  for (const EmbeddedSource& source : embeddedSources()) {
    ORRERY_TRY_ASSIGN(Profile profile, readProfile(source.name, source.text));
    set.emplace(std::string(source.name), std::move(profile));
  }
  return set;
}

Status checkOwnProfile(std::string_view name, std::string_view text) {
  ORRERY_TRY_ASSIGN(const ProfileSet shipped, embeddedProfileSet());
  ORRERY_TRY(buildOwnProfile(name, text, shipped));
  return {};
}

}  // namespace orrery
