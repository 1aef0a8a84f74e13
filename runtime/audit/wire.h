// What routerctl and the auditor say to each other, as JSON.
//
//   to the auditor, in memory:  {"session":…,"links":[{"name":…,"fd":5,"contract":…},…]}
//   from it, one line each:     {"event":"watching"} · {"event":"violation",…} ·
//                               {"event":"marker","number":3} · {"event":"report","links":[…]} ·
//                               {"event":"lost","link":…,"frames":7}: that it could not judge
//   to it, one line each:       {"order":"report"} · {"order":"contracts","contracts":[…]}, one for
//                               each link; answered by {"event":"contracts"} when they are in
//                               force. The end of the stream ends it
#pragma once

#include "runtime/audit/audit.h"
#include "runtime/control/json.h"

namespace orrery::audit {

struct AuditorConfig {
  std::string session;  // kSessionBytes long, or empty: no probes
  std::vector<WatchedLink> links;
  std::vector<int> fds;                   // in the auditor, in step with `links`
  std::chrono::milliseconds patience{0};  // with breaches (Audit)
};

Json toJson(const AuditorConfig& config);
Result<AuditorConfig> configFromJson(const Json& json);

Json toJson(const LinkContract& contract);
Result<LinkContract> linkContractFromJson(const Json& json);

struct AuditorOrder {
  std::optional<std::vector<LinkContract>> contracts;  // none: a report is wanted
};
Json toJson(const AuditorOrder& order);
Result<AuditorOrder> orderFromJson(const Json& json);

Json toJson(const LinkReport& report);
Result<LinkReport> linkReportFromJson(const Json& json);
Json toJson(const Violation& violation);

}  // namespace orrery::audit
