// Rulesets as text in nft(8)'s language, stable enough for golden files and accepted by `nft -f`
// (but for Unknown expressions, and for keys with the MAC in a DHCP message, which it has no words
// for: such rules print as comments). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netns/nft/ruleset.h"

namespace orrery::nft {

// What a rule with a counter has let through; zero for rules without one.
struct RuleCount {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const RuleCount&, const RuleCount&) = default;
};
struct CountedRuleset {
  Ruleset ruleset;
  // [table][chain][rule], in step with `ruleset`.
  std::vector<std::vector<std::vector<RuleCount>>> counts;
  std::vector<std::string> foreign;  // tables that are not ours: "ip filter"
  std::vector<SetElement> elements;  // of the named sets, sorted
};

std::string toText(const Ruleset& ruleset);
std::string toText(const CountedRuleset& counted);  // with "counter packets N bytes M"
// One rule without its counter, as in a chain: "meta l4proto udp th dport 67 accept".
std::string toText(const Rule& rule, Family family);

// Every rule with both a counter and a comment, in order; for "dropped: dns-elsewhere 12".
struct NamedCount {
  std::string table;  // "ip orrery"
  std::string chain;
  std::string name;    // the comment
  bool drops = false;  // ends in drop or reject
  RuleCount count;
};
std::vector<NamedCount> namedCounts(const CountedRuleset& counted);

}  // namespace orrery::nft
