#include "netns/conntrack/forgotten.h"

#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace orrery {
namespace {

constexpr std::uint16_t kDestroy = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
constexpr std::uint32_t kAttributesAt = NLMSG_LENGTH(sizeof(nfgenmsg));
constexpr std::uint32_t kNone = 0, kAll = 0xffffffff;
constexpr std::uint32_t kFindAttribute = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR);
constexpr std::uint32_t kFindNested = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR_NEST);

// Whether CTA_PROTOINFO → CTA_PROTOINFO_TCP → CTA_PROTOINFO_TCP_STATE is there and says
// "established". A search leaves the attribute's offset in the accumulator, or 0
// (Documentation/networking/filter.rst).
Status keepEstablished(int fd) {
  std::array<sock_filter, 15> code{{
      BPF_STMT(BPF_LD | BPF_IMM, kAttributesAt),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_PROTOINFO),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFindAttribute),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 9, 0),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_PROTOINFO_TCP),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFindNested),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 6, 0),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_PROTOINFO_TCP_STATE),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFindNested),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_IND, NLA_HDRLEN),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TCP_CONNTRACK_ESTABLISHED, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, kNone),
      BPF_STMT(BPF_RET | BPF_K, kAll),
  }};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    return sysError(errno, "filter what is told of forgotten flows");
  return {};
}

}  // namespace

Result<std::vector<TrackedFlow>> parseForgotten(Bytes datagram) {
  ORRERY_TRY_ASSIGN(const auto messages, splitMessages(datagram));
  std::vector<TrackedFlow> flows;
  for (const NlReply& message : messages) {
    if (message.type != kDestroy) continue;
    auto flow = parseTrackedFlow(message.payload);
    if (flow)
      flows.push_back(*flow);
    else if (flow.error().err != EAFNOSUPPORT)
      return tl::unexpected<Error>(std::move(flow).error());
  }
  return flows;
}

Result<ForgottenFlows> ForgottenFlows::watch(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NlSocket socket,
                    NlSocket::open(netns, NETLINK_NETFILTER, {NFNLGRP_CONNTRACK_DESTROY}));
  ORRERY_TRY(keepEstablished(socket.fd()));
  return ForgottenFlows(std::move(socket));
}

Result<std::vector<TrackedFlow>> ForgottenFlows::read() {
  std::vector<TrackedFlow> flows;
  for (;;) {
    const auto datagram = socket_.receiveDatagram();
    if (!datagram && datagram.error().err == ENOBUFS) continue;
    if (!datagram) return tl::unexpected<Error>(datagram.error());
    if (datagram->empty()) return flows;
    ORRERY_TRY_ASSIGN(const auto some, parseForgotten(*datagram));
    flows.insert(flows.end(), some.begin(), some.end());
  }
}

}  // namespace orrery
