// The table of attempts (attempts.inc) beside what came of them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/hostile/attempts.h"

namespace orrery::test {

using Outcomes = std::map<std::string, std::string>;  // attempt, "ok" or what refused it

// "try NAME OUTCOME", wherever in a line that is.
Outcomes outcomesIn(std::string_view text);
// What the table says of it, on this kernel.
std::string_view expectedOf(std::string_view attempt, hostile::Column column);
// What is not as the table has it, a line each.
std::vector<std::string> unexpected(const Outcomes& outcomes, hostile::Column column);

// That they are what the table says. With ORRERY_HOSTILE_TABLE=FILE they are added to that file,
// too, "COLUMN ATTEMPT OUTCOME": to make the table anew after a change (mktable.py).
void expectTable(const Outcomes& outcomes, hostile::Column column);

// A call that the filter handed to the listener.
struct ToldCall {
  std::string attempt;  // during which it was made
  std::string call;
  std::string arguments;  // as events show them
  bool killed = false;
};
// That the supervisor is told of what its filter refuses, and of nothing else. ORRERY_HOSTILE_TABLE
// as above: "COLUMN ATTEMPT told:CALL".
void expectTold(const std::vector<ToldCall>& told, const Outcomes& outcomes,
                hostile::Column column);

}  // namespace orrery::test
