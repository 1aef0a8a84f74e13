// Judging a host: facts in, findings out. Pure; the table of checks is the documentation of what a
// host needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/doctor/facts.h"

namespace orrery {

// `unknown`: could not be looked at, which the finding says why.
enum class Verdict { ok, warning, problem, unknown };
const char* toString(Verdict verdict);

struct Judgement {
  Verdict verdict = Verdict::ok;
  std::string found;   // what is there
  std::string effect;  // on which feature of ours; "" where all is well
  std::string remedy;  // one command or one sentence; "" where there is nothing to do
  friend bool operator==(const Judgement&, const Judgement&) = default;
};

struct Check {
  std::string_view id;     // stable, for scripts: "nft-tproxy"
  std::string_view title;  // "nftables: tproxy"
  Judgement (*judge)(const HostFacts& facts);
};

// Every check, in the order of the report.
const std::vector<Check>& hostChecks();

struct Finding {
  std::string id;
  std::string title;
  Judgement judgement;
};
std::vector<Finding> judgeHost(const HostFacts& facts);

// True if nothing was found that prevents running routers.
bool canRun(const std::vector<Finding>& findings);

}  // namespace orrery
