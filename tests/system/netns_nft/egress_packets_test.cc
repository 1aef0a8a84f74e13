// Real packets against the rulesets of egress namespaces: what an egress daemon may send, and what
// may come to it. Each claim with its positive control.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/system/netns_nft/lab.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using lab::counted;
using lab::grows;
using lab::kNever;
using lab::kSoon;
using lab::run;

struct Egress {
  NetnsFd netns = lab::makeNetns();
  NetnsFd world = lab::makeNetns();
  NftSocket nft = lab::nftIn(netns);

  explicit Egress(const RouterSpec& spec) {
    EXPECT_TRUE(replaceRuleset(nft, egressRuleset(spec, samples::facts())));
    lab::connect(netns, "uplink", world, "eth0");
    run(netns, "ip addr add 10.0.0.7/24 dev uplink && ip route add default via 10.0.0.1");
    run(world, "ip addr add 10.0.0.1/24 dev eth0");
    for (const char* address :
         {"198.18.1.10", "198.18.1.11", "198.18.1.30", "8.8.8.8", "192.168.7.7"})
      run(world, std::string("ip addr add ") + address + "/32 dev lo");
  }
};

TEST(Packets, ATunnelsEgressReachesItsServersAndNothingElse) {
  Egress egress(samples::galaxyOpenVpn());
  const UniqueFd server = lab::udpSocket(egress.world, "198.18.1.10", 1194);
  const UniqueFd sibling = lab::udpSocket(egress.world, "198.18.1.11", 1194);
  const UniqueFd dns = lab::udpSocket(egress.world, "8.8.8.8", 53);
  const UniqueFd own = lab::udpSocket(egress.netns, "10.0.0.7", 6000);
  lab::udpSend(own, "198.18.1.10", 1194, "hello");
  EXPECT_EQ(lab::udpReceive(server, kSoon), "10.0.0.7 hello");
  lab::udpSend(server, "10.0.0.7", 6000, "answer");
  EXPECT_EQ(lab::udpReceive(own, kSoon), "198.18.1.10 answer");

  lab::udpSend(own, "198.18.1.11", 1194, "wrong protocol");
  lab::udpSend(own, "8.8.8.8", 53, "query");
  EXPECT_EQ(lab::udpReceive(sibling, kNever), "");
  EXPECT_EQ(lab::udpReceive(dns, kNever), "");
  EXPECT_TRUE(grows(egress.nft, "elsewhere", 1));
  lab::udpSend(sibling, "10.0.0.7", 6000, "unasked");
  EXPECT_EQ(lab::udpReceive(own, kNever), "");
  EXPECT_TRUE(grows(egress.nft, "unsolicited", 0));

  const UniqueFd tcp = lab::tcpListener(egress.world, 443);
  EXPECT_EQ(lab::tcpConnect(egress.netns, "198.18.1.11", 443, kSoon), 0);
  EXPECT_NE(lab::tcpConnect(egress.netns, "8.8.8.8", 443, kNever), 0);
  ASSERT_TRUE(deleteRuleset(egress.nft));
  lab::udpSend(own, "8.8.8.8", 53, "query");
  EXPECT_EQ(lab::udpReceive(dns, kSoon), "10.0.0.7 query") << "the control";
}

TEST(Packets, AnEgressSendsFromItsOwnAddressOnly) {
  Egress egress(samples::galaxyOpenVpn());
  run(egress.netns, "ip addr add 10.9.9.9/32 dev lo");
  const UniqueFd server = lab::udpSocket(egress.world, "198.18.1.10", 1194);
  const UniqueFd other = lab::udpSocket(egress.netns, "10.9.9.9", 6000);
  lab::udpSend(other, "198.18.1.10", 1194, "hello");
  EXPECT_EQ(lab::udpReceive(server, kNever), "");
  EXPECT_TRUE(grows(egress.nft, "elsewhere", 0));
}

TEST(Packets, TorsEgressReachesRelaysByTcpAndNoPrivateNetwork) {
  Egress egress(samples::star());
  const UniqueFd relays = lab::tcpListener(egress.world, 9001);
  const UniqueFd dns = lab::udpSocket(egress.world, "8.8.8.8", 53);
  EXPECT_EQ(lab::tcpConnect(egress.netns, "198.18.1.10", 9001, kSoon), 0);
  EXPECT_EQ(lab::tcpConnect(egress.netns, "8.8.8.8", 9001, kSoon), 0);
  EXPECT_NE(lab::tcpConnect(egress.netns, "192.168.7.7", 9001, kNever), 0);
  EXPECT_NE(lab::tcpConnect(egress.netns, "10.0.0.1", 9001, kNever), 0) << "the gateway itself";
  EXPECT_TRUE(grows(egress.nft, "elsewhere", 1)) << "a packet for each at least";
  const std::uint64_t before = counted(egress.nft, "elsewhere");
  const UniqueFd own = lab::udpSocket(egress.netns, "10.0.0.7", 6000);
  lab::udpSend(own, "8.8.8.8", 53, "query");
  EXPECT_EQ(lab::udpReceive(dns, kNever), "");
  EXPECT_TRUE(grows(egress.nft, "elsewhere", before));
  EXPECT_NE(lab::tryRun(egress.world, "ping -c1 -W1 10.0.0.7").status, 0);
}

TEST(Packets, AnEgressAsksForItsGatewayAndAnswersForItselfAndNoMore) {
  Egress egress(samples::star());
  run(egress.netns, "ip addr add 10.0.0.9/32 dev uplink");
  EXPECT_EQ(lab::tryRun(egress.world, "arping -c1 -w2 -I eth0 10.0.0.7").status, 0);
  EXPECT_NE(lab::tryRun(egress.world, "arping -c1 -w1 -I eth0 10.0.0.9").status, 0);
  EXPECT_TRUE(grows(egress.nft, "arp", 0)) << "the answer for 10.0.0.9";
  const std::uint64_t before = counted(egress.nft, "arp");
  // A relay's address, so that the packet itself may leave, but on the uplink's own link.
  run(egress.netns, "ip route add 198.18.9.9/32 dev uplink");
  EXPECT_NE(lab::tcpConnect(egress.netns, "198.18.9.9", 9001, kNever), 0);
  EXPECT_TRUE(grows(egress.nft, "arp", before)) << "the request for another than the gateway";
  const UniqueFd relays = lab::tcpListener(egress.world, 9001);
  EXPECT_EQ(lab::tcpConnect(egress.netns, "198.18.1.10", 9001, kSoon), 0) << "by its gateway";

  ASSERT_TRUE(deleteRuleset(egress.nft));
  EXPECT_EQ(lab::tryRun(egress.world, "arping -c1 -w2 -I eth0 10.0.0.9").status, 0)
      << "the control: nothing but the rules was in the way";
}

TEST(Packets, ASocks5EgressReachesItsServerOnly) {
  Egress egress(samples::galaxySocks5());
  const UniqueFd server = lab::tcpListener(egress.world, 1080);
  EXPECT_EQ(lab::tcpConnect(egress.netns, "198.18.1.30", 1080, kSoon), 0);
  EXPECT_NE(lab::tcpConnect(egress.netns, "198.18.1.10", 1080, kNever), 0);
  EXPECT_TRUE(grows(egress.nft, "elsewhere", 0));
}

}  // namespace
}  // namespace orrery
