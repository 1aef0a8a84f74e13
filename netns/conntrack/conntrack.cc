#include "netns/conntrack/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

namespace orrery {
namespace {

constexpr std::uint16_t type(cntl_msg_types message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

NlMessage request(std::string label, cntl_msg_types message, std::uint8_t family) {
  const nfgenmsg header{family, NFNETLINK_V0, 0};
  return NlMessage(std::move(label), type(message), 0, header);
}

// Numbers of ctnetlink are in network byte order.
std::uint16_t portOf(const Attributes& attributes, std::uint16_t which) {
  return ntohs(attributes.value<std::uint16_t>(which).value_or(0));
}

}  // namespace

Result<TrackedFlow> parseTrackedFlow(Bytes payload) {
  const auto header = readValue<nfgenmsg>(payload);
  if (!header) return sysError(EBADMSG, "flow malformed");
  if (header->nfgen_family != AF_INET) return sysError(EAFNOSUPPORT, "a flow of IPv4");
  const Attributes tuple =
      Attributes(afterHeader(payload, sizeof(nfgenmsg))).nested(CTA_TUPLE_ORIG);
  const Attributes addresses = tuple.nested(CTA_TUPLE_IP), ports = tuple.nested(CTA_TUPLE_PROTO);
  const auto source = addresses.ipv4(CTA_IP_V4_SRC), destination = addresses.ipv4(CTA_IP_V4_DST);
  const auto protocol = ports.value<std::uint8_t>(CTA_PROTO_NUM);
  if (!source || !destination || !protocol) return sysError(EBADMSG, "flow malformed");
  TrackedFlow flow;
  flow.protocol = *protocol;
  flow.source = *source;
  flow.destination = *destination;
  flow.sourcePort = portOf(ports, CTA_PROTO_SRC_PORT);
  flow.destinationPort = portOf(ports, CTA_PROTO_DST_PORT);
  return flow;
}

Result<Conntrack> Conntrack::open(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_NETFILTER));
  return Conntrack(std::move(socket));
}

Result<std::vector<TrackedFlow>> Conntrack::list() {
  std::vector<TrackedFlow> flows;
  ORRERY_TRY(socket_.dump(request("list flows", IPCTNL_MSG_CT_GET, AF_INET),
                          [&](const NlReply& reply) -> Status {
                            if (reply.type != type(IPCTNL_MSG_CT_NEW)) return {};
                            ORRERY_TRY_ASSIGN(TrackedFlow flow, parseTrackedFlow(reply.payload));
                            flows.push_back(flow);
                            return {};
                          }));
  return flows;
}

Status Conntrack::forgetAll() {
  // Without a tuple it means all (ctnetlink_del_conntrack(), net/netfilter/nf_conntrack_netlink.c).
  return socket_.request(request("forget flows", IPCTNL_MSG_CT_DELETE, AF_UNSPEC));
}

}  // namespace orrery
