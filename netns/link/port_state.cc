#include "netns/link/port_state.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

namespace orrery {
namespace {

using Clock = std::chrono::steady_clock;

template <class Reached>
Status awaitTrue(Rtnl& rtnl, Clock::time_point deadline, Reached reached) {
  ORRERY_TRY_ASSIGN(RtnlMonitor monitor, RtnlMonitor::openForLinks(rtnl.netns()));
  for (;;) {
    ORRERY_TRY_ASSIGN(const bool there, reached());
    if (there) return {};
    ORRERY_TRY_ASSIGN(const bool told, monitor.await(deadline));
    if (!told) return sysError(ETIMEDOUT, "no carrier that the kernel has acted on");
    ORRERY_TRY(monitor.read());
  }
}

}  // namespace

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

Status awaitForwarding(Rtnl& rtnl, const IfName& port, Clock::time_point deadline) {
  return awaitTrue(rtnl, deadline, [&]() -> Result<bool> { return isForwarding(rtnl, port); });
}

Result<bool> isRunning(Rtnl& rtnl, const IfName& link) {
  bool running = false;
  Status asked = rtnl.query(
      NlMessage("look at a link", RTM_GETLINK, 0, ifinfomsg{}).putString(IFLA_IFNAME, link.str()),
      [&](const NlReply& reply) -> Status {
        const auto head = readValue<ifinfomsg>(reply.payload);
        running = head && (head->ifi_flags & IFF_RUNNING) != 0;
        return {};
      });
  if (!asked && asked.error().err != ENODEV) return tl::unexpected<Error>(std::move(asked).error());
  return running;
}

Status awaitRunning(Rtnl& rtnl, const IfName& link, Clock::time_point deadline) {
  return awaitTrue(rtnl, deadline, [&]() -> Result<bool> { return isRunning(rtnl, link); });
}

}  // namespace orrery
