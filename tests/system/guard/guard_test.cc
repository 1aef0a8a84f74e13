// The guard at a client's port: what a hostile client sends with forged addresses reaches nobody,
// teaches the bridge nothing, and is counted by kind. Each frame has its positive control: the same
// frame gets through once the rules are out of the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/system/guard/bridge_lan.h"

namespace orrery {
namespace {

using frame::arp;
using frame::ethernet;
using frame::icmp6;
using frame::Ipv6;
using frame::kArp;
using frame::kBroadcast;
using frame::kFin;
using frame::kIpv4;
using frame::kIpv6;
using frame::kRst;
using frame::kSyn;
using frame::tcp;
using frame::udp;
using guardtest::Bytes;
using guardtest::Lan;
using guardtest::Wire;

constexpr int kCopies = 3;

struct Attack {
  std::string name;
  std::string kind;  // under which it is counted
  Bytes bytes;
  bool passesUnguarded = true;
  bool counted = true;
};

Bytes padded(Bytes frame, std::size_t size) {
  frame.resize(size);
  return frame;
}

// Everything that a client might pretend, towards one that trusts it.
std::vector<Attack> attacks(const Lan& lan) {
  const Mac own = lan.hostile.owner.mac, victim = lan.victim.owner.mac;
  const Ipv4 ownIp = lan.hostile.owner.address, victimIp = lan.victim.owner.address;
  const Ipv4 gateway = lan.spec.lan.address.address;
  const Ipv4 any{0}, all{0xffffffff};
  const Mac forged = test::mac("02:00:00:66:66:66");
  const Ipv6 lla = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66};
  const Ipv6 allNodes = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const auto arpFrom = [&](const Mac& ether, const Mac& sender, Ipv4 ip, std::uint16_t op,
                           Ipv4 target) {
    return ethernet(kBroadcast, ether, kArp, arp(op, sender, ip, Mac{}, target));
  };
  const auto ipFrom = [&](const Mac& ether, Ipv4 source) {
    return ethernet(victim, ether, kIpv4,
                    udp({.source = source, .destination = victimIp}, 7, 7, "x"));
  };
  const Bytes offer = udp({.source = gateway, .destination = all}, 67, 68, "offer");
  const Bytes ownOffer = udp({.source = ownIp, .destination = all}, 67, 68, "offer");
  const Bytes ra = icmp6(lla, allNodes, 134, Bytes(12));
  const Bytes na = icmp6(lla, allNodes, 136, Bytes(20));
  std::vector<Attack> list = {
      {"a: ARP for the victim's address", "arp-sender", arpFrom(own, own, victimIp, 1, victimIp)},
      {"a: ARP answer with the victim's address", "arp-sender",
       arpFrom(own, own, victimIp, 2, gateway)},
      {"a: ARP with a forged sender MAC", "arp-sender", arpFrom(own, forged, ownIp, 2, victimIp)},
      {"a: ARP in a forged frame", "spoofed-mac", arpFrom(forged, own, ownIp, 2, victimIp)},
      {"a: ARP probe of a forged sender", "arp-sender", arpFrom(own, forged, any, 1, victimIp)},
      {"b: the gateway's IP", "spoofed-ip", ipFrom(own, gateway)},
      {"b: a stranger's IP", "spoofed-ip", ipFrom(own, test::ip("203.0.113.5"))},
      {"b: no IP, but no DHCP either", "spoofed-ip", ipFrom(own, any)},
      {"c: a forged MAC", "spoofed-mac", ipFrom(forged, ownIp)},
      {"c: the victim's MAC", "spoofed-mac", ipFrom(victim, ownIp), false},
      {"c: the victim's MAC and IP", "spoofed-mac", ipFrom(victim, victimIp), false},
      {"d: gratuitous ARP for the gateway", "arp-gateway", arpFrom(own, own, gateway, 1, gateway)},
      {"d: the same as an answer", "arp-gateway", arpFrom(own, own, gateway, 2, gateway)},
      {"e: DHCP offer as the gateway", "rogue-dhcp", ethernet(kBroadcast, own, kIpv4, offer)},
      {"e: DHCP offer with its own address", "rogue-dhcp",
       ethernet(kBroadcast, own, kIpv4, ownOffer)},
      {"f: router advertisement", "rogue-ra", ethernet(kBroadcast, own, kIpv6, ra)},
      {"f: neighbour advertisement", "ipv6", ethernet(kBroadcast, own, kIpv6, na)},
      {"a recorded route", "ip-options",
       ethernet(victim, own, kIpv4,
                udp({.source = ownIp, .destination = victimIp, .options = {7, 7, 4, 0, 0, 0, 0}}, 7,
                    7, "x"))},
      {"a source route", "ip-options",
       ethernet(victim, own, kIpv4,
                udp({.source = ownIp, .destination = victimIp, .options = {0x83, 7, 4, 9, 9, 9, 9}},
                    7, 7, "x"))},
      {"h: 20 bytes of ARP", "runt", padded(ethernet(victim, own, kArp, {}), 20)},
      {"another protocol", "ethertype", ethernet(victim, own, 0x88b5, Bytes(46))},
      {"BPDU", "link-local", ethernet(test::mac("01:80:c2:00:00:00"), forged, 38, Bytes(38))},
      {"LLDP", "link-local", ethernet(test::mac("01:80:c2:00:00:0e"), forged, 0x88cc, Bytes(46))},
      {"an honest packet to bridges", "link-local",
       ethernet(test::mac("01:80:c2:00:00:03"), own, kIpv4,
                udp({.source = ownIp, .destination = victimIp}, 7, 7, "x"))},
      // The bridge itself keeps these from its hooks.
      {"LACP", "", ethernet(test::mac("01:80:c2:00:00:02"), forged, 0x8809, Bytes(46)), false,
       false},
      {"pause", "", ethernet(test::mac("01:80:c2:00:00:01"), forged, 0x8808, Bytes(46)), false,
       false},
  };
  for (std::size_t size = 14; size <= 20; ++size)
    list.push_back({"h: " + std::to_string(size) + " bytes", "runt",
                    padded(ethernet(victim, own, kIpv4, {}), size)});
  // g: a tagged copy of each. What is for bridges stays that.
  const std::size_t plain = list.size();
  for (std::size_t i = 0; i < plain; ++i) {
    Attack copy = list[i];
    if (!copy.counted || copy.kind == "link-local") continue;
    const Bytes tag = {0x81, 0x00, 0x00, 0x05};
    copy.bytes.insert(copy.bytes.begin() + 12, tag.begin(), tag.end());
    copy.name = "g: tagged, " + copy.name;
    copy.kind = "vlan-tag";
    // Too short for what is behind a tag: skb_vlan_untag() frees it before any hook.
    if (copy.bytes.size() < 20) copy.counted = copy.passesUnguarded = false;
    list.push_back(std::move(copy));
  }
  return list;
}

// An honest frame to the victim: what came before it has been dealt with.
Bytes marker(const Lan& lan) {
  return ethernet(
      lan.victim.owner.mac, lan.hostile.owner.mac, kIpv4,
      udp({.source = lan.hostile.owner.address, .destination = lan.victim.owner.address}, 40000,
          40000, "the end"));
}

TEST(Guard, NoForgedFrameReachesTheVictimOrTeachesTheBridge) {
  Lan lan(true);
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  for (const Attack& attack : attacks(lan)) {
    SCOPED_TRACE(attack.name);
    const auto before = lan.counts()[attack.kind];
    for (int i = 0; i < kCopies; ++i) hostile.send(attack.bytes);
    if (attack.counted) {
      EXPECT_TRUE(lan.reaches(attack.kind, before + kCopies));
    }
    hostile.send(marker(lan));
    EXPECT_EQ(victim.receiveUntil(marker(lan)).size(), 0u);
    if (attack.counted) {
      EXPECT_EQ(lan.counts()[attack.kind], before + kCopies) << "counted once each";
    }
  }
  const auto hostileIndex = lan.router.link("hostile").index;
  for (const auto& [port, mac] : lan.learned()) {
    if (port == hostileIndex) {
      EXPECT_EQ(mac, toString(lan.hostile.owner.mac));
    }
  }
}

TEST(Guard, TheSameFramesGetThroughWithoutIt) {
  Lan lan(true);
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  const Bytes hello =
      ethernet(kBroadcast, lan.victim.owner.mac, kArp,
               arp(1, lan.victim.owner.mac, lan.victim.owner.address, Mac{}, Ipv4{0}));
  ASSERT_TRUE(deleteRuleset(lan.rules));
  for (const Attack& attack : attacks(lan)) {
    SCOPED_TRACE(attack.name);
    // Where the victim is: the attack before may have made the bridge believe otherwise.
    victim.send(hello);
    ASSERT_TRUE(lan.learns("victim", lan.victim.owner.mac));
    for (int i = 0; i < kCopies; ++i) hostile.send(attack.bytes);
    victim.send(hello);
    ASSERT_TRUE(lan.learns("victim", lan.victim.owner.mac));
    hostile.send(marker(lan));
    const std::size_t came = victim.receiveUntil(marker(lan)).size();
    if (attack.passesUnguarded) {
      EXPECT_EQ(came, static_cast<std::size_t>(kCopies));
    }
  }
  std::set<std::string> learned;
  for (const auto& [port, mac] : lan.learned())
    if (port == lan.router.link("hostile").index) learned.insert(mac);
  EXPECT_TRUE(learned.count("02:00:00:66:66:66")) << "the bridge believed the forged address";
}

TEST(Guard, WhatAClientMayDoItCan) {
  Lan lan(true);
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  const Mac own = lan.hostile.owner.mac;
  const Ipv4 ownIp = lan.hostile.owner.address, victimIp = lan.victim.owner.address;
  const std::vector<Bytes> honest = {
      ethernet(kBroadcast, own, kArp, arp(1, own, ownIp, Mac{}, victimIp)),
      ethernet(lan.victim.owner.mac, own, kArp, arp(2, own, ownIp, lan.victim.owner.mac, victimIp)),
      ethernet(kBroadcast, own, kArp, arp(1, own, Ipv4{0}, Mac{}, ownIp)),
      ethernet(kBroadcast, own, kIpv4,
               udp({.source = Ipv4{0}, .destination = Ipv4{0xffffffff}}, 68, 67, "discover")),
      ethernet(lan.victim.owner.mac, own, kIpv4,
               udp({.source = ownIp, .destination = victimIp}, 5000, 80, "hello"))};
  for (const Bytes& frame : honest) hostile.send(frame);
  hostile.send(marker(lan));
  EXPECT_THAT(victim.receiveUntil(marker(lan)), testing::UnorderedElementsAreArray(honest));
}

TEST(Guard, APortThatNobodyIsKnownToHaveIsShut) {
  Lan lan(true);
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  ASSERT_TRUE(removeFromSets(lan.rules, guardEntries(lan.hostile.owner)));
  ASSERT_TRUE(removeFromSets(lan.rules, guardEntries(lan.hostile.owner))) << "once more is fine";
  hostile.send(marker(lan));
  hostile.send(ethernet(kBroadcast, lan.hostile.owner.mac, kArp,
                        arp(1, lan.hostile.owner.mac, Ipv4{0}, Mac{}, lan.hostile.owner.address)));
  EXPECT_TRUE(lan.reaches("spoofed-mac", 2));
  EXPECT_TRUE(lan.learned().empty());
  // Known again, the next frame is the first that comes.
  ASSERT_TRUE(addToSets(lan.rules, guardEntries(lan.hostile.owner)));
  hostile.send(marker(lan));
  EXPECT_TRUE(victim.receiveUntil(marker(lan)).empty());
}

TEST(Guard, ANewRulesetKnowsTheSameClients) {
  Lan lan(true);
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  RouterSpec changed = lan.spec;
  changed.dns.servers = {test::ip("9.9.9.9")};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(replaceRuleset(lan.rules, lanRuleset(changed)));
  EXPECT_EQ(test::must(dumpCountedRuleset(lan.rules)).elements.size(), 6u);
  hostile.send(marker(lan));
  EXPECT_TRUE(victim.receiveUntil(marker(lan)).empty());
}

TEST(Guard, StrangersAreGuardedAsWell) {
  Lan lan(false);
  Wire hostile = lan.hostile.wire();
  Wire router(lan.router.netns, "galaxy3");
  const Bytes gratuitous = ethernet(
      kBroadcast, lan.hostile.owner.mac, kArp,
      arp(2, lan.hostile.owner.mac, lan.spec.lan.address.address, Mac{}, Ipv4{0xffffffff}));
  hostile.send(gratuitous);
  EXPECT_TRUE(lan.reaches("arp-gateway", 1));
  const Bytes honest = ethernet(
      lan.spec.lan.mac, lan.hostile.owner.mac, kIpv4,
      udp({.source = lan.hostile.owner.address, .destination = test::ip("198.18.0.1")}, 1, 2, "x"));
  hostile.send(honest);
  EXPECT_TRUE(router.receiveUntil(honest).empty());
}

// Neither what is for a client that has not spoken yet, nor what is for an address nobody has.
TEST(Guard, WhatIsForOneIsHandedToNoOther) {
  Lan lan(false);
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  Wire router(lan.router.netns, "galaxy3");
  const auto to = [&](const Mac& mac) {
    return ethernet(mac, lan.spec.lan.mac, kIpv4,
                    udp({.source = test::ip("198.18.0.1"), .destination = lan.victim.owner.address},
                        1, 2, "x"));
  };
  const Bytes forVictim = to(lan.victim.owner.mac), forHostile = to(lan.hostile.owner.mac);
  const Bytes forNobody = to(test::mac("02:00:00:77:77:77"));
  for (const Bytes& frame : {forNobody, forVictim, forHostile}) router.send(frame);
  EXPECT_TRUE(victim.receiveUntil(forVictim).empty());
  EXPECT_TRUE(hostile.receiveUntil(forHostile).empty());
  // No carrier for a moment, and the bridge still knows.
  const IfName port = test::ifName("victim");
  ASSERT_TRUE(setLinkDown(lan.router.rtnl, port));
  ASSERT_TRUE(setLinkUp(lan.router.rtnl, port));
  for (const Bytes& frame : {forVictim, forHostile}) router.send(frame);
  EXPECT_TRUE(victim.receiveUntil(forVictim).empty());
  EXPECT_TRUE(hostile.receiveUntil(forHostile).empty());
  // The control: as a bridge does by itself.
  ASSERT_TRUE(setBridgePort(lan.router.rtnl, test::ifName("hostile"), {.unicastFlood = true}));
  for (const Bytes& frame : {forNobody, forHostile}) router.send(frame);
  EXPECT_EQ(hostile.receiveUntil(forHostile).size(), 1u);
}

// Its flags are judged by connection tracking, not by a rule of ours that each packet would walk.
TEST(Guard, TheRouterTakesNoImpossibleSegment) {
  Lan lan(false);
  Wire hostile = lan.hostile.wire();
  std::uint64_t sent = 0;
  for (const int flags : {kSyn | kFin, kSyn | kRst, 0, static_cast<int>(kFin)}) {
    hostile.send(ethernet(
        lan.spec.lan.mac, lan.hostile.owner.mac, kIpv4,
        tcp({.source = lan.hostile.owner.address, .destination = lan.spec.lan.address.address},
            5000, 53, static_cast<std::uint8_t>(flags))));
    EXPECT_TRUE(lan.reaches("invalid", ++sent)) << flags;
  }
}

}  // namespace
}  // namespace orrery
