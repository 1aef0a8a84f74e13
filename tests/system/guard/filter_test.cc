// [[lan.filter]] in the kernel: what a filter says about a frame in user space happens to it at a
// real port, in both directions, and is counted by filter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "netns/pcap/compile.h"
#include "tests/system/guard/bridge_lan.h"

namespace orrery {
namespace {

using frame::arp;
using frame::ethernet;
using frame::kArp;
using frame::kBroadcast;
using frame::kIpv4;
using frame::tcp;
using frame::udp;
using guardtest::Bytes;
using guardtest::Lan;
using guardtest::Wire;

const Prefix4 kLan = parsePrefix4("10.1.3.254/24").value();

// As the definition's reader makes it.
FilterSpec filter(FilterDirection direction, bool pass, const std::string& expression) {
  static const ExpressionCompiler kCompiler = test::must(ExpressionCompiler::open());
  FilterSpec spec;
  spec.direction = direction;
  spec.pass = pass;
  spec.expression = expression;
  spec.passes = test::must(kCompiler.compile(pass ? expression : "not (" + expression + ")", kLan));
  return spec;
}
FilterSpec fromClient(bool pass, const std::string& expression) {
  return filter(FilterDirection::fromClient, pass, expression);
}
FilterSpec toClient(bool pass, const std::string& expression) {
  return filter(FilterDirection::toClient, pass, expression);
}

bool passes(const RouterSpec& spec, FilterDirection direction, const Bytes& frame) {
  return std::ranges::all_of(spec.lan.filters, [&](const FilterSpec& each) {
    return each.direction != direction || runProgram(each.passes, frame) != 0;
  });
}

struct Talk {
  Mac own, peer;
  Ipv4 ownIp, peerIp;

  frame::Ipv4Header head() const { return {.source = ownIp, .destination = peerIp}; }
  Bytes packet(const Bytes& ip) const { return ethernet(peer, own, kIpv4, ip); }
  Bytes udpTo(std::uint16_t port, std::string_view data = "x") const {
    return packet(udp(head(), 5000, port, data));
  }
  Bytes tcpTo(std::uint16_t port, std::uint8_t flags) const {
    return packet(tcp(head(), 5000, port, flags));
  }
  Bytes ping(std::uint8_t type, std::string_view data) const {
    return packet(frame::icmp(head(), type, 0, data));
  }
  Bytes ask() const { return ethernet(kBroadcast, own, kArp, arp(1, own, ownIp, Mac{}, peerIp)); }
  Bytes end() const { return udpTo(40001, "the end"); }
};
Talk fromHostile(const Lan& lan) {
  return {lan.hostile.owner.mac, lan.victim.owner.mac, lan.hostile.owner.address,
          lan.victim.owner.address};
}
Talk fromRouter(const Lan& lan) {
  return {lan.spec.lan.mac, lan.victim.owner.mac, lan.spec.lan.address.address,
          lan.victim.owner.address};
}

// Of every sort that the expressions below speak of, whole and cut short.
Bytes someFrame(const Talk& talk, std::mt19937& random) {
  constexpr std::uint16_t kPorts[] = {22, 53, 80, 123, 443, 5353, 40000};
  const std::uint16_t port = kPorts[random() % std::size(kPorts)];
  const std::string data(random() % 60, static_cast<char>('a' + random() % 26));
  const auto byte = [&] { return static_cast<std::uint8_t>(random()); };
  switch (random() % 5) {
    case 0:
      return talk.udpTo(port, data);
    case 1:
      return talk.tcpTo(port, static_cast<std::uint8_t>(byte() % 64));
    case 2:
      return talk.ping(static_cast<std::uint8_t>(byte() % 20), data);
    case 3: {  // some protocol, perhaps a piece of a datagram
      frame::Ipv4Header head = talk.head();
      head.protocol = byte();
      head.fragment = static_cast<std::uint16_t>(byte() % 4 == 0 ? random() % 0x4000 : 0);
      Bytes body(byte() % 40);
      for (std::uint8_t& each : body) each = byte();
      return talk.packet(frame::ipv4(head, body));
    }
    default: {
      Bytes cut = talk.tcpTo(port, 2);
      cut.resize(34 + byte() % (cut.size() - 34));
      return cut;
    }
  }
}

const std::vector<const char*> kExpressions = {
    "udp port 123 or ether multicast",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "arp or icmp or udp port 40000 or tcp port 443",
    "len > 80",
    "less 60 or udp[8] = 0x61",
    "ip[6:2] & 0x3fff != 0",
    "port 53 or portrange 400-500 or icmp[icmptype] = icmp-echo",
    "dst net 10.1.3.0/24 and ip proto 6",
    "ether[0] & 1 != 0 or ether src 00:00:10:01:03:05",
    "tcp[((tcp[12] & 0xf0) >> 2) - 20 : 2] = 5000",
    "ip[8] > 63 and ip[2:2] < 48",
};

void expectAsInUserSpace(Lan& lan, FilterDirection direction, const Talk& talk, Wire& sender,
                         std::mt19937& random) {
  Wire victim = lan.victim.wire();
  std::vector<Bytes> expected;
  for (int i = 0; i < 120; ++i) {
    const Bytes frame = i == 0 ? talk.ask() : someFrame(talk, random);
    sender.send(frame);
    if (passes(lan.spec, direction, frame)) expected.push_back(frame);
  }
  // The last one passes whatever the filter says: the rules are gone by then.
  ASSERT_TRUE(deleteRuleset(lan.rules));
  sender.send(talk.end());
  EXPECT_EQ(victim.receiveUntil(talk.end()), expected);
}

TEST(LanFilter, HappensToFramesFromAClientAsUserSpaceSays) {
  std::mt19937 random(1);
  for (const char* expression : kExpressions)
    for (const bool pass : {false, true}) {
      SCOPED_TRACE(std::string(pass ? "pass " : "drop ") + expression);
      Lan lan(true, {fromClient(pass, expression)});
      Wire hostile = lan.hostile.wire();
      expectAsInUserSpace(lan, FilterDirection::fromClient, fromHostile(lan), hostile, random);
    }
}

TEST(LanFilter, HappensToFramesToAClientAsUserSpaceSays) {
  std::mt19937 random(2);
  for (const char* expression : kExpressions)
    for (const bool pass : {false, true}) {
      SCOPED_TRACE(std::string(pass ? "pass " : "drop ") + expression);
      Lan lan(false, {toClient(pass, expression)});
      Wire router(lan.router.netns, lan.spec.id.name);
      expectAsInUserSpace(lan, FilterDirection::toClient, fromRouter(lan), router, random);
    }
}

TEST(LanFilter, AFrameMustPassEachAndTheFirstThatDropsItCounts) {
  Lan lan(true, {fromClient(false, "udp port 123"), toClient(false, "tcp port 25"),
                 fromClient(false, "udp"), fromClient(true, "arp or tcp")});
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  const Talk talk = fromHostile(lan);
  for (const Bytes& each : {talk.udpTo(123), talk.udpTo(5), talk.udpTo(123), talk.tcpTo(25, 2),
                            talk.ping(8, "x"), talk.tcpTo(80, 2)})
    hostile.send(each);
  EXPECT_TRUE(victim.receiveUntil(talk.tcpTo(80, 2)).empty());
  EXPECT_EQ(lan.counts()["filter-1"], 2u);
  EXPECT_EQ(lan.counts()["filter-2"], 1u);
  EXPECT_EQ(lan.counts()["filter-3"], 1u);
  EXPECT_EQ(lan.counts()["filter-4"], 1u);
}

TEST(LanFilter, AllowsNothingThatTheGuardForbids) {
  Lan lan(true, {fromClient(true, "ether[0] >= 0"), toClient(true, "ether[0] >= 0")});
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  const Talk talk = fromHostile(lan);
  Talk forged = talk;
  forged.ownIp = lan.spec.lan.address.address;
  for (const Bytes& each : {forged.udpTo(7), forged.ask(), talk.end()}) hostile.send(each);
  EXPECT_TRUE(victim.receiveUntil(talk.end()).empty());
  EXPECT_EQ(lan.counts()["spoofed-ip"], 1u);
  EXPECT_EQ(lan.counts()["arp-gateway"], 1u);
}

TEST(LanFilter, ANewFilterTakesTheOldOnesPlace) {
  Lan lan(true, {fromClient(false, "udp port 123")});
  Wire hostile = lan.hostile.wire(), victim = lan.victim.wire();
  const Talk talk = fromHostile(lan);
  RouterSpec changed = lan.spec;
  changed.lan.filters = {fromClient(false, "udp port 124")};
  for (int round = 0; round < 20; ++round) {
    const bool odd = round % 2 != 0;
    test::must(replaceRuleset(lan.rules, lanRuleset(odd ? lan.spec : changed)));
    for (const Bytes& each : {talk.udpTo(123), talk.udpTo(124), talk.end()}) hostile.send(each);
    ASSERT_EQ(victim.receiveUntil(talk.end()), std::vector<Bytes>{talk.udpTo(odd ? 124 : 123)})
        << round;
  }
}

TEST(LanFilter, IsReadBackAsItWasWritten) {
  Lan lan(false, {fromClient(false, "udp port 123"), toClient(true, "arp or len < 1000")});
  const auto inKernel = test::must(dumpRuleset(lan.rules));
  EXPECT_EQ(inKernel, nft::canonical(lanRuleset(lan.spec)));
  RouterSpec without = lan.spec;
  without.lan.filters.pop_back();
  EXPECT_FALSE(inKernel == nft::canonical(lanRuleset(without)));
  RouterSpec other = lan.spec;
  other.lan.filters[0] = fromClient(false, "udp port 124");
  EXPECT_FALSE(inKernel == nft::canonical(lanRuleset(other))) << "one number of one instruction";
}

}  // namespace
}  // namespace orrery
