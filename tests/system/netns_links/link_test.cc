#include <linux/rtnetlink.h>

#include <algorithm>
#include <thread>

#include "netns/link/port_state.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

VethEnd end(const std::string& name, const std::string& address) {
  return {.name = ifName(name), .mac = mac(address)};
}

std::vector<std::string> namesSeen(RtnlMonitor& monitor) {
  std::vector<std::string> names;
  for (const RtnlEvent& event : must(monitor.read())) {
    if (const auto* link = std::get_if<LinkChanged>(&event)) names.push_back(link->name);
    if (const auto* link = std::get_if<LinkRemoved>(&event)) names.push_back("-" + link->name);
  }
  return names;
}

TEST(Links, VethIsBornInPlaceWithFinalNames) {
  Place router, client;
  must(createBridge(router.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1400, true));
  RtnlMonitor here = must(RtnlMonitor::open(router.netns));
  RtnlMonitor there = must(RtnlMonitor::open(client.netns));
  const NlCounters before = router.rtnl.counters();

  VethEnd port = end("v0", "02:00:00:00:00:01");
  port.bridge = ifName("br0");
  port.up = true;
  VethEnd peer = end("uplink", "02:00:00:00:00:02");
  peer.netns = &client.netns;
  peer.up = true;
  peer.rtnl = &client.rtnl;
  must(createVeth(router.rtnl, port, peer, 1400));

  EXPECT_EQ(client.rtnl.counters().requests, 1u) << "up";
  EXPECT_EQ(router.rtnl.counters().requests - before.requests, 1u);
  EXPECT_EQ(router.rtnl.counters().sends - before.sends, 1u);
  for (const std::string& name : namesSeen(here))
    EXPECT_TRUE(name == "v0" || name == "br0") << name;
  const auto peers = namesSeen(there);
  EXPECT_FALSE(peers.empty());
  for (const std::string& name : peers) EXPECT_EQ(name, "uplink");

  const Link v0 = router.link("v0");
  const Link uplink = client.link("uplink");
  EXPECT_EQ(v0.kind, "veth");
  EXPECT_EQ(v0.mac, mac("02:00:00:00:00:01"));
  EXPECT_EQ(uplink.mac, mac("02:00:00:00:00:02"));
  EXPECT_EQ(v0.mtu, 1400u);
  EXPECT_EQ(uplink.mtu, 1400u);
  EXPECT_TRUE(v0.up && v0.carrier && uplink.up && uplink.carrier);
  EXPECT_EQ(v0.master, router.link("br0").index);
  EXPECT_FALSE(v0.isolated.value_or(true));
  EXPECT_EQ(v0.peerIndex, uplink.index);
  EXPECT_TRUE(v0.peerNsid.has_value());
  EXPECT_FALSE(uplink.master);
}

TEST(Links, PeerMayBeABridgePortToo) {
  Place a, b;
  must(createBridge(b.rtnl, ifName("brb"), mac("00:00:10:00:00:02"), 1500, true));
  VethEnd peer = end("p1", "02:00:00:00:00:02");
  peer.netns = &b.netns;
  peer.bridge = ifName("brb");
  peer.isolated = true;
  peer.up = true;
  must(createVeth(a.rtnl, end("p0", "02:00:00:00:00:01"), peer, 1500));
  EXPECT_EQ(b.link("p1").master, b.link("brb").index);
  EXPECT_TRUE(b.link("p1").isolated.value_or(false));
  EXPECT_TRUE(b.link("p1").up);
  EXPECT_FALSE(a.link("p0").up);
}

TEST(Links, HalfAPairIsNone) {
  Place a, b;
  VethEnd peer = end("p1", "02:00:00:00:00:02");
  peer.netns = &b.netns;
  peer.bridge = ifName("nobridge");
  const Status s = createVeth(a.rtnl, end("p0", "02:00:00:00:00:01"), peer, 1500);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().err, ENODEV);
  EXPECT_TRUE(s.error().also.empty());
  EXPECT_FALSE(a.has("p0"));
  EXPECT_FALSE(b.has("p1"));
}

TEST(Links, TakenNamesAreRefusedAndLeftAlone) {
  Place a, b;
  VethEnd peer = end("p1", "02:00:00:00:00:02");
  peer.netns = &b.netns;
  must(createVeth(a.rtnl, end("p0", "02:00:00:00:00:01"), peer, 1500));
  const int index = a.link("p0").index;
  EXPECT_EQ(createVeth(a.rtnl, end("p0", "02:00:00:00:00:03"), peer, 1500).error().err, EEXIST);
  EXPECT_EQ(createVeth(a.rtnl, end("other", "02:00:00:00:00:03"), peer, 1500).error().err, EEXIST);
  EXPECT_EQ(a.link("p0").index, index);
  EXPECT_EQ(a.link("p0").mac, mac("02:00:00:00:00:01"));
  EXPECT_FALSE(a.has("other"));
  VethEnd alone = end("p9", "02:00:00:00:00:04");
  alone.isolated = true;
  EXPECT_EQ(createVeth(a.rtnl, alone, peer, 1500).error().err, EINVAL);
}

TEST(Links, PortOfADyingPeerGivesWay) {
  Place router;
  for (int round = 0; round < 20; ++round) {
    Place client;  // ends here, its links some time later
    VethEnd peer = end("uplink", "02:00:00:00:00:02");
    peer.netns = &client.netns;
    must(createVeth(router.rtnl, end("v0", "02:00:00:00:00:01"), peer, 1500));
    EXPECT_EQ(router.link("v0").peerIndex, client.link("uplink").index);
  }
}

TEST(Links, DeleteIsIdempotentAndTakesThePeer) {
  Place a, b;
  VethEnd peer = end("p1", "02:00:00:00:00:02");
  peer.netns = &b.netns;
  must(createVeth(a.rtnl, end("p0", "02:00:00:00:00:01"), peer, 1500));
  must(deleteLink(a.rtnl, ifName("p0")));
  EXPECT_FALSE(a.has("p0"));
  EXPECT_FALSE(b.has("p1"));
  must(deleteLink(a.rtnl, ifName("p0")));
}

TEST(Links, WhatALinkCanBeTold) {
  Place a;
  must(createVeth(a.rtnl, end("p0", "02:00:00:00:00:01"), end("p1", "02:00:00:00:00:02"), 1500));
  EXPECT_FALSE(a.link("p0").peerNsid);
  must(setLinkUp(a.rtnl, ifName("p0")));
  EXPECT_TRUE(a.link("p0").up);
  EXPECT_FALSE(a.link("p0").carrier) << "the other end is down";
  must(setLinkUp(a.rtnl, ifName("p1")));
  EXPECT_TRUE(a.link("p0").carrier);
  must(setLinkDown(a.rtnl, ifName("p0")));
  EXPECT_FALSE(a.link("p0").up);
  must(setLinkMtu(a.rtnl, ifName("p0"), 1280));
  must(setLinkMac(a.rtnl, ifName("p0"), mac("02:00:00:00:00:09")));
  must(setLinkName(a.rtnl, ifName("p0"), ifName("renamed")));
  const Link link = a.link("renamed");
  EXPECT_EQ(link.mtu, 1280u);
  EXPECT_EQ(link.mac, mac("02:00:00:00:00:09"));
  EXPECT_FALSE(a.has("p0"));
  EXPECT_EQ(setLinkName(a.rtnl, ifName("renamed"), ifName("p1")).error().err, EEXIST);
  EXPECT_EQ(setLinkUp(a.rtnl, ifName("absent")).error().err, ENODEV);
  EXPECT_EQ(setLinkName(a.rtnl, ifName("absent"), ifName("x")).error().err, ENODEV);
  const Status multicast = setLinkMac(a.rtnl, ifName("p1"), mac("01:00:00:00:00:09"));
  EXPECT_EQ(multicast.error().err, EADDRNOTAVAIL) << multicast.error().message;
}

TEST(Links, MoveArrivesDownUnderTheNewName) {
  Place a, b;
  must(createVeth(a.rtnl, end("p0", "02:00:00:00:00:01"), end("p1", "02:00:00:00:00:02"), 1500));
  must(setLinkUp(a.rtnl, ifName("p0")));
  must(moveLink(a.rtnl, ifName("p0"), b.netns, ifName("tun0")));
  EXPECT_FALSE(a.has("p0"));
  EXPECT_FALSE(b.has("p0"));
  EXPECT_FALSE(b.link("tun0").up);
  EXPECT_EQ(moveLink(a.rtnl, ifName("p0"), b.netns).error().err, ENODEV);
  EXPECT_EQ(moveLink(a.rtnl, ifName("p1"), b.netns, ifName("tun0")).error().err, EEXIST);
  must(moveLink(a.rtnl, ifName("p1"), b.netns));
  EXPECT_TRUE(b.has("p1"));
}

TEST(Links, BatchNamesTheRequestThatFailed) {
  Place a;
  ifinfomsg head{};
  std::vector<NlMessage> batch;
  for (const char* name : {"lo", "nosuch", "lo"}) {
    batch.push_back(NlMessage(fmt::format("set the MTU of {}", name), RTM_SETLINK, 0, head)
                        .putString(IFLA_IFNAME, name)
                        .putU32(IFLA_MTU, batch.size() == 2 ? 9000 : 8000));
  }
  const NlCounters before = a.rtnl.counters();
  const Status s = a.rtnl.requestAll(std::move(batch));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().err, ENODEV);
  EXPECT_EQ(s.error().message.find("set the MTU of nosuch: "), 0u) << s.error().message;
  EXPECT_EQ(a.link("lo").mtu, 9000u);
  EXPECT_GE(before.sends + 1, a.rtnl.counters().sends - 1) << "one sendmsg for the batch";
}

TEST(Links, ManyLinksInOneDump) {
  Place a;
  constexpr int kPairs = 60;
  for (int i = 0; i < kPairs; ++i) {
    must(createVeth(a.rtnl, end(fmt::format("a{}", i), fmt::format("02:00:00:00:01:{:02x}", i)),
                    end(fmt::format("b{}", i), fmt::format("02:00:00:00:02:{:02x}", i)), 1500));
  }
  const auto links = must(listLinks(a.rtnl));
  EXPECT_EQ(links.size(), 2u * kPairs + 1);
  EXPECT_TRUE(std::ranges::any_of(links, [](const Link& l) { return l.name == "b59"; }));
}

TEST(Ports, ForwardingIsAwaitedByTheKernelsWord) {
  using std::chrono::steady_clock;
  Place router, client;
  must(createBridge(router.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1400, true));
  VethEnd port = end("v0", "02:00:00:00:00:01");
  port.bridge = ifName("br0");
  port.up = true;
  VethEnd peer = end("eth0", "02:00:00:00:00:02");
  peer.netns = &client.netns;
  must(createVeth(router.rtnl, port, peer, 1400));
  const Status early = awaitForwarding(router.rtnl, ifName("v0"), steady_clock::now());
  ASSERT_FALSE(early) << "without a carrier no port forwards";
  EXPECT_EQ(early.error().err, ETIMEDOUT);

  // It comes while it is waited for.
  std::thread cable([&] { must(setLinkUp(client.rtnl, ifName("eth0"))); });
  must(awaitForwarding(router.rtnl, ifName("v0"), steady_clock::now() + std::chrono::seconds(30)));
  cable.join();
  EXPECT_TRUE(must(isForwarding(router.rtnl, ifName("v0"))));
  must(awaitRunning(client.rtnl, ifName("eth0"), steady_clock::now() + std::chrono::seconds(30)));
  must(setLinkDown(client.rtnl, ifName("eth0")));
  EXPECT_EQ(awaitRunning(client.rtnl, ifName("eth0"), steady_clock::now()).error().err, ETIMEDOUT);
}

}  // namespace
}  // namespace orrery::test
