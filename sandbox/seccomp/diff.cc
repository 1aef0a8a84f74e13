#include "sandbox/seccomp/diff.h"

#include <map>
#include <vector>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

std::string conditionsOf(const FlatClause& clause) {
  std::vector<std::string> parts;
  for (const SeccompCondition& c : clause.when) parts.push_back(c.text);
  return parts.empty() ? std::string("always") : join(parts, " and ");
}

struct Line {
  SeccompAction action;
  std::string why;
};
// Call name and conditions. The text of a condition stands for its values: it is what a reviewer
// sees, and the same words mean the same.
using Lines = std::map<std::pair<std::string, std::string>, Line>;

Lines linesOf(const FlatProfile& profile) {
  Lines out;
  for (const FlatCall& call : profile.calls)
    for (const FlatClause& clause : call.clauses)
      out[{call.name, conditionsOf(clause)}] = Line{clause.action, clause.why};
  return out;
}

std::string lineText(char mark, const std::pair<std::string, std::string>& key,
                     const std::string& action, const std::string& why) {
  return fmt::format("{} {:<20} {:<14} {}  # {}\n", mark, key.first, action, key.second, why);
}

std::string exceptionsText(const FlatProfile& before, const FlatProfile& after, char mark) {
  std::string out;
  for (const SeccompException& e : after.exceptions) {
    bool known = false;
    for (const SeccompException& old : before.exceptions) known = known || old.law == e.law;
    if (!known) out += fmt::format("{} exception from the law '{}'  # {}\n", mark, e.law, e.why);
  }
  return out;
}

}  // namespace

std::string diffProfiles(const FlatProfile& before, const FlatProfile& after) {
  std::string out;
  if (before.defaultAction != after.defaultAction)
    out += fmt::format("! every other call: {} -> {}\n", toString(before.defaultAction),
                       toString(after.defaultAction));
  out += exceptionsText(after, before, '-');
  out += exceptionsText(before, after, '+');
  const Lines old = linesOf(before);
  const Lines now = linesOf(after);
  Lines all = old;
  all.insert(now.begin(), now.end());
  for (const auto& entry : all) {
    const auto was = old.find(entry.first);
    const auto is = now.find(entry.first);
    if (was == old.end())
      out += lineText('+', entry.first, toString(is->second.action), is->second.why);
    else if (is == now.end())
      out += lineText('-', entry.first, toString(was->second.action), was->second.why);
    else if (was->second.action != is->second.action)
      out += lineText('!', entry.first,
                      toString(was->second.action) + " -> " + toString(is->second.action),
                      is->second.why);
  }
  return out;
}

}  // namespace orrery
