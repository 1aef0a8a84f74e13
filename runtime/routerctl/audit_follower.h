// `verify --audit`: an auditor that goes on while the router changes.
//
// What the contract allows depends on facts that come and go: the lease, the tunnel's address, the
// phase. The supervisor's events and the kernel's own tell when to look again. The same links: the
// auditor gets their new contracts, and judges what was on its way at that moment by both (Audit).
// Other links (a tunnel that was made anew): a second auditor watches before the first one ends.
// A link that is made anew is watched from when the kernel has told of it, some milliseconds on.
#pragma once

#include <optional>
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
  void tell(Json event);
  Status tellAll();  // that the auditor has said already

  CommandContext& context_;
  audit::LiveQuery query_;
  std::optional<ControlClient> control_;
  std::vector<RtnlMonitor> monitors_;
  std::vector<audit::PlannedWatch> watches_;
  std::optional<audit::AuditorProcess> auditor_;
  bool stale_ = false;  // the last look did not succeed
};

}  // namespace orrery
