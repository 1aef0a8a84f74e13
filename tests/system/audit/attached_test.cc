// What hangs on a namespace beside links and rules: each sort is made by hand, and seen.
#include "runtime/audit/attached.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "netns/namespace/netns.h"
#include "tests/system/netns_fixture.h"

namespace orrery::audit {
namespace {

using namespace test;

// A bridge "br" with a port "port", whose other end is "client" in a namespace of its own.
class Attached : public testing::Test {
 protected:
  Attached() {
    for (Place* place : {&here_, &client_})
      must(setSysctls(place->netns, {{"ipv6/conf/all/disable_ipv6", "1"},
                                     {"ipv6/conf/default/disable_ipv6", "1"}}));
    must(createBridge(here_.rtnl, ifName("br"), mac("02:00:00:00:00:01"), 1500, true));
    VethEnd port, peer;
    port.name = ifName("port");
    port.mac = mac("fe:00:00:00:00:02");
    port.bridge = ifName("br");
    port.isolated = port.up = true;
    peer.name = ifName("client");
    peer.mac = mac("02:00:00:00:00:02");
    peer.netns = &client_.netns;
    must(createVeth(here_.rtnl, port, peer, 1500));
  }
  AttachedSeen look() { return must(observeAttached(here_.rtnl)); }
  int index(const char* link) { return here_.link(link).index; }

  Place here_, client_;
};

TEST_F(Attached, APlainNamespaceHasNothing) {
  const AttachedSeen seen = look();
  EXPECT_TRUE(seen.traffic.filters.empty());
  EXPECT_TRUE(seen.traffic.programs.empty());
  for (const Qdisc& qdisc : seen.traffic.qdiscs) EXPECT_TRUE(isPlainQueue(qdisc)) << qdisc.kind;
  EXPECT_TRUE(seen.proxies.empty());
  EXPECT_TRUE(seen.sockets.empty());
  EXPECT_TRUE(seen.ipv6Routes.empty());
  for (const Membership& each : seen.memberships) EXPECT_EQ(toString(each.group), "224.0.0.1");
  EXPECT_THAT(seen.forwarding,
              testing::IsSupersetOf({ForwardingEntry{index("port"), mac("02:00:00:00:00:02")},
                                     ForwardingEntry{index("port"), mac("fe:00:00:00:00:02")}}));
}

tcmsg tcHeader(int index, std::uint32_t parent, std::uint32_t handle) {
  tcmsg head{};
  head.tcm_ifindex = index;
  head.tcm_parent = parent;
  head.tcm_handle = handle;
  return head;
}

TEST_F(Attached, AFilterAndItsQueueAreSeen) {
  must(here_.rtnl.request(NlMessage("add clsact", RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL,
                                    tcHeader(index("port"), TC_H_CLSACT, 0xffff0000))
                              .putString(TCA_KIND, "clsact")));
  const std::uint32_t parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
  tcmsg head = tcHeader(index("port"), parent, 0);
  head.tcm_info = TC_H_MAKE(7u << 16, htons(ETH_P_ALL));
  const std::uint64_t pass = 0x0000000000000006;  // BPF_RET | BPF_K, 0
  must(here_.rtnl.request(NlMessage("add filter", RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, head)
                              .putString(TCA_KIND, "bpf")
                              .beginNest(TCA_OPTIONS)
                              .putU32(8 /* TCA_BPF_FLAGS */, 1)
                              .putU16(4 /* TCA_BPF_OPS_LEN */, 1)
                              .put(5 /* TCA_BPF_OPS */, &pass, sizeof pass)
                              .endNest()));
  const TrafficControl seen = look().traffic;
  EXPECT_THAT(seen.filters, testing::ElementsAre(TcFilter{index("port"), "bpf", parent, 7}));
  EXPECT_TRUE(std::any_of(seen.qdiscs.begin(), seen.qdiscs.end(), [&](const Qdisc& qdisc) {
    return qdisc.index == index("port") && qdisc.kind == "clsact" && !isPlainQueue(qdisc);
  }));
}

// r0 = `result`, exit.
UniqueFd program(bpf_prog_type type, std::uint32_t result) {
  const std::uint64_t code[] = {std::uint64_t{result} << 32 | 0xb7, 0x95};
  const char license[] = "GPL";
  bpf_attr load{};
  load.prog_type = type;
  load.insn_cnt = 2;
  load.insns = reinterpret_cast<std::uint64_t>(code);
  load.license = reinterpret_cast<std::uint64_t>(license);
  return UniqueFd(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
}

TEST_F(Attached, AnXdpProgramIsSeen) {
  const UniqueFd pass = program(BPF_PROG_TYPE_XDP, XDP_PASS);
  ASSERT_TRUE(pass) << std::strerror(errno);
  ifinfomsg head{};
  head.ifi_index = index("port");
  must(here_.rtnl.request(NlMessage("attach XDP", RTM_SETLINK, 0, head)
                              .beginNest(IFLA_XDP, true)
                              .putU32(IFLA_XDP_FD, static_cast<std::uint32_t>(pass.get()))
                              .putU32(IFLA_XDP_FLAGS, XDP_FLAGS_SKB_MODE)
                              .endNest()));
  EXPECT_THAT(look().traffic.programs, testing::ElementsAre(AttachedBpf{index("port"), "XDP"}));
}

// TCX, Linux 6.6: by a descriptor, for as long as somebody has it. No message tells of it.
UniqueFd attachTcx(const NetnsFd& netns, const UniqueFd& what, int link, std::uint32_t hook) {
  return must(inNetns(netns, [&]() -> Result<UniqueFd> {
    bpf_attr create{};
    create.link_create.prog_fd = static_cast<std::uint32_t>(what.get());
    create.link_create.target_ifindex = static_cast<std::uint32_t>(link);
    create.link_create.attach_type = hook;
    const long fd = ::syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof create);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno == EINVAL) return UniqueFd();  // a kernel that has none
    return sysError(errno, "attach a program by TCX");
  }));
}

TEST_F(Attached, ATcxProgramIsSeen) {
  constexpr std::uint32_t kIngress = 46, kEgress = 47;          // enum bpf_attach_type
  const UniqueFd next = program(BPF_PROG_TYPE_SCHED_CLS, ~0u);  // TCX_NEXT
  ASSERT_TRUE(next) << std::strerror(errno);
  UniqueFd ingress = attachTcx(here_.netns, next, index("port"), kIngress);
  utsname kernel{};
  ASSERT_EQ(::uname(&kernel), 0);
  int major = 0, minor = 0;
  ASSERT_EQ(std::sscanf(kernel.release, "%d.%d", &major, &minor), 2);
  ASSERT_EQ(static_cast<bool>(ingress), std::pair(major, minor) >= std::pair(6, 6))
      << kernel.release << ": a kernel has TCX, or nobody can attach by it";
  if (!ingress) {
    EXPECT_TRUE(look().traffic.programs.empty());
    return;
  }
  const UniqueFd egress = attachTcx(here_.netns, next, index("br"), kEgress);
  ASSERT_TRUE(egress);
  const AttachedBpf atPort{index("port"), "tcx ingress"}, atBridge{index("br"), "tcx egress"};
  EXPECT_THAT(look().traffic.programs, testing::UnorderedElementsAre(atPort, atBridge));
  ingress.reset();
  EXPECT_THAT(look().traffic.programs, testing::ElementsAre(atBridge));
}

TEST_F(Attached, ForeignEntriesAreSeen) {
  must(setPortOwner(here_.rtnl, ifName("port"), mac("02:00:00:00:00:66")));
  ndmsg head{};
  head.ndm_family = AF_INET;
  head.ndm_ifindex = index("br");
  head.ndm_flags = NTF_PROXY;
  must(here_.rtnl.request(
      NlMessage("add proxy", RTM_NEWNEIGH, NLM_F_CREATE, head).putIpv4(NDA_DST, ip("10.0.0.77"))));
  const AttachedSeen seen = look();
  EXPECT_THAT(seen.forwarding,
              testing::Contains(ForwardingEntry{index("port"), mac("02:00:00:00:00:66")}));
  EXPECT_THAT(seen.proxies, testing::ElementsAre(ProxyNeighbour{index("br"), ip("10.0.0.77")}));
}

const SocketSeen* socketOf(const AttachedSeen& seen, const std::string& protocol) {
  for (const SocketSeen& socket : seen.sockets)
    if (socket.protocol == protocol) return &socket;
  return nullptr;
}

TEST_F(Attached, SocketsAndMembershipsAreSeen) {
  must(addAddress(here_.rtnl, ifName("br"), prefix("10.0.0.1/24")));
  const UniqueFd raw = must(socketIn(here_.netns, AF_INET, SOCK_RAW, IPPROTO_ICMP));
  const UniqueFd packet = must(socketIn(here_.netns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
  const UniqueFd udp = must(socketIn(here_.netns, AF_INET, SOCK_DGRAM, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(ip("10.0.0.1").value);
  ASSERT_EQ(::bind(udp.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  ip_mreqn group{};
  group.imr_multiaddr.s_addr = htonl(ip("224.0.0.251").value);
  group.imr_ifindex = index("br");
  ASSERT_EQ(::setsockopt(udp.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), 0);

  const AttachedSeen seen = look();
  for (const char* protocol : {"raw", "packet", "udp"}) {
    const SocketSeen* socket = socketOf(seen, protocol);
    ASSERT_NE(socket, nullptr) << protocol;
    EXPECT_EQ(socket->uid, ::getuid());
    if (protocol != std::string("udp")) {
      EXPECT_EQ(socket->holder, "system_audit") << protocol;
    }
  }
  EXPECT_THAT(seen.memberships, testing::Contains(Membership{"br", ip("224.0.0.251")}));
}

}  // namespace
}  // namespace orrery::audit
