// `verify --audit`: an auditor that goes on while the router changes.
//
// What the contract allows depends on facts that come and go: the lease, the tunnel's address, the
// phase. The supervisor's events and the kernel's own tell when to look again. The same links: the
// auditor gets their new contracts, and judges what was on its way at that moment by both (Audit).
// Other links (a tunnel that was made anew): a second auditor watches before the first one ends.
// A link that is made anew is watched from when the kernel has told of it, some milliseconds on.
//
// A program on a link may send frames on before any ring sees them, and the kernel tells nobody
// that it was attached (TCX): for those, filters of traffic control among them, it looks every
// second.
//
// A line each, on standard output: "violation", the first of its sort on that link; "attached",
// what acts on a link of the router's beside its rules; "lost", frames that nobody could judge.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "netns/netlink/rtnl.h"
#include "runtime/audit/live.h"
#include "runtime/control/client.h"
#include "runtime/routerctl/command.h"

namespace orrery {

class AuditFollower {
 public:
  AuditFollower(CommandContext& context, const audit::LiveQuery& query)
      : context_(context), query_(query) {}
  // Until the router is destroyed, or the auditor ends.
  Status run();

 private:
  enum class Look { current, later, gone };  // later: it is being changed, or its uplink is
  Status start();
  void connect();
  // Sleeps. True if there was news of the router.
  Result<bool> wait();
  bool readControl();
  Status listen();
  Result<Look> lookAgain();
  Status exchange(std::vector<audit::PlannedWatch> planned, const audit::LiveRouter& router);
  // What hangs on links; told once for as long as it is there.
  Status lookAtTraffic();
  void tell(Json event);
  void record(Json event);
  Status tellAll();  // that the auditor has said already

  CommandContext& context_;
  audit::LiveQuery query_;
  std::optional<ControlClient> control_;
  std::vector<RtnlMonitor> monitors_;
  std::vector<audit::PlannedWatch> watches_;
  std::optional<audit::AuditorProcess> auditor_;
  bool stale_ = false;              // the last look did not succeed
  std::set<std::string> attached_;  // sentences, as told
  std::chrono::steady_clock::time_point nextLook_{};
};

}  // namespace orrery
