// The limits of a client, in the kernel: what floods is stopped at its share and counted, its
// neighbour is not; without limits the same frames pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/system/guard/bridge_lan.h"

namespace orrery {
namespace {

using frame::arp;
using frame::ethernet;
using frame::kArp;
using frame::kBroadcast;
using frame::kIpv4;
using frame::udp;
using guardtest::Bytes;
using guardtest::Client;
using guardtest::Lan;
using guardtest::Wire;

constexpr std::uint64_t kFlood = 3000;  // frames: far more than any burst
constexpr int kAsked = 50;              // by the neighbour

ClientLimits none() {
  ClientLimits limits;
  limits.connections = limits.newConnections = limits.dnsQueries = limits.arpFrames = 0;
  limits.dhcpFrames = limits.broadcasts = 0;
  return limits;
}

struct Kind {
  std::string rule;  // that counts what is dropped
  std::function<Bytes(const Lan&, const Client&, std::uint64_t)> frame;
};

Bytes toRouter(const Lan& lan, const Client& from, std::uint16_t source, std::uint16_t destination,
               const std::string& payload) {
  return ethernet(lan.spec.lan.mac, from.owner.mac, kIpv4,
                  udp({.source = from.owner.address, .destination = lan.spec.lan.address.address},
                      source, destination, payload));
}

// DHCP from a client's own address, as in a renewal, with this hardware address in the message.
Bytes renewal(const Lan& lan, const Client& from, const Mac& chaddr) {
  std::string message(240, '\0');
  std::copy(chaddr.bytes.begin(), chaddr.bytes.end(), message.begin() + 28);
  return toRouter(lan, from, 68, 67, message);
}

std::vector<Kind> kinds() {
  return {
      {"arp-flood",
       [](const Lan& lan, const Client& from, std::uint64_t) {
         return ethernet(
             kBroadcast, from.owner.mac, kArp,
             arp(1, from.owner.mac, from.owner.address, Mac{}, lan.spec.lan.address.address));
       }},
      {"dns-flood", [](const Lan& lan, const Client& from,
                       std::uint64_t) { return toRouter(lan, from, 40000, 53, "query"); }},
      {"dhcp-flood", [](const Lan& lan, const Client& from,
                        std::uint64_t) { return renewal(lan, from, from.owner.mac); }},
  };
}

// Sends the flood, and with it the neighbour's frames; how many of each the router let in.
struct Passed {
  std::uint64_t flood = 0, neighbour = 0;
};
Passed flood(Lan& lan, const Kind& kind) {
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  Passed passed;
  const auto before = lan.allCounts()[kind.rule];
  for (std::uint64_t i = 0; i < kFlood; ++i) {
    hostile.send(kind.frame(lan, lan.hostile, i));
    if (i % (kFlood / kAsked) != 0) continue;
    const auto dropped = lan.allCounts()[kind.rule];
    victim.send(kind.frame(lan, lan.victim, i));
    if (lan.allCounts()[kind.rule] == dropped) ++passed.neighbour;
  }
  passed.flood = kFlood - (lan.allCounts()[kind.rule] - before);
  return passed;
}

TEST(Limits, AFloodIsStoppedAtItsShareAndItsNeighbourIsNot) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.rule);
    Lan lan(false);
    const Passed passed = flood(lan, kind);
    EXPECT_LT(passed.flood, kFlood);
    EXPECT_GE(passed.flood, 40u) << "a burst passes";
    EXPECT_EQ(passed.neighbour, static_cast<std::uint64_t>(kAsked));
  }
}

TEST(Limits, WithoutThemTheSameFloodPasses) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.rule);
    Lan lan(false);
    RouterSpec spec = lan.spec;
    spec.clientLimits = none();
    ASSERT_TRUE(replaceRuleset(lan.rules, lanRuleset(spec)));
    EXPECT_EQ(flood(lan, kind).flood, kFlood);
    EXPECT_EQ(lan.allCounts().count(kind.rule), 0u) << "there is no such rule";
  }
}

TEST(Limits, DhcpIsHeardUnderOnesOwnHardwareAddressOnly) {
  Lan lan(false);
  Wire hostile = lan.hostile.wire();
  const auto forged = [&] { return lan.allCounts()["dhcp-forged"]; };
  hostile.send(renewal(lan, lan.hostile, lan.hostile.owner.mac));
  EXPECT_EQ(forged(), 0u);
  hostile.send(renewal(lan, lan.hostile, lan.victim.owner.mac));
  hostile.send(renewal(lan, lan.hostile, test::mac("02:00:00:66:66:66")));
  EXPECT_EQ(forged(), 2u);
  // From no address, as a client asks first: its MAC is all that the bridge ties it to.
  std::string message(240, '\0');
  const Mac victim = lan.victim.owner.mac;
  std::copy(victim.bytes.begin(), victim.bytes.end(), message.begin() + 28);
  hostile.send(
      ethernet(kBroadcast, lan.hostile.owner.mac, kIpv4,
               udp({.source = Ipv4{0}, .destination = Ipv4{0xffffffff}}, 68, 67, message)));
  EXPECT_EQ(forged(), 3u);
  lan.victim.wire().send(renewal(lan, lan.victim, lan.victim.owner.mac));
  EXPECT_EQ(forged(), 3u);
}

TEST(Limits, ABroadcastIsCountedOnceHoweverManyHearIt) {
  Lan lan(true);
  Client third(lan.router, lan.rules, lan.spec, "third", "10.1.3.7");
  Wire hostile = lan.hostile.wire();
  const Bytes shout =
      ethernet(kBroadcast, lan.hostile.owner.mac, kIpv4,
               udp({.source = lan.hostile.owner.address, .destination = test::ip("10.1.3.255")},
                   5353, 5353, "hello"));
  for (int i = 0; i < 990; ++i) hostile.send(shout);  // a burst is 1000
  EXPECT_EQ(lan.allCounts()["broadcast-flood"], 0u);
  for (std::uint64_t i = 0; i < kFlood; ++i) hostile.send(shout);
  EXPECT_GT(lan.allCounts()["broadcast-flood"], 0u);
}

}  // namespace
}  // namespace orrery
