// Changes of the network namespace, by netlink.
#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

class Message {
 public:
  Message(int type, int flags) {
    header().nlmsg_len = NLMSG_HDRLEN;
    header().nlmsg_type = static_cast<std::uint16_t>(type);
    header().nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header().nlmsg_seq = 1;
  }
  template <class T>
  Message& body(const T& value) {
    put(&value, sizeof value);
    return *this;
  }
  Message& attribute(int type, const void* data, std::size_t size) {
    const rtattr head{static_cast<std::uint16_t>(RTA_LENGTH(size)),
                      static_cast<std::uint16_t>(type)};
    put(&head, sizeof head);
    put(data, size);
    return *this;
  }
  template <class T>
  Message& attribute(int type, const T& value) {
    return attribute(type, &value, sizeof value);
  }
  // Sends it and takes the kernel's answer.
  Outcome sendBy(int protocol) {
    const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) return errno;
    Outcome result = EBADMSG;
    if (::send(fd, bytes_, size(), 0) < 0)
      result = errno;
    else if (const ssize_t n = ::recv(fd, bytes_, sizeof bytes_, 0); n < 0)
      result = errno;
    else
      result = answer();
    (void)::close(fd);
    return result;
  }

 private:
  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes_); }
  std::size_t size() { return header().nlmsg_len; }
  void put(const void* data, std::size_t size) {
    std::memcpy(bytes_ + header().nlmsg_len, data, size);
    header().nlmsg_len += static_cast<std::uint32_t>(NLMSG_ALIGN(size));
  }
  Outcome answer() {
    if (header().nlmsg_type != NLMSG_ERROR) return EBADMSG;
    nlmsgerr error{};
    std::memcpy(&error, bytes_ + NLMSG_HDRLEN, sizeof error);
    return -error.error;
  }
  alignas(nlmsghdr) char bytes_[4096]{};
};

constexpr int kLoopback = 1;
constexpr int kNew = NLM_F_CREATE | NLM_F_EXCL;
const std::uint32_t kAddress = htonl(0xc0000209);  // 192.0.2.9

Outcome linkChange() {
  ifinfomsg link{};
  link.ifi_index = kLoopback;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  return Message(RTM_NEWLINK, 0).body(link).sendBy(NETLINK_ROUTE);
}
Outcome linkAdd() {
  struct {
    rtattr head{static_cast<std::uint16_t>(RTA_LENGTH(4)), IFLA_INFO_KIND};
    char kind[4] = {'v', 'e', 't', 'h'};  // it may move, a bridge may not
  } info;
  return Message(RTM_NEWLINK, kNew)
      .body(ifinfomsg{})
      .attribute(IFLA_IFNAME, "evil0")
      .attribute(IFLA_LINKINFO, &info, sizeof info)
      .sendBy(NETLINK_ROUTE);
}
Outcome linkMove() {  // what link-add made, into the namespace of a process
  return Message(RTM_NEWLINK, 0)
      .body(ifinfomsg{})
      .attribute(IFLA_IFNAME, "evil0")
      .attribute(IFLA_NET_NS_PID, static_cast<std::uint32_t>(::getpid()))
      .sendBy(NETLINK_ROUTE);
}
Outcome addressAdd() {
  ifaddrmsg body{AF_INET, 32, 0, 0, kLoopback};
  return Message(RTM_NEWADDR, kNew).body(body).attribute(IFA_LOCAL, kAddress).sendBy(NETLINK_ROUTE);
}
Outcome addressDelete() {
  ifaddrmsg body{AF_INET, 8, 0, 0, kLoopback};
  return Message(RTM_DELADDR, 0)
      .body(body)
      .attribute(IFA_LOCAL, htonl(INADDR_LOOPBACK))
      .sendBy(NETLINK_ROUTE);
}
rtmsg routeBody() {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = 32;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_type = RTN_UNICAST;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_LINK;
  return body;
}
Outcome routeAdd() {
  return Message(RTM_NEWROUTE, kNew)
      .body(routeBody())
      .attribute(RTA_DST, htonl(0xc000020a))
      .attribute(RTA_OIF, kLoopback)
      .sendBy(NETLINK_ROUTE);
}
Outcome routeDelete() {
  rtmsg body = routeBody();
  body.rtm_dst_len = 0;
  body.rtm_scope = RT_SCOPE_NOWHERE;
  body.rtm_type = 0;
  body.rtm_protocol = 0;
  const Outcome result = Message(RTM_DELROUTE, 0).body(body).sendBy(NETLINK_ROUTE);
  return result == ESRCH ? kDone : result;  // was let through, and there is none
}
Outcome ruleAdd() {
  fib_rule_hdr body{};
  body.family = AF_INET;
  body.table = RT_TABLE_MAIN;
  body.action = FR_ACT_BLACKHOLE;
  return Message(RTM_NEWRULE, kNew)
      .body(body)
      .attribute(FRA_PRIORITY, std::uint32_t{77})
      .attribute(FRA_FWMARK, std::uint32_t{99})
      .sendBy(NETLINK_ROUTE);
}
Outcome neighbourAdd() {
  ndmsg body{};
  body.ndm_family = AF_INET;
  body.ndm_ifindex = kLoopback;
  body.ndm_state = NUD_PERMANENT;
  const unsigned char mac[6] = {2, 0, 0, 0, 0, 9};
  return Message(RTM_NEWNEIGH, NLM_F_CREATE)
      .body(body)
      .attribute(NDA_DST, kAddress)
      .attribute(NDA_LLADDR, mac)
      .sendBy(NETLINK_ROUTE);
}
Outcome qdiscAdd() {
  tcmsg body{};
  body.tcm_ifindex = kLoopback;
  body.tcm_parent = TC_H_ROOT;
  body.tcm_handle = 0x10000;
  return Message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE)
      .body(body)
      .attribute(TCA_KIND, "pfifo")
      .sendBy(NETLINK_ROUTE);
}
Outcome netnsId() {
  struct {
    unsigned char family[4]{};
  } body;
  return Message(RTM_NEWNSID, 0)
      .body(body)
      .attribute(1 /* NETNSA_NSID */, 5)
      .attribute(2 /* NETNSA_PID */, static_cast<std::uint32_t>(::getpid()))
      .sendBy(NETLINK_ROUTE);
}

// One transaction: begin, the command, end.
Outcome nftables(int command, int flags, const char* table) {
  struct Part {
    nlmsghdr header{};
    nfgenmsg body{};
  };
  struct {
    Part begin, work;
    nlattr attribute{};
    char name[8]{};
    Part end;
  } batch;
  const std::uint16_t subsystem = htons(NFNL_SUBSYS_NFTABLES);
  const auto tail = static_cast<std::uint32_t>(sizeof batch.attribute + sizeof batch.name);
  batch.begin = {{sizeof(Part), NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 1, 0},
                 {AF_UNSPEC, NFNETLINK_V0, subsystem}};
  batch.end = {{sizeof(Part), NFNL_MSG_BATCH_END, NLM_F_REQUEST, 3, 0},
               {AF_UNSPEC, NFNETLINK_V0, subsystem}};
  batch.work.header = {static_cast<std::uint32_t>(sizeof(Part)) + tail,
                       static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | command),
                       static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags), 2, 0};
  batch.work.body = {AF_INET, NFNETLINK_V0, 0};
  batch.attribute = {static_cast<std::uint16_t>(tail), NFTA_TABLE_NAME};
  std::strncpy(batch.name, table, sizeof batch.name - 1);
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return errno;
  if (::send(fd, &batch, sizeof batch, 0) < 0) return errno;
  alignas(nlmsghdr) char reply[1024];
  if (::recv(fd, reply, sizeof reply, 0) < 0) return errno;
  nlmsgerr error{};
  std::memcpy(&error, reply + NLMSG_HDRLEN, sizeof error);
  (void)::close(fd);
  return -error.error;
}
Outcome nftAdd() {
  return nftables(NFT_MSG_NEWTABLE, NLM_F_CREATE, "evil");
}
Outcome nftDelete() {
  const Outcome result = nftables(NFT_MSG_DELTABLE, 0, "orrery");
  return result == ENOENT ? kDone : result;
}
Outcome conntrackFlush() {
  return Message(NFNL_SUBSYS_CTNETLINK << 8 | 2 /* IPCTNL_MSG_CT_DELETE */, 0)
      .body(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0})
      .sendBy(NETLINK_NETFILTER);
}
Outcome xfrmFlush() {
  constexpr int kFlushSa = 0x1c;
  return Message(kFlushSa, 0).body(std::uint32_t{0}).sendBy(NETLINK_XFRM);
}
template <int Protocol>
Outcome openNetlink() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, Protocol);
  if (fd < 0) return errno;
  (void)::close(fd);
  return kDone;
}

constexpr Try kTries[] = {
    {"link-change", linkChange},
    {"link-add", linkAdd},
    {"link-move", linkMove},
    {"address-add", addressAdd},
    {"address-delete", addressDelete},
    {"route-add", routeAdd},
    {"route-delete", routeDelete},
    {"rule-add", ruleAdd},
    {"neighbour-add", neighbourAdd},
    {"qdisc-add", qdiscAdd},
    {"netns-id", netnsId},
    {"nft-add", nftAdd},
    {"nft-delete", nftDelete},
    {"conntrack-flush", conntrackFlush},
    {"xfrm-flush", xfrmFlush},
    {"netlink-generic", openNetlink<NETLINK_GENERIC>},
    {"netlink-audit", openNetlink<NETLINK_AUDIT>},
    {"netlink-uevent", openNetlink<NETLINK_KOBJECT_UEVENT>},
    {"netlink-diag", openNetlink<NETLINK_SOCK_DIAG>},
};

}  // namespace

std::span<const Try> netlinkTries() {
  return kTries;
}

}  // namespace hostile
