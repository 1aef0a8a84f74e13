#include "netns/link/link.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>

#include "netns/link/requests.h"

namespace orrery {
namespace {

constexpr unsigned kLowerUp = 1u << 16;  // IFF_LOWER_UP, in linux/if.h which net/if.h excludes

// The head of rtnl_link_stats64, stable since it is user API.
LinkCounters countersFrom(Bytes stats) {
  const auto v = readValue<std::array<std::uint64_t, 8>>(stats);
  if (!v) return {};
  return {.rxPackets = (*v)[0],
          .rxBytes = (*v)[2],
          .rxErrors = (*v)[4],
          .rxDropped = (*v)[6],
          .txPackets = (*v)[1],
          .txBytes = (*v)[3],
          .txErrors = (*v)[5],
          .txDropped = (*v)[7]};
}

void readKind(const Attributes& info, Link& link) {
  link.kind = info.string(IFLA_INFO_KIND).value_or("");
  if (info.string(IFLA_INFO_SLAVE_KIND) != "bridge") return;
  if (const auto isolated =
          info.nested(IFLA_INFO_SLAVE_DATA).value<std::uint8_t>(IFLA_BRPORT_ISOLATED))
    link.isolated = *isolated != 0;
}

NlSocket::Each collectLinks(std::vector<Link>& links) {
  return [&links](const NlReply& reply) -> Status {
    if (reply.type != RTM_NEWLINK) return {};
    ORRERY_TRY_ASSIGN(Link link, parseLink(reply.payload));
    links.push_back(std::move(link));
    return {};
  };
}

Status setFlags(Rtnl& rtnl, const IfName& name, bool up) {
  ifinfomsg head = linkHeader();
  head.ifi_flags = up ? unsigned{IFF_UP} : 0u;
  head.ifi_change = IFF_UP;
  return rtnl.request(aboutLink(fmt::format("set '{}' {}", name.str(), up ? "up" : "down"),
                                RTM_SETLINK, 0, head, name));
}

}  // namespace

ifinfomsg linkHeader() {
  ifinfomsg head{};
  head.ifi_family = AF_UNSPEC;
  return head;
}

NlMessage aboutLink(std::string label, std::uint16_t type, std::uint16_t flags,
                    const ifinfomsg& head, const IfName& name) {
  NlMessage message(std::move(label), type, flags, head);
  message.putString(IFLA_IFNAME, name.str());
  return message;
}

Result<Link> parseLink(Bytes payload) {
  const auto head = readValue<ifinfomsg>(payload);
  if (!head) return sysError(EBADMSG, "link message cut short");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  Link link;
  link.index = head->ifi_index;
  link.up = (head->ifi_flags & IFF_UP) != 0;
  link.carrier = (head->ifi_flags & kLowerUp) != 0;
  link.loopback = (head->ifi_flags & IFF_LOOPBACK) != 0;
  link.name = attributes.string(IFLA_IFNAME).value_or("");
  if (link.name.empty()) return sysError(EBADMSG, "link message without a name");
  link.mtu = attributes.value<std::uint32_t>(IFLA_MTU).value_or(0);
  link.queueLength = attributes.value<std::uint32_t>(IFLA_TXQLEN).value_or(0);
  link.mac = attributes.mac(IFLA_ADDRESS).value_or(Mac{});
  link.permanentMac = attributes.mac(IFLA_PERM_ADDRESS);
  link.master = attributes.value<int>(IFLA_MASTER);
  link.parentDevice = attributes.string(IFLA_PARENT_DEV_NAME).value_or("");
  link.parentBus = attributes.string(IFLA_PARENT_DEV_BUS_NAME).value_or("");
  readKind(attributes.nested(IFLA_LINKINFO), link);
  if (link.kind == "veth") {
    link.peerIndex = attributes.value<int>(IFLA_LINK);
    link.peerNsid = attributes.value<int>(IFLA_LINK_NETNSID);
  }
  if (const auto stats = attributes.find(IFLA_STATS64)) link.counters = countersFrom(*stats);
  return link;
}

Result<std::vector<Link>> listLinks(Rtnl& rtnl) {
  std::vector<Link> links;
  ORRERY_TRY(rtnl.dump(
      NlMessage("list links", RTM_GETLINK, 0, linkHeader()), [&] { links.clear(); },
      collectLinks(links)));
  return links;
}

Result<std::optional<Link>> findLink(Rtnl& rtnl, const IfName& name) {
  std::vector<Link> links;
  Status s = rtnl.query(
      aboutLink(fmt::format("look at '{}'", name.str()), RTM_GETLINK, 0, linkHeader(), name),
      collectLinks(links));
  if (!s && s.error().err == ENODEV) return std::optional<Link>{};
  ORRERY_TRY(std::move(s));
  if (links.empty()) return sysError(EBADMSG, "look at '{}': no answer", name.str());
  return std::optional<Link>(std::move(links.front()));
}

Status deleteLink(Rtnl& rtnl, const IfName& name) {
  Status s = rtnl.request(
      aboutLink(fmt::format("delete '{}'", name.str()), RTM_DELLINK, 0, linkHeader(), name));
  if (!s && s.error().err == ENODEV) return {};
  return s;
}

Status setLinkUp(Rtnl& rtnl, const IfName& name) {
  return setFlags(rtnl, name, true);
}
Status setLinkDown(Rtnl& rtnl, const IfName& name) {
  return setFlags(rtnl, name, false);
}

Status emptyLinkQueue(Rtnl& rtnl, const Link& link) {
  for (const std::uint32_t length : {std::uint32_t{0}, std::uint32_t{link.queueLength}}) {
    ifinfomsg header = linkHeader();
    header.ifi_index = link.index;
    ORRERY_TRY(rtnl.request(
        NlMessage(fmt::format("set the queue of '{}' to {}", link.name, length), RTM_SETLINK, 0,
                  header)
            .putU32(IFLA_TXQLEN, length)));
  }
  return {};
}

Status setLinkMtu(Rtnl& rtnl, const IfName& name, unsigned mtu) {
  return rtnl.request(aboutLink(fmt::format("set the MTU of '{}' to {}", name.str(), mtu),
                                RTM_SETLINK, 0, linkHeader(), name)
                          .putU32(IFLA_MTU, mtu));
}

Status setLinkMac(Rtnl& rtnl, const IfName& name, const Mac& mac) {
  return rtnl.request(aboutLink(fmt::format("set the MAC of '{}' to {}", name.str(), toString(mac)),
                                RTM_SETLINK, 0, linkHeader(), name)
                          .putMac(IFLA_ADDRESS, mac));
}

Status setLinkName(Rtnl& rtnl, const IfName& name, const IfName& newName) {
  const std::string label = fmt::format("rename '{}' to '{}'", name.str(), newName.str());
  const Result<int> index = rtnl.indexOf(name);
  if (!index) return wrap(index.error(), "{}", label);
  return changeLink(rtnl, *index, {.name = newName}, label);
}

Status changeLink(Rtnl& rtnl, int index, const LinkChange& change, const std::string& label) {
  ifinfomsg head = linkHeader();
  head.ifi_index = index;  // with an index, IFLA_IFNAME is the new name
  if (change.up) {
    head.ifi_flags = *change.up ? unsigned{IFF_UP} : 0u;
    head.ifi_change = IFF_UP;
  }
  NlMessage message(label, RTM_SETLINK, 0, head);
  if (change.netns != nullptr)
    message.putU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(change.netns->get()));
  if (change.mac) message.putMac(IFLA_ADDRESS, *change.mac);
  if (change.mtu) message.putU32(IFLA_MTU, *change.mtu);
  if (change.name) message.putString(IFLA_IFNAME, change.name->str());
  return rtnl.request(std::move(message));
}

Status moveLink(Rtnl& rtnl, const IfName& name, const NetnsFd& to,
                const std::optional<IfName>& newName) {
  const std::string label =
      newName ? fmt::format("move '{}' to another namespace as '{}'", name.str(), newName->str())
              : fmt::format("move '{}' to another namespace", name.str());
  const Result<int> index = rtnl.indexOf(name);
  if (!index) return wrap(index.error(), "{}", label);
  if (newName) {
    ORRERY_TRY_ASSIGN(const Rtnl target, Rtnl::open(to));
    if (target.indexOf(*newName)) return sysError(EEXIST, "{}", label);
  }
  return changeLink(rtnl, *index, {.netns = &to, .name = newName}, label);
}

}  // namespace orrery
