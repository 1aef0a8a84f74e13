#include "sandbox/seccomp/build_profile.h"

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/laws.h"

namespace orrery {

Result<BuiltProfile> buildProfile(const ProfileSet& set, std::string_view name,
                                  const FlattenOptions& options) {
  BuiltProfile built;
  ORRERY_TRY_ASSIGN(built.flat, flatten(set, name, options));
  ORRERY_TRY_ASSIGN(built.program, compile(built.flat));
  ORRERY_TRY_ASSIGN(built.reporting, compile(reportingRefusals(built.flat)));
  for (const auto* program : {&built.program, &built.reporting})
    if (auto valid = checkProgram(*program); !valid)
      return wrap(std::move(valid).error(), "seccomp profile '{}'", name);
  ORRERY_TRY(checkLaws(built.flat, built.program));
  return built;
}

Result<BuiltProfile> buildOwnProfile(std::string_view name, std::string_view text,
                                     const ProfileSet& shipped) {
  ORRERY_TRY_ASSIGN(Profile own, readProfile(name, text));
  ProfileSet set = shipped;
  if (!set.try_emplace(own.name, own).second)
    return error("seccomp profile '{}': that is a shipped one's name", name);
  return buildProfile(set, name);
}

}  // namespace orrery
