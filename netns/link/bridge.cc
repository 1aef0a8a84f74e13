#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "netns/link/link.h"
#include "netns/link/requests.h"

namespace orrery {

Status createBridge(Rtnl& rtnl, const IfName& name, const Mac& mac, unsigned mtu, bool up) {
  ifinfomsg head = linkHeader();
  if (up) head.ifi_flags = head.ifi_change = IFF_UP;
  NlMessage message = aboutLink(fmt::format("make bridge '{}'", name.str()), RTM_NEWLINK,
                                NLM_F_CREATE | NLM_F_EXCL, head, name);
  message.putMac(IFLA_ADDRESS, mac).putU32(IFLA_MTU, mtu);
  message.beginNest(IFLA_LINKINFO).putString(IFLA_INFO_KIND, "bridge").beginNest(IFLA_INFO_DATA);
  // VLAN filtering is off by itself, and a kernel without 802.1Q refuses even to hear of it.
  message.putU32(IFLA_BR_FORWARD_DELAY, 0)
      .putU32(IFLA_BR_STP_STATE, 0)
      .putU8(IFLA_BR_MCAST_SNOOPING, 0)
      .putU16(IFLA_BR_GROUP_FWD_MASK, 0);
  message.endNest().endNest();
  return rtnl.request(std::move(message));
}

void putBridgePort(NlMessage& message, const BridgePort& settings) {
  const auto put = [&message](std::uint16_t type, const std::optional<bool>& value) {
    if (value) message.putU8(type, *value ? 1 : 0);
  };
  message.beginNest(IFLA_LINKINFO).putString(IFLA_INFO_SLAVE_KIND, "bridge");
  message.beginNest(IFLA_INFO_SLAVE_DATA);
  put(IFLA_BRPORT_ISOLATED, settings.isolated);
  put(IFLA_BRPORT_LEARNING, settings.learning);
  put(IFLA_BRPORT_UNICAST_FLOOD, settings.unicastFlood);
  put(IFLA_BRPORT_MCAST_FLOOD, settings.multicastFlood);
  put(IFLA_BRPORT_BCAST_FLOOD, settings.broadcastFlood);
  put(IFLA_BRPORT_MODE, settings.hairpin);
  message.endNest().endNest();
}

Status setBridgePort(Rtnl& rtnl, const IfName& port, const BridgePort& settings) {
  NlMessage message = aboutLink(fmt::format("set up bridge port '{}'", port.str()), RTM_NEWLINK, 0,
                                linkHeader(), port);
  putBridgePort(message, settings);
  return rtnl.request(std::move(message));
}

Status setLinkMaster(Rtnl& rtnl, const IfName& name, const std::optional<IfName>& bridge) {
  const std::string label =
      bridge ? fmt::format("put '{}' into bridge '{}'", name.str(), bridge->str())
             : fmt::format("take '{}' out of its bridge", name.str());
  int master = 0;
  if (bridge) {
    const Result<int> index = rtnl.indexOf(*bridge);
    if (!index) return wrap(index.error(), "{}", label);
    master = *index;
  }
  return rtnl.request(aboutLink(label, RTM_SETLINK, 0, linkHeader(), name)
                          .putU32(IFLA_MASTER, static_cast<std::uint32_t>(master)));
}

}  // namespace orrery
