#include "sandbox/seccomp/build_profile.h"

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/laws.h"

namespace orrery {
namespace {

Result<BuiltProfile> buildAlone(const ProfileSet& set, std::string_view name,
                                const FlattenOptions& options) {
  BuiltProfile built;
  ORRERY_TRY_ASSIGN(built.flat, flatten(set, name, options));
  ORRERY_TRY_ASSIGN(built.program, compile(built.flat));
  return built;
}

}  // namespace

Result<BuiltProfile> buildProfile(const ProfileSet& set, std::string_view name,
                                  const FlattenOptions& options) {
  ORRERY_TRY_ASSIGN(BuiltProfile built, buildAlone(set, name, options));
  ORRERY_TRY_ASSIGN(built.reporting, compile(reportingRefusals(built.flat)));
  for (const auto* program : {&built.program, &built.reporting})
    if (auto valid = checkProgram(*program); !valid)
      return wrap(std::move(valid).error(), "seccomp profile '{}'", name);
  ORRERY_TRY(checkLaws(built.flat, built.program));
  if (name == kSupervisorProfile || !set.contains(kSupervisorProfile)) return built;
  ORRERY_TRY_ASSIGN(const BuiltProfile outer, buildAlone(set, kSupervisorProfile, options));
  ORRERY_TRY(checkWithin({built.flat, built.program}, {outer.flat, outer.program}));
  return built;
}

Result<BuiltProfile> buildOwnProfile(std::string_view name, std::string_view text,
                                     const ProfileSet& shipped) {
  ORRERY_TRY_ASSIGN(Profile own, readProfile(name, text));
  if (own.laws != LawSet::service)
    return error("seccomp profile '{}': the laws of a service are not to be chosen", name);
  ProfileSet set = shipped;
  if (!set.try_emplace(own.name, own).second)
    return error("seccomp profile '{}': that is a shipped one's name", name);
  return buildProfile(set, name);
}

}  // namespace orrery
