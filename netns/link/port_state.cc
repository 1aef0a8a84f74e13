#include "netns/link/port_state.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

namespace orrery {

Result<bool> isForwarding(Rtnl& rtnl, const IfName& port) {
  std::uint8_t state = BR_STATE_DISABLED;
  ifinfomsg head{};
  ORRERY_TRY(rtnl.query(
      NlMessage("look at a port", RTM_GETLINK, 0, head).putString(IFLA_IFNAME, port.str()),
      [&](const NlReply& reply) -> Status {
        state = Attributes(afterHeader(reply.payload, sizeof head))
                    .nested(IFLA_LINKINFO)
                    .nested(IFLA_INFO_SLAVE_DATA)
                    .value<std::uint8_t>(IFLA_BRPORT_STATE)
                    .value_or(BR_STATE_DISABLED);
        return {};
      }));
  return state == BR_STATE_FORWARDING;
}

Status awaitForwarding(Rtnl& rtnl, const IfName& port,
                       std::chrono::steady_clock::time_point deadline) {
  ORRERY_TRY_ASSIGN(RtnlMonitor monitor, RtnlMonitor::openForLinks(rtnl.netns()));
  for (;;) {
    ORRERY_TRY_ASSIGN(const bool forwards, isForwarding(rtnl, port));
    if (forwards) return {};
    ORRERY_TRY_ASSIGN(const bool told, monitor.await(deadline));
    if (!told) return sysError(ETIMEDOUT, "port '{}' does not forward", port.str());
    ORRERY_TRY(monitor.read());
  }
}

}  // namespace orrery
