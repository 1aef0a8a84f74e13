#include "netns/observe/sockets.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <array>

#include "netns/netlink/socket.h"

namespace orrery {
namespace {

// TCP states as the kernel numbers them (include/net/tcp_states.h), which ss(8) prints as well.
constexpr std::array<const char*, 13> kStates = {
    "",       "ESTABLISHED", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2",  "TIME-WAIT",
    "CLOSED", "CLOSE-WAIT",  "LAST-ACK", "LISTEN",   "CLOSING",    "NEW-SYN-RECV"};
constexpr std::uint8_t kClosed = 7;

std::string addressText(std::uint8_t family, const __be32 (&words)[4]) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(family, words, text.data(), text.size()) == nullptr) return "?";
  return text.data();
}

Status listInto(NlSocket& socket, SocketProtocol protocol, std::uint8_t family,
                std::vector<SocketInfo>& out) {
  inet_diag_req_v2 request{};
  request.sdiag_family = family;
  request.sdiag_protocol = protocol == SocketProtocol::tcp ? IPPROTO_TCP : IPPROTO_UDP;
  request.idiag_states = ~0u;
  const std::size_t before = out.size();
  Status s = socket.dump(NlMessage(fmt::format("list {} sockets", toString(protocol)),
                                   SOCK_DIAG_BY_FAMILY, 0, request),
                         [&](const NlReply& reply) -> Status {
                           if (reply.type != SOCK_DIAG_BY_FAMILY) return {};
                           ORRERY_TRY_ASSIGN(SocketInfo info, parseSocket(protocol, reply.payload));
                           out.push_back(std::move(info));
                           return {};
                         });
  // A kernel without IPv6 (or without the diag module of a protocol) has no such sockets to tell.
  if (!s && s.error().err == ENOENT) {
    out.resize(before);
    return {};
  }
  return s;
}

}  // namespace

const char* toString(SocketProtocol protocol) {
  return protocol == SocketProtocol::tcp ? "tcp" : "udp";
}

Result<SocketInfo> parseSocket(SocketProtocol protocol, Bytes payload) {
  const auto m = readValue<inet_diag_msg>(payload);
  if (!m || (m->idiag_family != AF_INET && m->idiag_family != AF_INET6))
    return sysError(EBADMSG, "socket message malformed");
  SocketInfo info;
  info.protocol = protocol;
  info.ipv6 = m->idiag_family == AF_INET6;
  info.localAddress = addressText(m->idiag_family, m->id.idiag_src);
  info.localPort = ntohs(m->id.idiag_sport);
  info.remoteAddress = addressText(m->idiag_family, m->id.idiag_dst);
  info.remotePort = ntohs(m->id.idiag_dport);
  if (protocol == SocketProtocol::udp && m->idiag_state == kClosed)
    info.state = "UNCONNECTED";
  else
    info.state = m->idiag_state < kStates.size() ? kStates[m->idiag_state] : "?";
  info.uid = m->idiag_uid;
  info.inode = m->idiag_inode;
  info.interface = m->id.idiag_if;
  info.receiveQueue = m->idiag_rqueue;
  info.sendQueue = m->idiag_wqueue;
  return info;
}

Result<std::vector<SocketInfo>> listSockets(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_SOCK_DIAG));
  std::vector<SocketInfo> out;
  for (const SocketProtocol protocol : {SocketProtocol::tcp, SocketProtocol::udp})
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}})
      ORRERY_TRY(listInto(socket, protocol, family, out));
  return out;
}

}  // namespace orrery
