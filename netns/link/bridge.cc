#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "netns/link/link.h"
#include "netns/link/requests.h"

namespace orrery {

namespace {

// Frames to 01:80:c2:00:00:03 … 0f go the way of all others, and so through the bridge family's
// hooks, where a ruleset can drop and count them. (…00 does as STP is off, …01 is always dropped;
// …02 cannot be told to: BR_GROUPFWD_RESTRICTED, net/bridge/br_private.h.)
constexpr std::uint16_t kAnyLinkLocal = 0xfff8;

}  // namespace

Status createBridge(Rtnl& rtnl, const IfName& name, const Mac& mac, unsigned mtu, bool up) {
  ifinfomsg head = linkHeader();
  if (up) head.ifi_flags = head.ifi_change = IFF_UP;
  NlMessage message = aboutLink(fmt::format("make bridge '{}'", name.str()), RTM_NEWLINK,
                                NLM_F_CREATE | NLM_F_EXCL, head, name);
  message.putMac(IFLA_ADDRESS, mac).putU32(IFLA_MTU, mtu);
  // …02, handled apart, teaches the bridge no address (Linux 4.20).
  const br_boolopt_multi quiet{1u << BR_BOOLOPT_NO_LL_LEARN, 1u << BR_BOOLOPT_NO_LL_LEARN};
  message.beginNest(IFLA_LINKINFO).putString(IFLA_INFO_KIND, "bridge").beginNest(IFLA_INFO_DATA);
  // VLAN filtering is off by itself, and a kernel without 802.1Q refuses even to hear of it.
  message.putU32(IFLA_BR_FORWARD_DELAY, 0)
      .putU32(IFLA_BR_STP_STATE, 0)
      .putU8(IFLA_BR_MCAST_SNOOPING, 0)
      .putU16(IFLA_BR_GROUP_FWD_MASK, kAnyLinkLocal)
      .put(IFLA_BR_MULTI_BOOLOPT, &quiet, sizeof quiet);
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

Status setPortOwner(Rtnl& rtnl, const IfName& port, const Mac& mac) {
  const std::string label = fmt::format("tell the bridge of {} at '{}'", toString(mac), port.str());
  const Result<int> index = rtnl.indexOf(port);
  if (!index) return wrap(index.error(), "{}", label);
  ndmsg head{};
  head.ndm_family = PF_BRIDGE;
  head.ndm_ifindex = *index;
  head.ndm_state = NUD_NOARP;  // static: neither ages nor moves (br_fdb.c)
  head.ndm_flags = NTF_MASTER;
  return rtnl.request(
      NlMessage(label, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head).putMac(NDA_LLADDR, mac));
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
