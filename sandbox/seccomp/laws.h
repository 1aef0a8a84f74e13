// What no profile may let through, whatever it says: the structural laws of the sandbox.
//
// Each law is a set of calls with the arguments that make them hostile. A profile keeps a law if
// its *program* (the BPF, not the text it was made from) answers allow or log to none of them. That
// is tried by enumeration: every hostile argument of the law, combined with every value that the
// profile itself compares with, with a dirty upper half, and with all other bits set.
//
// There are two sets of laws. Those of `service` hold for whatever runs in a sandbox. Those of
// `supervisor` are the same but for what making sandboxes takes: certain namespaces, mounts by the
// new mount API, sockets of others handed on, netlink. The supervisor's filter is inherited by
// every service that it starts, so it must also let through whatever any of their profiles does:
// checkWithin().
//
// A profile may be excepted from a law by `[[exception]]` with a reason. An exception that is not
// needed is refused like a rule that is not needed. Checked when Orrery is built, and when a user's
// own profile is loaded.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/seccomp/profile.h"

namespace orrery {

struct SeccompLaw {
  std::string_view name;  // "namespaces"
  std::string_view what;  // one sentence
};
std::span<const SeccompLaw> seccompLaws(LawSet set = LawSet::service);

// One call that the program lets through against a law.
struct LawBreach {
  std::string_view law;
  std::string call;
  std::array<std::uint64_t, 6> args{};
};
// At most one for each law and call.
std::vector<LawBreach> lawBreaches(const FlatProfile& profile,
                                   std::span<const sock_filter> program);

// Nothing, if every breach is excepted and every exception is needed and names a law. Errors name
// the call with its arguments, and the place of a wrong exception.
Status checkLaws(const FlatProfile& profile, std::span<const sock_filter> program);

// Nothing, if `outer` lets through whatever `inner` does, tried by the same enumeration. A process
// under both filters would otherwise meet refusals that its own profile does not know of, and that
// nobody is told of. Both must be of one architecture.
struct JudgedProfile {
  const FlatProfile& flat;
  std::span<const sock_filter> program;
};
Status checkWithin(const JudgedProfile& inner, const JudgedProfile& outer);

}  // namespace orrery
