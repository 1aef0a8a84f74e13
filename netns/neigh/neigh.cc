#include "netns/neigh/neigh.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace orrery {
namespace {

ndmsg headerFor(int index) {
  ndmsg head{};
  head.ndm_family = AF_INET;
  head.ndm_ifindex = index;
  return head;
}

}  // namespace

Result<Neighbour> parseNeighbour(Bytes payload) {
  const auto head = readValue<ndmsg>(payload);
  if (!head || head->ndm_family != AF_INET) return sysError(EBADMSG, "neighbour message malformed");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  const auto address = attributes.ipv4(NDA_DST);
  if (!address) return sysError(EBADMSG, "neighbour message without an address");
  Neighbour neighbour;
  neighbour.index = head->ndm_ifindex;
  neighbour.address = *address;
  neighbour.mac = attributes.mac(NDA_LLADDR);
  neighbour.state = head->ndm_state;
  return neighbour;
}

Result<std::vector<Neighbour>> listNeighbours(Rtnl& rtnl) {
  std::vector<Neighbour> out;
  ORRERY_TRY(rtnl.dump(
      NlMessage("list neighbours", RTM_GETNEIGH, 0, headerFor(0)), [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        if (reply.type != RTM_NEWNEIGH) return {};
        ORRERY_TRY_ASSIGN(const Neighbour n, parseNeighbour(reply.payload));
        out.push_back(n);
        return {};
      }));
  return out;
}

Status setPermanentNeighbour(Rtnl& rtnl, const IfName& interface, Ipv4 address, const Mac& mac) {
  const std::string label = fmt::format("set neighbour {} of '{}' to {}", toString(address),
                                        interface.str(), toString(mac));
  const Result<int> index = rtnl.indexOf(interface);
  if (!index) return wrap(index.error(), "{}", label);
  ndmsg head = headerFor(*index);
  head.ndm_state = NUD_PERMANENT;
  return rtnl.request(NlMessage(label, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head)
                          .putIpv4(NDA_DST, address)
                          .putMac(NDA_LLADDR, mac));
}

Status deleteNeighbour(Rtnl& rtnl, const IfName& interface, Ipv4 address) {
  const std::string label =
      fmt::format("delete neighbour {} of '{}'", toString(address), interface.str());
  const Result<int> index = rtnl.indexOf(interface);
  if (!index && index.error().err == ENODEV) return {};
  if (!index) return wrap(index.error(), "{}", label);
  Status s =
      rtnl.request(NlMessage(label, RTM_DELNEIGH, 0, headerFor(*index)).putIpv4(NDA_DST, address));
  if (!s && (s.error().err == ENOENT || s.error().err == ENODEV)) return {};
  return s;
}

}  // namespace orrery
