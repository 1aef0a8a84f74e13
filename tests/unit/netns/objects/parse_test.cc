// The parsers of netlink replies on good, cut and noisy bytes.
#include <gtest/gtest.h>
#include <linux/fib_rules.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <random>

#include "netns/observe/snapshot.h"
#include "netns/observe/sockets.h"

namespace orrery {
namespace {

using Buffer = std::vector<std::byte>;

Buffer payloadOf(NlMessage message) {
  const Bytes bytes = message.seal(0).value().subspan(sizeof(nlmsghdr));
  return {bytes.begin(), bytes.end()};
}

Buffer vethPort() {
  ifinfomsg head{};
  head.ifi_index = 5;
  head.ifi_flags = IFF_UP;
  NlMessage message("", RTM_NEWLINK, 0, head);
  message.putString(IFLA_IFNAME, "v0").putU32(IFLA_MTU, 1400).putU32(IFLA_MASTER, 2);
  message.putMac(IFLA_ADDRESS, Mac{{2, 0, 0, 0, 0, 1}}).putU32(IFLA_LINK, 7);
  message.putU32(IFLA_LINK_NETNSID, 3).putString(IFLA_PARENT_DEV_NAME, "0000:02:01.0");
  const std::uint64_t stats[24] = {1, 2, 3, 4, 5, 6, 7, 8};
  message.put(IFLA_STATS64, stats, sizeof stats);
  message.beginNest(IFLA_LINKINFO).putString(IFLA_INFO_KIND, "veth");
  message.putString(IFLA_INFO_SLAVE_KIND, "bridge").beginNest(IFLA_INFO_SLAVE_DATA);
  message.putU8(IFLA_BRPORT_ISOLATED, 1).endNest().endNest();
  return payloadOf(std::move(message));
}

TEST(ParseLink, AllFields) {
  const Buffer bytes = vethPort();
  const Link link = parseLink(bytes).value();
  EXPECT_EQ(link.index, 5);
  EXPECT_EQ(link.name, "v0");
  EXPECT_EQ(link.kind, "veth");
  EXPECT_EQ(link.mac, (Mac{{2, 0, 0, 0, 0, 1}}));
  EXPECT_FALSE(link.permanentMac);
  EXPECT_EQ(link.mtu, 1400u);
  EXPECT_TRUE(link.up);
  EXPECT_FALSE(link.carrier);
  EXPECT_EQ(link.master, 2);
  EXPECT_EQ(link.peerIndex, 7);
  EXPECT_EQ(link.peerNsid, 3);
  EXPECT_EQ(link.isolated, true);
  EXPECT_EQ(link.parentDevice, "0000:02:01.0");
  EXPECT_EQ(link.counters.rxPackets, 1u);
  EXPECT_EQ(link.counters.txPackets, 2u);
  EXPECT_EQ(link.counters.rxBytes, 3u);
  EXPECT_EQ(link.counters.txBytes, 4u);
  EXPECT_EQ(link.counters.rxDropped, 7u);
  EXPECT_EQ(link.counters.txDropped, 8u);
}

TEST(Parse, NamelessAndForeignAreRefused) {
  EXPECT_EQ(parseLink(payloadOf(NlMessage("", RTM_NEWLINK, 0, ifinfomsg{}))).error().err, EBADMSG);
  rtmsg six{};
  six.rtm_family = AF_INET6;
  EXPECT_EQ(parseRoute(payloadOf(NlMessage("", RTM_NEWROUTE, 0, six))).error().err, EBADMSG);
  rtmsg wide{};
  wide.rtm_family = AF_INET;
  wide.rtm_dst_len = 33;
  EXPECT_EQ(parseRoute(payloadOf(NlMessage("", RTM_NEWROUTE, 0, wide))).error().err, EBADMSG);
  ifaddrmsg none{};
  none.ifa_family = AF_INET;
  EXPECT_EQ(parseAddress(payloadOf(NlMessage("", RTM_NEWADDR, 0, none))).error().err, EBADMSG);
  ndmsg neighbour{};
  neighbour.ndm_family = AF_INET;
  EXPECT_EQ(parseNeighbour(payloadOf(NlMessage("", RTM_NEWNEIGH, 0, neighbour))).error().err,
            EBADMSG);
}

TEST(ParseRoute, TableAttributeBeatsTheByte) {
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_table = 252;
  head.rtm_type = RTN_LOCAL;
  const Buffer bytes = payloadOf(NlMessage("", RTM_NEWROUTE, 0, head).putU32(RTA_TABLE, 1000));
  EXPECT_EQ(parseRoute(bytes).value().table, 1000u);
  EXPECT_EQ(parseRoute(bytes).value().type, RouteType::local);
  EXPECT_EQ(parseRoute(payloadOf(NlMessage("", RTM_NEWROUTE, 0, head))).value().table, 252u);
}

TEST(ParseSocket, StatesAndAddresses) {
  inet_diag_msg m{};
  m.idiag_family = AF_INET;
  m.idiag_state = 10;
  m.id.idiag_sport = 0x5023;  // 9040 in network byte order
  m.id.idiag_src[0] = 0x0100000a;
  Buffer bytes(sizeof m);
  std::memcpy(bytes.data(), &m, sizeof m);
  const SocketInfo s = parseSocket(SocketProtocol::tcp, bytes).value();
  EXPECT_EQ(s.state, "LISTEN");
  EXPECT_EQ(s.localAddress, "10.0.0.1");
  EXPECT_EQ(s.localPort, 9040);
  m.idiag_state = 200;
  std::memcpy(bytes.data(), &m, sizeof m);
  EXPECT_EQ(parseSocket(SocketProtocol::tcp, bytes).value().state, "?");
  bytes.pop_back();
  EXPECT_EQ(parseSocket(SocketProtocol::tcp, bytes).error().err, EBADMSG);
}

TEST(Parse, CutAndNoisyBytesDoNoHarm) {
  const Buffer sample = vethPort();
  for (std::size_t cut = 0; cut <= sample.size(); ++cut) (void)parseLink(Bytes(sample).first(cut));
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    Buffer noisy = sample;
    for (int k = 0; k < 4; ++k)
      noisy[random() % noisy.size()] = static_cast<std::byte>(random() % 256);
    noisy[0] = static_cast<std::byte>(i % 2 == 0 ? AF_INET : random() % 256);
    const Bytes bytes = Bytes(noisy).first(random() % (noisy.size() + 1));
    (void)parseLink(bytes);
    (void)parseAddress(bytes);
    (void)parseRoute(bytes);
    (void)parseRule(bytes);
    (void)parseNeighbour(bytes);
    (void)parseSocket(SocketProtocol::udp, bytes);
  }
}

}  // namespace
}  // namespace orrery
