// A seccomp profile as a value: the text of configs/seccomp/NAME.toml, read, checked and flattened.
//
//   text --readProfile--> Profile --flatten (with its parents)--> FlatProfile --compile--> BPF
//
// Everything here is pure. What a profile looks like:
//
//   schema  = 1
//   extends = ["base", "net-common"]     # parents first; a child can only add, never take back
//   default = "errno:EPERM"              # a file without one is a part, not a profile
//   laws    = "service"                  # which of laws.h it is held against; this is the default
//   [measured]                           # how often it makes which call, and how that was seen
//   source = "strace -f -c of a transfer of 5 MB"
//   calls  = { read = 3629, ioctl = 239 }
//   [[exception]]                        # from a law of laws.h; one that is not needed is refused
//   law = "netlink"
//   why = "asks for its addresses"
//   [[rule]]
//   calls  = ["socket"]
//   when   = [{ arg = 0, in = ["AF_INET", "AF_UNIX"] },                 # all must hold
//             { arg = 1, masked = "SOCK_TYPE_MASK", eq = "SOCK_STREAM" }]
//   action = "allow"                     # the default; kill_process, errno:NAME, notify, log,
//   absent why    = "listens for DNS and DHCP"  # mandatory
//
// Matchers, one per condition: `eq` (a value), `in` (one of), `none_of` (none of these bits),
// `only` (no bits but these). `masked = M` looks only at the bits of M and goes with `eq` or `in`.
// `width` is 32 (default: the kernel takes int arguments from the lower half, so a dirty upper half
// must not matter) or 64. A value is a number or names of constants.h joined by '|'.
//
// `absent` is for the filter of a process that starts others which have a filter of their own: the
// call fails with ENOSYS, but any refusal of a filter that was added later counts more, even one
// that only tells a listener. The kernel takes the strictest answer of all filters (seccomp(2)),
// and this is the mildest refusal: SECCOMP_RET_TRACE, with nobody who traces. So what such a
// process's children may not do is refused to them here, and told there.
//
// Rules of one call are tried parents first, in the order of the text; the first that matches
// decides. Rules of one call that could match the same arguments with different actions are
// refused, except that one unconditional rule may come last.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/base/result.h"

namespace orrery {

inline constexpr std::size_t kMaxProfileText = std::size_t{64} * 1024;  // bytes

struct SeccompAction {
  enum class Kind { allow, log, absent, notify, errnoValue, killProcess };
  Kind kind = Kind::allow;
  std::uint16_t err = 0;  // for Kind::errnoValue: 1..4095
  friend bool operator==(const SeccompAction&, const SeccompAction&) = default;
};
// "allow", "kill_process", "notify", "log", "absent", "errno:EPERM".
Result<SeccompAction> parseSeccompAction(std::string_view text);
std::string toString(const SeccompAction& action);
// The filter's return value, SECCOMP_RET_* of seccomp(2).
std::uint32_t seccompReturn(const SeccompAction& action);
SeccompAction seccompActionOf(std::uint32_t filterReturn);  // unknown values: killProcess

// Holds if (argument & mask) is one of `values`.
struct SeccompCondition {
  unsigned arg = 0;  // 0..5
  std::uint64_t mask = 0;
  std::vector<std::uint64_t> values;
  std::string text;  // as written, for tables: "arg0 in AF_INET, AF_UNIX"
  friend bool operator==(const SeccompCondition&, const SeccompCondition&) = default;
};

struct SeccompRule {
  std::vector<std::string> calls;
  std::vector<SeccompCondition> when;  // all must hold; none: always
  SeccompAction action;
  std::string why;
  std::size_t line = 0;  // in the text
};

// How often a program made its calls, when somebody counted.
struct SeccompMeasured {
  std::string source;  // how they were counted: tool, version, load
  std::vector<std::pair<std::string, std::uint64_t>> calls;
  friend bool operator==(const SeccompMeasured&, const SeccompMeasured&) = default;
};

struct SeccompException {
  std::string law;  // of laws.h
  std::string why;
  std::string profile;   // the file that it stands in
  std::size_t line = 0;  // and where
};

// Which laws of laws.h hold: for what runs in a sandbox, or for the supervisor, who makes them.
enum class LawSet { service, supervisor };

struct Profile {
  std::string name;
  std::vector<std::string> extends;
  std::optional<SeccompAction> defaultAction;
  LawSet laws = LawSet::service;
  SeccompMeasured measured;
  std::vector<SeccompException> exceptions;
  std::vector<SeccompRule> rules;
};

// Errors name the profile and the line: unknown keys, wrong types, unknown constants, a missing
// `why`, conditions that always or never hold, more than kMaxProfileText bytes.
Result<Profile> readProfile(std::string_view name, std::string_view tomlText);

using ProfileSet = std::map<std::string, Profile, std::less<>>;

enum class SeccompArch { x86_64, aarch64 };
SeccompArch nativeSeccompArch();
std::string_view toString(SeccompArch arch);

struct FlatClause {
  std::vector<SeccompCondition> when;
  SeccompAction action;
  std::string why;
  std::string profile;   // the file that the rule stands in
  std::size_t line = 0;  // and where
};
struct FlatCall {
  std::string name;
  int number = 0;
  std::vector<FlatClause> clauses;  // the first that matches decides; at most the last is
                                    // unconditional
};
struct FlatProfile {
  std::string name;
  SeccompArch arch = SeccompArch::x86_64;
  SeccompAction defaultAction;
  LawSet laws = LawSet::service;
  std::vector<FlatCall> calls;  // by number, ascending
  // Numbers of the calls to test first, the most frequent first. Only calls whose arguments decide
  // and that are at least 1 % of what was measured: since Linux 5.11 the kernel keeps a bitmap of
  // the calls that a filter allows whatever their arguments, and runs no filter for them
  // (seccomp_cache_prepare() in kernel/seccomp.c), so for those no order can be better than
  // another.
  std::vector<int> hot;
  std::vector<SeccompException> exceptions;
};

struct FlattenOptions {
  SeccompArch arch = nativeSeccompArch();
  bool permitLog = false;  // `log` lets a call through: only for audits, by an explicit flag
};

// The profile and its parents as one table. Calls that exist, but not on this architecture, are
// left out. Refuses: cycles, unknown parents and calls, a profile without a default, conflicting
// and redundant rules, `log` unless permitted.
Result<FlatProfile> flatten(const ProfileSet& set, std::string_view name,
                            const FlattenOptions& options = {});

// The same profile with every refusal handed to the listener (`notify`) in place of being carried
// out by the kernel: what it would kill for, and what it refuses by its default. Rules that name an
// errno keep it: they are answers that programs are known to expect. Whoever listens decides by the
// original (see notify.h); with nobody there, the kernel answers ENOSYS.
FlatProfile reportingRefusals(FlatProfile profile);

// What the profile says about a call, by plain reading of the table; nullptr: the default. The
// reference that compiled programs are tested against, and the reason to show for a refusal.
const FlatClause* matchingClause(const FlatProfile& profile, int number,
                                 const std::array<std::uint64_t, 6>& args);

}  // namespace orrery
