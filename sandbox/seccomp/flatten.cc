// Profile and parents → one table. A condition is a set of argument values, (arg & mask) in values;
// so whether two clauses overlap, or one covers the other, can be decided without running them.
#include <algorithm>

#include "sandbox/base/strings.h"
#include "sandbox/seccomp/profile.h"
#include "sandbox/seccomp/syscalls.h"

namespace orrery {
namespace {

constexpr std::uint64_t kRareShare = 100;  // a call below one in so many is not hot

bool contains(const std::vector<std::uint64_t>& values, std::uint64_t v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

// Whether some argument satisfies both.
bool compatible(const SeccompCondition& a, const SeccompCondition& b) {
  const std::uint64_t common = a.mask & b.mask;
  for (const std::uint64_t va : a.values)
    for (const std::uint64_t vb : b.values)
      if (((va ^ vb) & common) == 0) return true;
  return false;
}

// False only if no arguments satisfy both: some pair of conditions on one argument excludes it.
bool mayOverlap(const FlatClause& a, const FlatClause& b) {
  for (const SeccompCondition& ca : a.when)
    for (const SeccompCondition& cb : b.when)
      if (ca.arg == cb.arg && !compatible(ca, cb)) return false;
  return true;
}

// Whether `narrow` implies `wide`.
bool implies(const SeccompCondition& narrow, const SeccompCondition& wide) {
  if (narrow.arg != wide.arg || (wide.mask & ~narrow.mask) != 0) return false;
  return std::all_of(narrow.values.begin(), narrow.values.end(),
                     [&](std::uint64_t v) { return contains(wide.values, v & wide.mask); });
}

// True only if every call that `narrow` matches is matched by `wide`.
bool covers(const FlatClause& wide, const FlatClause& narrow) {
  return std::all_of(wide.when.begin(), wide.when.end(), [&](const SeccompCondition& w) {
    return std::any_of(narrow.when.begin(), narrow.when.end(),
                       [&](const SeccompCondition& n) { return implies(n, w); });
  });
}

std::string place(const FlatClause& c) {
  return fmt::format("{}.toml:{}", c.profile, c.line);
}

Status checkPair(const std::string& call, const FlatClause& earlier, const FlatClause& later) {
  const bool same = earlier.action == later.action;
  if (earlier.when.empty()) {
    if (later.when.empty() && !same)
      return error("conflict over '{}': {} says {}, {} says {}", call, place(earlier),
                   toString(earlier.action), place(later), toString(later.action));
    if (later.when.empty())
      return error("redundant rule: '{}' of {} stands in {} already", call, place(later),
                   place(earlier));
    return error(
        "'{}': the conditional rule of {} can never apply after the unconditional one of {}", call,
        place(later), place(earlier));
  }
  if (same && covers(earlier, later))
    return error("redundant rule: '{}' of {} is covered by {}", call, place(later), place(earlier));
  if (same && covers(later, earlier))
    return error("redundant rule: '{}' of {} is covered by {}", call, place(earlier), place(later));
  if (!same && !later.when.empty() && mayOverlap(earlier, later))
    return error("conflict over '{}': {} ({}) and {} ({}) can both match the same arguments", call,
                 place(earlier), toString(earlier.action), place(later), toString(later.action));
  return {};
}

class Flattener {
 public:
  Flattener(const ProfileSet& set, const FlattenOptions& options) : set_(set), options_(options) {}
  Result<FlatProfile> run(std::string_view name);

 private:
  Status collect(std::string_view name, std::vector<std::string>& path);
  Status addRules(const Profile& profile);
  Status addClause(const std::string& call, int number, FlatClause clause);
  Status checkLog(const SeccompAction& action, std::string_view where) const;
  Status checkAgainstDefault() const;
  Status resolveHot();

  const ProfileSet& set_;
  const FlattenOptions& options_;
  std::vector<const Profile*> order_;  // parents first, each once
  std::map<int, FlatCall> calls_;
  FlatProfile out_;
};

Status Flattener::collect(std::string_view name, std::vector<std::string>& path) {
  if (std::find(path.begin(), path.end(), name) != path.end())
    return error("seccomp profile '{}' extends itself: {} -> {}", name, join(path, " -> "), name);
  const auto found = set_.find(name);
  if (found == set_.end()) {
    std::vector<std::string> known;
    for (const auto& entry : set_) known.push_back(entry.first);
    const std::string who =
        path.empty() ? std::string() : fmt::format(", which '{}' extends", path.back());
    return error("no seccomp profile '{}'{}; there are: {}", name, who, join(known, ", "));
  }
  if (std::find(order_.begin(), order_.end(), &found->second) != order_.end()) return {};
  path.emplace_back(name);
  for (const std::string& parent : found->second.extends) ORRERY_TRY(collect(parent, path));
  path.pop_back();
  order_.push_back(&found->second);
  return {};
}

Status Flattener::checkLog(const SeccompAction& action, std::string_view where) const {
  if (action.kind != SeccompAction::Kind::log || options_.permitLog) return {};
  return error("{}: 'log' lets the call through; it is for audits and must be asked for", where);
}

Status Flattener::addClause(const std::string& call, int number, FlatClause clause) {
  FlatCall& entry = calls_[number];
  entry.name = call;
  entry.number = number;
  for (const FlatClause& earlier : entry.clauses) ORRERY_TRY(checkPair(call, earlier, clause));
  entry.clauses.push_back(std::move(clause));
  return {};
}

Status Flattener::addRules(const Profile& profile) {
  for (const SeccompRule& rule : profile.rules) {
    const std::string where = fmt::format("{}.toml:{}", profile.name, rule.line);
    ORRERY_TRY(checkLog(rule.action, where));
    if (trim(rule.why).empty()) return error("{}: a rule without 'why'", where);
    for (const std::string& call : rule.calls) {
      if (!isSyscallName(call)) return error("{}: there is no system call '{}'", where, call);
      const auto number = syscallNumber(options_.arch, call);
      if (!number) continue;
      FlatClause clause;
      clause.when = rule.when;
      clause.action = rule.action;
      clause.why = rule.why;
      clause.profile = profile.name;
      clause.line = rule.line;
      ORRERY_TRY(addClause(call, *number, std::move(clause)));
    }
  }
  return {};
}

// A rule of the profile itself that only repeats its default. Parents cannot know the default of
// their children, so theirs may. Before an unconditional rule of another action it has an effect.
Status Flattener::checkAgainstDefault() const {
  for (const auto& entry : calls_) {
    const std::vector<FlatClause>& clauses = entry.second.clauses;
    const FlatClause& last = clauses.back();
    if (last.when.empty() && last.action != out_.defaultAction) continue;
    for (const FlatClause& c : clauses)
      if (c.action == out_.defaultAction && c.profile == out_.name)
        return error("redundant rule: '{}' of {} repeats the default, {}", entry.second.name,
                     place(c), toString(c.action));
  }
  return {};
}

// Whether arguments can change the outcome.
bool dependsOnArguments(const FlatCall& call, const SeccompAction& fallback) {
  const SeccompAction last =
      call.clauses.back().when.empty() ? call.clauses.back().action : fallback;
  return std::any_of(call.clauses.begin(), call.clauses.end(),
                     [&](const FlatClause& c) { return c.action != last; });
}

// Measurements are the leaf's own: it is one program, its parents are shared by several.
Status Flattener::resolveHot() {
  const Profile& leaf = *order_.back();
  std::uint64_t total = 0;
  for (const auto& counted : leaf.measured.calls) total += counted.second;
  std::vector<std::pair<std::uint64_t, int>> hot;
  for (const auto& [call, count] : leaf.measured.calls) {
    const auto number = syscallNumber(options_.arch, call);
    if (!isSyscallName(call) || (number && !calls_.contains(*number)))
      return error("seccomp profile '{}': measured call '{}' has no rule", leaf.name, call);
    if (!number || count < total / kRareShare) continue;
    if (dependsOnArguments(calls_.at(*number), out_.defaultAction))
      hot.emplace_back(count, *number);
  }
  std::sort(hot.begin(), hot.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (const auto& entry : hot) out_.hot.push_back(entry.second);
  return {};
}

Result<FlatProfile> Flattener::run(std::string_view name) {
  std::vector<std::string> path;
  ORRERY_TRY(collect(name, path));
  const Profile& leaf = *order_.back();
  if (!leaf.defaultAction)
    return error("seccomp profile '{}' has no 'default': it is a part for others to extend", name);
  ORRERY_TRY(checkLog(*leaf.defaultAction, fmt::format("{}.toml", name)));
  out_.name = std::string(name);
  out_.arch = options_.arch;
  out_.defaultAction = *leaf.defaultAction;
  out_.laws = leaf.laws;
  for (const Profile* profile : order_) {
    ORRERY_TRY(addRules(*profile));
    out_.exceptions.insert(out_.exceptions.end(), profile->exceptions.begin(),
                           profile->exceptions.end());
  }
  ORRERY_TRY(checkAgainstDefault());
  ORRERY_TRY(resolveHot());
  for (auto& entry : calls_) out_.calls.push_back(std::move(entry.second));
  return std::move(out_);
}

}  // namespace

Result<FlatProfile> flatten(const ProfileSet& set, std::string_view name,
                            const FlattenOptions& options) {
  return Flattener(set, options).run(name);
}

FlatProfile reportingRefusals(FlatProfile profile) {
  using Kind = SeccompAction::Kind;
  constexpr SeccompAction kNotify{Kind::notify, 0};
  if (profile.defaultAction.kind != Kind::log) profile.defaultAction = kNotify;
  for (FlatCall& call : profile.calls)
    for (FlatClause& clause : call.clauses)
      if (clause.action.kind == Kind::killProcess) clause.action = kNotify;
  return profile;
}

const FlatClause* matchingClause(const FlatProfile& profile, int number,
                                 const std::array<std::uint64_t, 6>& args) {
  const auto call = std::find_if(profile.calls.begin(), profile.calls.end(),
                                 [&](const FlatCall& c) { return c.number == number; });
  if (call == profile.calls.end()) return nullptr;
  for (const FlatClause& clause : call->clauses) {
    const bool holds = std::all_of(
        clause.when.begin(), clause.when.end(),
        [&](const SeccompCondition& c) { return contains(c.values, args.at(c.arg) & c.mask); });
    if (holds) return &clause;
  }
  return nullptr;
}

}  // namespace orrery
