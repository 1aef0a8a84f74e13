// veth pairs, made in place. The kernel makes the peer first (veth_newlink(), drivers/net/veth.c)
// in the namespace that its own attributes name, so neither end is ever seen under another name or
// in another namespace.
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "netns/link/link.h"
#include "netns/link/requests.h"

namespace orrery {
namespace {

// Only a port that need not be isolated first can go up at birth.
ifinfomsg headerOf(const VethEnd& end, bool isPeer) {
  ifinfomsg head = linkHeader();
  if (end.up && !end.isolated && !isPeer) head.ifi_flags = head.ifi_change = IFF_UP;
  return head;
}

void putEnd(NlMessage& message, const VethEnd& end, unsigned mtu) {
  message.putMac(IFLA_ADDRESS, end.mac).putU32(IFLA_MTU, mtu);
  if (end.netns != nullptr)
    message.putU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(end.netns->get()));
}

NlMessage birthMessage(const VethEnd& port, const VethEnd& peer, unsigned mtu,
                       std::optional<int> master) {
  NlMessage message =
      aboutLink(fmt::format("make veth '{}' with peer '{}'", port.name.str(), peer.name.str()),
                RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, headerOf(port, false), port.name);
  // The port is where the socket is; an IFLA_NET_NS_FD would only cost the kernel a move.
  putEnd(message, {.name = port.name, .mac = port.mac}, mtu);
  if (master) message.putU32(IFLA_MASTER, static_cast<std::uint32_t>(*master));
  message.beginNest(IFLA_LINKINFO).putString(IFLA_INFO_KIND, "veth").beginNest(IFLA_INFO_DATA);
  const ifinfomsg peerHead = headerOf(peer, true);
  message.beginNest(VETH_INFO_PEER).putRaw(&peerHead, sizeof peerHead);
  message.putString(IFLA_IFNAME, peer.name.str());
  putEnd(message, peer, mtu);
  message.endNest().endNest().endNest();
  return message;
}

NlMessage isolationMessage(const VethEnd& port) {
  ifinfomsg head = linkHeader();
  if (port.up) head.ifi_flags = head.ifi_change = IFF_UP;
  NlMessage message = aboutLink(fmt::format("isolate bridge port '{}'", port.name.str()),
                                RTM_NEWLINK, 0, head, port.name);
  putBridgePort(message, {.isolated = true, .unicastFlood = false});
  return message;
}

// True if the other end is in a namespace that has ended but is not yet cleared away: its id is
// gone (-1), or names nothing that can be asked (get_net_ns_by_id(), net/core/net_namespace.c).
Result<bool> peerIsDying(Rtnl& rtnl, const Link& link) {
  if (*link.peerNsid < 0) return true;
  ifinfomsg head = linkHeader();
  head.ifi_index = link.peerIndex.value_or(0);
  Status s =
      rtnl.query(NlMessage(fmt::format("look at the peer of '{}'", link.name), RTM_GETLINK, 0, head)
                     .putU32(IFLA_TARGET_NETNSID, static_cast<std::uint32_t>(*link.peerNsid)),
                 nullptr);
  if (s) return false;
  return s.error().err == EINVAL || s.error().err == ENODEV;
}

bool tellsEndOf(const RtnlEvent& event, int index) {
  if (std::holds_alternative<Overflow>(event)) return true;  // perhaps: the caller tries again
  return std::holds_alternative<LinkRemoved>(event) && std::get<LinkRemoved>(event).index == index;
}

// Waits for the end of a link; false if it is still there after the time.
Result<bool> awaitEnd(RtnlMonitor& monitor, int index) {
  const auto deadline = std::chrono::steady_clock::now() + kDyingPatience;
  for (;;) {
    ORRERY_TRY_ASSIGN(const bool told, monitor.await(deadline));
    if (!told) return false;
    ORRERY_TRY_ASSIGN(const auto events, monitor.read());
    for (const RtnlEvent& event : events)
      if (tellsEndOf(event, index)) return true;
  }
}

std::string shutName(int index) {
  return fmt::format("gone~{}", index);
}

Status shut(Rtnl& rtnl, const IfName& name, int index) {
  ORRERY_TRY_ASSIGN(const IfName freed, IfName::parse(shutName(index)));
  const std::string label = fmt::format("shut port '{}'", name.str());
  Status done = changeLink(rtnl, index, {.name = freed, .up = false}, label);
  if (done || done.error().err == ENODEV) return {};
  if (done.error().err != EBUSY) return done;
  // Before Linux 6.2 (dev_change_name(), net/core/dev.c) a link that is up keeps its name.
  ORRERY_TRY(changeLink(rtnl, index, {.up = false}, label));
  return changeLink(rtnl, index, {.name = freed}, label);
}

// True if the name was held by a dying pair, which is gone now. (A namespace whose last socket was
// closed a moment ago looks alive until an RCU grace period is over.)
Result<bool> clearDying(Rtnl& rtnl, const VethEnd& port) {
  ORRERY_TRY_ASSIGN(RtnlMonitor monitor, RtnlMonitor::openForLinks(rtnl.netns()));
  ORRERY_TRY_ASSIGN(const auto link, findLink(rtnl, port.name));
  if (!link) return true;  // it went by itself meanwhile
  if (link->kind != "veth" || !link->peerNsid) return false;
  ORRERY_TRY_ASSIGN(const bool dying, peerIsDying(rtnl, *link));
  if (!dying) return awaitEnd(monitor, link->index);
  // It goes by itself; only its name is in the way. To delete it waits for RCU grace periods (some
  // 20 ms).
  ORRERY_TRY(shut(rtnl, port.name, link->index));
  return true;
}

Status giveBirth(Rtnl& rtnl, const VethEnd& port, const VethEnd& peer, unsigned mtu,
                 std::optional<int> master) {
  Status born = rtnl.request(birthMessage(port, peer, mtu, master));
  if (born || born.error().err != EEXIST) return born;
  // The first failure is what the caller must hear if the name is rightly taken.
  const Result<bool> cleared = clearDying(rtnl, port);
  if (!cleared || !*cleared) return born;
  return rtnl.request(birthMessage(port, peer, mtu, master));
}

Status finishIn(Rtnl& rtnl, const VethEnd& end) {
  if (end.bridge) ORRERY_TRY(setLinkMaster(rtnl, end.name, end.bridge));
  if (end.isolated) return rtnl.request(isolationMessage(end));
  return end.up ? setLinkUp(rtnl, end.name) : Status{};
}

Status finishPeer(const VethEnd& peer, Rtnl& portRtnl) {
  if (!peer.bridge && !peer.up) return {};
  if (peer.netns == nullptr) return finishIn(portRtnl, peer);
  if (peer.rtnl != nullptr) return finishIn(*peer.rtnl, peer);
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(*peer.netns));
  return finishIn(rtnl, peer);
}

Status checkEnd(const VethEnd& end) {
  if (end.isolated && !end.bridge)
    return sysError(EINVAL, "veth '{}' cannot be isolated: it is not in a bridge", end.name.str());
  return {};
}

}  // namespace

Status createVeth(Rtnl& rtnl, const VethEnd& port, const VethEnd& peer, unsigned mtu) {
  ORRERY_TRY(checkEnd(port));
  ORRERY_TRY(checkEnd(peer));
  std::optional<int> master;
  if (port.bridge) {
    Result<int> index = rtnl.indexOf(*port.bridge);
    if (!index)
      return wrap(std::move(index).error(), "make veth '{}' in its bridge", port.name.str());
    master = *index;
  }
  ORRERY_TRY(giveBirth(rtnl, port, peer, mtu, master));
  Status finished;
  if (port.isolated) finished = setPortOwner(rtnl, port.name, peer.mac);
  if (finished && port.isolated) finished = rtnl.request(isolationMessage(port));
  if (finished) finished = finishPeer(peer, rtnl);
  if (finished) return {};
  Error first = std::move(finished).error();
  if (Status undone = deleteLink(rtnl, port.name); !undone)
    first.also.push_back(std::move(undone).error());
  return tl::unexpected<Error>(std::move(first));
}

Status shutPort(Rtnl& rtnl, const IfName& name, const Mac& mac) {
  ORRERY_TRY_ASSIGN(const auto link, findLink(rtnl, name));
  if (!link || link->kind != "veth" || link->mac != mac) return {};
  return shut(rtnl, name, link->index);
}

bool isShutPort(const Link& link) {
  return link.kind == "veth" && !link.up && link.name == shutName(link.index);
}

}  // namespace orrery
