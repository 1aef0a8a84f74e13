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

}  // namespace orrery
