#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <chrono>

#include "netns/link/port_state.h"
#include "netns/neigh/neigh.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

TEST(Bridge, ForwardsAtOnceAndNothingSpecial) {
  Place a;
  must(createBridge(a.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1450));
  const Link br = a.link("br0");
  EXPECT_EQ(br.kind, "bridge");
  EXPECT_EQ(br.mac, mac("00:00:10:00:00:01"));
  EXPECT_EQ(br.mtu, 1450u);
  EXPECT_FALSE(br.up);
  ifinfomsg head{};
  bool seen = false;
  must(a.rtnl.query(NlMessage("look", RTM_GETLINK, 0, head).putString(IFLA_IFNAME, "br0"),
                    [&](const NlReply& reply) -> Status {
                      const auto data = Attributes(afterHeader(reply.payload, sizeof head))
                                            .nested(IFLA_LINKINFO)
                                            .nested(IFLA_INFO_DATA);
                      EXPECT_EQ(data.value<std::uint32_t>(IFLA_BR_FORWARD_DELAY), 0u);
                      EXPECT_EQ(data.value<std::uint32_t>(IFLA_BR_STP_STATE), 0u);
                      EXPECT_EQ(data.value<std::uint8_t>(IFLA_BR_VLAN_FILTERING).value_or(0), 0);
                      EXPECT_EQ(data.value<std::uint8_t>(IFLA_BR_MCAST_SNOOPING), 0);
                      // To the hooks with them, not past.
                      EXPECT_EQ(data.value<std::uint16_t>(IFLA_BR_GROUP_FWD_MASK), 0xfff8);
                      const auto options = data.value<br_boolopt_multi>(IFLA_BR_MULTI_BOOLOPT);
                      EXPECT_TRUE(options && (options->optval & 1u << BR_BOOLOPT_NO_LL_LEARN) != 0);
                      seen = true;
                      return {};
                    }));
  EXPECT_TRUE(seen);
  const Status again = createBridge(a.rtnl, ifName("br0"), mac("00:00:10:00:00:02"), 1450);
  EXPECT_EQ(again.error().err, EEXIST);
  EXPECT_EQ(again.error().message, "make bridge 'br0': File exists");
}

// Routes by it are ignored until then: whoever sends by its first port must wait for it.
TEST(Bridge, RunsFromItsFirstPortOn) {
  Place router, client;
  const IfName bridge = ifName("br0");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  RtnlMonitor monitor = must(RtnlMonitor::openForLinks(router.netns));
  must(createBridge(router.rtnl, bridge, mac("00:00:10:00:00:01"), 1500, true));
  EXPECT_FALSE(must(isRunning(router.rtnl, ifName("nobody"))));
  while (must(isRunning(router.rtnl, bridge))) {  // the kernel has not yet looked at it
    ASSERT_TRUE(must(monitor.await(deadline)));
    must(monitor.read());
  }
  must(createVeth(
      router.rtnl,
      {.name = ifName("p0"), .mac = mac("02:00:00:00:00:01"), .bridge = bridge, .up = true},
      {.name = ifName("p1"),
       .mac = mac("02:00:00:00:00:02"),
       .netns = &client.netns,
       .up = true,
       .rtnl = &client.rtnl},
      1500));
  must(awaitRunning(router.rtnl, bridge, deadline));
}

TEST(Bridge, PortSettingsNeedAPort) {
  Place a;
  must(createBridge(a.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1500));
  must(createVeth(a.rtnl, {.name = ifName("p0"), .mac = mac("02:00:00:00:00:01")},
                  {.name = ifName("p1"), .mac = mac("02:00:00:00:00:02")}, 1500));
  EXPECT_FALSE(setBridgePort(a.rtnl, ifName("p0"), {.isolated = true}));
  must(setLinkMaster(a.rtnl, ifName("p0"), ifName("br0")));
  must(setBridgePort(a.rtnl, ifName("p0"), {.isolated = true, .unicastFlood = false}));
  EXPECT_TRUE(a.link("p0").isolated.value_or(false));
  must(setLinkMaster(a.rtnl, ifName("p0"), std::nullopt));
  EXPECT_FALSE(a.link("p0").master);
  EXPECT_EQ(setLinkMaster(a.rtnl, ifName("p0"), ifName("nosuch")).error().err, ENODEV);
}

// A bridge with two isolated clients and an uplink that is not, each in a namespace. ARP entries
// are written, so that the first packet already is on the wire and order is what it seems.
class Isolation : public ::testing::Test {
 protected:
  void SetUp() override {
    must(createBridge(hub_.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1500, true));
    for (int i = 0; i < 3; ++i) {
      VethEnd port{.name = ifName(fmt::format("v{}", i)),
                   .mac = mac(fmt::format("02:00:00:00:01:0{}", i)),
                   .bridge = ifName("br0"),
                   .isolated = i < 2,
                   .up = true};
      VethEnd peer{.name = ifName("eth0"),
                   .mac = mac(fmt::format("02:00:00:00:02:0{}", i)),
                   .netns = &ends_[i].netns,
                   .up = true};
      must(createVeth(hub_.rtnl, port, peer, 1500));
      must(addAddress(ends_[i].rtnl, ifName("eth0"), prefix(fmt::format("10.0.0.1{}/24", i))));
      for (int j = 0; j < 3; ++j) {
        if (j == i) continue;
        must(setPermanentNeighbour(ends_[i].rtnl, ifName("eth0"), ip(fmt::format("10.0.0.1{}", j)),
                                   mac(fmt::format("02:00:00:00:02:0{}", j))));
      }
    }
  }
  Place hub_;
  Place ends_[3];
};

TEST_F(Isolation, IsolatedPortsTalkToTheUplinkAlone) {
  EXPECT_TRUE(hub_.link("v0").isolated.value_or(false));
  EXPECT_TRUE(hub_.link("v1").isolated.value_or(false));
  EXPECT_FALSE(hub_.link("v2").isolated.value_or(true));
  EXPECT_TRUE(hub_.link("v0").up);
  Udp first(ends_[0].netns, "10.0.0.10", 7000);
  Udp second(ends_[1].netns, "10.0.0.11", 7000);
  Udp uplink(ends_[2].netns, "10.0.0.12", 7000);

  ASSERT_TRUE(first.send("to uplink", "10.0.0.12", 7000));
  EXPECT_EQ(uplink.receive(), "to uplink");
  // The neighbour's is sent first; what arrives first is the uplink's.
  ASSERT_TRUE(first.send("to neighbour", "10.0.0.11", 7000));
  ASSERT_TRUE(uplink.send("from uplink", "10.0.0.11", 7000));
  EXPECT_EQ(second.receive(), "from uplink");
  EXPECT_EQ(second.receive(0), "");

  // Positive control: the same packet arrives when one of them is not isolated.
  must(setBridgePort(hub_.rtnl, ifName("v0"), {.isolated = false}));
  ASSERT_TRUE(first.send("to neighbour", "10.0.0.11", 7000));
  EXPECT_EQ(second.receive(), "to neighbour");
}

TEST_F(Isolation, CountersCount) {
  const auto before = hub_.link("v2").counters;
  Udp first(ends_[0].netns, "10.0.0.10", 7000);
  Udp uplink(ends_[2].netns, "10.0.0.12", 7000);
  ASSERT_TRUE(first.send("0123456789", "10.0.0.12", 7000));
  EXPECT_EQ(uplink.receive(), "0123456789");
  const auto after = hub_.link("v2").counters;
  EXPECT_GE(after.txPackets, before.txPackets + 1);
  EXPECT_GE(after.txBytes, before.txBytes + 14 + 20 + 8 + 10);
}

}  // namespace
}  // namespace orrery::test
