#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "netns/netlink/rtnl.h"

namespace orrery {
namespace {

using std::chrono::milliseconds;

constexpr unsigned kLowerUp = 1u << 16;  // IFF_LOWER_UP, in linux/if.h which net/if.h excludes

tl::unexpected<Error> cutShort() {
  return sysError(EBADMSG, "netlink event cut short");
}

Result<std::optional<RtnlEvent>> linkEvent(const NlReply& reply) {
  const auto head = readValue<ifinfomsg>(reply.payload);
  if (!head) return cutShort();
  // A bridge tells of its ports in AF_BRIDGE messages as well, RTM_DELLINK when one leaves it.
  if (head->ifi_family != AF_UNSPEC) return std::nullopt;
  const Attributes attributes(afterHeader(reply.payload, sizeof *head));
  const std::string name = attributes.string(IFLA_IFNAME).value_or("");
  if (reply.type == RTM_DELLINK) return RtnlEvent(LinkRemoved{head->ifi_index, name});
  return RtnlEvent(LinkChanged{head->ifi_index, name, (head->ifi_flags & IFF_UP) != 0,
                               (head->ifi_flags & kLowerUp) != 0,
                               attributes.value<int>(IFLA_MASTER).value_or(0)});
}

Result<std::optional<RtnlEvent>> addressEvent(const NlReply& reply) {
  const auto head = readValue<ifaddrmsg>(reply.payload);
  if (!head) return cutShort();
  if (head->ifa_family != AF_INET) return std::nullopt;
  const Attributes attributes(afterHeader(reply.payload, sizeof *head));
  auto address = attributes.ipv4(IFA_LOCAL);
  if (!address) address = attributes.ipv4(IFA_ADDRESS);
  if (!address || head->ifa_prefixlen > 32) return cutShort();
  const Prefix4 prefix{*address, head->ifa_prefixlen};
  const int index = static_cast<int>(head->ifa_index);
  if (reply.type == RTM_DELADDR) return RtnlEvent(AddressRemoved{index, prefix});
  return RtnlEvent(AddressAdded{index, prefix});
}

Result<std::optional<RtnlEvent>> routeEvent(const NlReply& reply) {
  const auto head = readValue<rtmsg>(reply.payload);
  if (!head) return cutShort();
  if (head->rtm_family != AF_INET || (head->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  if (head->rtm_dst_len > 32) return cutShort();
  const Attributes attributes(afterHeader(reply.payload, sizeof *head));
  RouteChanged event;
  event.removed = reply.type == RTM_DELROUTE;
  event.destination = {attributes.ipv4(RTA_DST).value_or(Ipv4{}), head->rtm_dst_len};
  event.gateway = attributes.ipv4(RTA_GATEWAY);
  event.index = attributes.value<int>(RTA_OIF).value_or(0);
  event.table = attributes.value<std::uint32_t>(RTA_TABLE).value_or(head->rtm_table);
  return RtnlEvent(event);
}

Result<std::optional<RtnlEvent>> neighbourEvent(const NlReply& reply) {
  const auto head = readValue<ndmsg>(reply.payload);
  if (!head) return cutShort();
  if (head->ndm_family != AF_INET) return std::nullopt;
  const Attributes attributes(afterHeader(reply.payload, sizeof *head));
  const auto address = attributes.ipv4(NDA_DST);
  if (!address) return cutShort();
  NeighbourChanged event;
  event.removed = reply.type == RTM_DELNEIGH;
  event.index = head->ndm_ifindex;
  event.address = *address;
  event.mac = attributes.mac(NDA_LLADDR);
  event.state = head->ndm_state;
  return RtnlEvent(event);
}

Result<std::optional<RtnlEvent>> parseEvent(const NlReply& reply) {
  switch (reply.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return linkEvent(reply);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return addressEvent(reply);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return routeEvent(reply);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return neighbourEvent(reply);
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<std::vector<RtnlEvent>> parseEvents(Bytes datagram) {
  ORRERY_TRY_ASSIGN(const auto replies, splitMessages(datagram));
  std::vector<RtnlEvent> events;
  for (const NlReply& reply : replies) {
    ORRERY_TRY_ASSIGN(const auto event, parseEvent(reply));
    if (event) events.push_back(*event);
  }
  return events;
}

Result<RtnlMonitor> RtnlMonitor::open(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_ROUTE,
                                                    {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                                                     RTNLGRP_IPV4_ROUTE, RTNLGRP_NEIGH}));
  return RtnlMonitor(std::move(socket));
}

Result<RtnlMonitor> RtnlMonitor::openForLinks(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_ROUTE, {RTNLGRP_LINK}));
  return RtnlMonitor(std::move(socket));
}

Result<std::vector<RtnlEvent>> RtnlMonitor::read() {
  std::vector<RtnlEvent> events;
  for (;;) {
    Result<std::vector<std::byte>> datagram = socket_.receiveDatagram();
    if (!datagram) {
      if (datagram.error().err != ENOBUFS) return tl::unexpected<Error>(datagram.error());
      events.push_back(Overflow{});
      continue;
    }
    if (datagram->empty()) return events;
    ORRERY_TRY_ASSIGN(auto some, parseEvents(*datagram));
    events.insert(events.end(), some.begin(), some.end());
  }
}

Result<bool> RtnlMonitor::await(std::chrono::steady_clock::time_point deadline) const {
  for (;;) {
    // Rounded up: a wait that ends early would be one more round.
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd p{socket_.fd(), POLLIN, 0};
    const int ready = ::poll(&p, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR)
      return sysError(errno, "wait for what the kernel tells of links");
  }
}

Status awaitQuiet(std::vector<RtnlMonitor>& monitors, milliseconds quiet, milliseconds longest) {
  const auto deadline = std::chrono::steady_clock::now() + longest;
  std::vector<pollfd> items;
  for (const RtnlMonitor& monitor : monitors) items.push_back({monitor.fd(), POLLIN, 0});
  for (;;) {
    for (RtnlMonitor& monitor : monitors) ORRERY_TRY(monitor.read());
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    const auto sleep = std::clamp(left, milliseconds(0), quiet);
    const int ready = ::poll(items.data(), items.size(), static_cast<int>(sleep.count()));
    if (ready < 0 && errno != EINTR) return sysError(errno, "wait for what changes");
    if (ready == 0 || left.count() <= 0) return {};
  }
}

}  // namespace orrery
