#include "routers/contract/judge.h"

#include <gtest/gtest.h>

#include <random>

#include "routers/contract/frame_builder.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using namespace frame;
using samples::ip;
using samples::net;

const Mac kOwn = parseMac("00:00:10:00:00:07").value();
const Mac kGateway = parseMac("00:00:10:00:00:01").value();
const Mac kMulticast = parseMac("01:00:5e:00:00:fb").value();
const Ipv4 kAddress = ip("10.0.0.7");

ContractFacts facts() {
  ContractFacts f;
  f.uplink = samples::facts();
  f.mac = kOwn;
  f.tunnel = ip("10.64.0.9");
  return f;
}

Contract openvpn(ContractState state = ContractState::ready) {
  return contractOf(samples::galaxyOpenVpn(), facts(), state);
}
Contract direct() {
  return contractOf(samples::galaxyDirect(), facts(), ContractState::ready);
}
Contract star(ContractState state = ContractState::ready) {
  return contractOf(samples::star(), facts(), state);
}

Bytes sent(const Bytes& packet) {
  return ethernet(kGateway, kOwn, frame::kIpv4, packet);
}

Breach judged(const Contract& contract, const Bytes& frame, Way way = Way::out,
              LinkSide side = LinkSide::uplink) {
  const Verdict verdict = judge(contract, side, {way, frame, frame.size(), false});
  EXPECT_EQ(verdict.stray, way == Way::in && verdict.breach != Breach::none);
  EXPECT_EQ(verdict.by != nullptr, verdict.breach == Breach::none);
  return verdict.breach;
}

Ipv4Header to(const char* destination, const char* source = "10.0.0.7") {
  Ipv4Header header;
  header.source = ip(source);
  header.destination = ip(destination);
  return header;
}

TEST(Judge, ATunnelsEgressSpeaksToItsServersAlone) {
  const Contract c = openvpn();
  EXPECT_EQ(judged(c, sent(udp(to("198.18.1.10"), 4000, 1194, "x"))), Breach::none);
  EXPECT_EQ(judged(c, sent(tcp(to("198.18.1.11"), 4000, 443, kSyn))), Breach::none);
  EXPECT_EQ(judged(c, sent(udp(to("198.18.1.11"), 4000, 443, "x"))), Breach::protocol);
  EXPECT_EQ(judged(c, sent(udp(to("198.18.1.10"), 4000, 53, "x"))), Breach::port);
  EXPECT_EQ(judged(c, sent(udp(to("198.18.1.12"), 4000, 1194, "x"))), Breach::destination);
  EXPECT_EQ(judged(c, sent(udp(to("10.0.0.1"), 4000, 53, "x"))), Breach::destination);
  EXPECT_EQ(judged(c, sent(udp(to("198.18.1.10", "10.1.1.2"), 4000, 1194, "x"))), Breach::source);
  EXPECT_EQ(judged(c, sent(icmp(to("198.18.1.10"), 8, 0, "x"))), Breach::protocol);
  EXPECT_EQ(judged(c, sent(icmp(to("9.9.9.9"), 8, 0, "x"))), Breach::destination);
}

TEST(Judge, NothingButIpv4AndArpEverLeaves) {
  const Contract c = direct();
  const frame::Ipv6 linkLocal{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  const frame::Ipv6 allRouters{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  EXPECT_EQ(judged(c, ethernet(kGateway, kOwn, frame::kIpv6,
                               icmp6(linkLocal, allRouters, 133, {0, 0, 0, 0}))),
            Breach::ipv6);
  EXPECT_EQ(judged(c, ethernet(kGateway, kOwn, 0x88cc, Bytes(40))), Breach::etherType);
  EXPECT_EQ(judged(c, ethernet(kGateway, kOwn, 46, Bytes(46))), Breach::etherType)
      << "802.3 length";
  EXPECT_EQ(judged(c, tagged(kGateway, kOwn, 7, frame::kIpv4, udp(to("9.9.9.9"), 1, 2, "x"))),
            Breach::vlan);
  const Bytes plain = sent(udp(to("9.9.9.9"), 1, 2, "x"));
  EXPECT_EQ(judge(c, LinkSide::uplink, {Way::out, plain, plain.size(), true}).breach, Breach::vlan);
  EXPECT_EQ(judged(c, plain), Breach::none);
}

TEST(Judge, ADirectRouterSendsFromItsOwnAddressToOneReceiver) {
  const Contract c = direct();
  EXPECT_EQ(judged(c, sent(tcp(to("203.0.113.5"), 4000, 80, kSyn))), Breach::none);
  EXPECT_EQ(judged(c, sent(tcp(to("203.0.113.5", "10.1.3.2"), 4000, 80, kSyn))), Breach::source);
  EXPECT_EQ(judged(c, sent(udp(to("224.0.0.251"), 5353, 5353, "x"))), Breach::multicast);
  EXPECT_EQ(judged(c, sent(udp(to("255.255.255.255"), 68, 67, "x"))), Breach::multicast);
  EXPECT_EQ(judged(c, ethernet(kMulticast, kOwn, frame::kIpv4, udp(to("9.9.9.9"), 1, 2, "x"))),
            Breach::multicast);
}

TEST(Judge, NoOptionsLeave) {
  Ipv4Header header = to("198.18.1.10");
  const auto with = [&](const Contract& c, Bytes options) {
    header.options = std::move(options);
    return judged(c, sent(udp(header, 4000, 1194, "x")));
  };
  const Bytes record = {7, 7, 4, 0, 0, 0, 0};
  EXPECT_EQ(with(direct(), record), Breach::options);
  EXPECT_EQ(with(openvpn(), record), Breach::options);
  for (const Bytes& route :
       {Bytes{0x83, 7, 4, 9, 9, 9, 9}, Bytes{1, 1, 0x89, 7, 4, 9, 9, 9, 9},
        Bytes{7, 7, 4, 0, 0, 0, 0, 0x83, 3, 4}, Bytes{7, 60, 4}, Bytes{7, 0}, Bytes{1, 1, 1, 7}})
    EXPECT_EQ(with(direct(), route), Breach::options);
}

TEST(Judge, AFrameWearsTheRoutersMac) {
  const Bytes frame = ethernet(kGateway, parseMac("00:00:10:01:03:02").value(), frame::kIpv4,
                               udp(to("9.9.9.9"), 1, 2, "x"));
  EXPECT_EQ(judged(direct(), frame), Breach::mac);
}

TEST(Judge, FragmentsAreJudgedByWhatTheyHave) {
  const Contract c = openvpn();
  Ipv4Header header = to("198.18.1.10");
  const Bytes datagram = udpDatagram(header, 4000, 1194, std::string(64, 'x'));
  header.fragment = 0x2000;
  EXPECT_EQ(judged(c, sent(ipv4(header, Bytes(datagram.begin(), datagram.begin() + 32)))),
            Breach::none);
  EXPECT_EQ(judged(c, sent(ipv4(header, Bytes(datagram.begin(), datagram.begin() + 4)))),
            Breach::malformed)
      << "too short for its ports";
  header.fragment = 4;
  EXPECT_EQ(judged(c, sent(ipv4(header, Bytes(datagram.begin() + 32, datagram.end())))),
            Breach::none);
  header.destination = ip("198.18.1.12");
  EXPECT_EQ(judged(c, sent(ipv4(header, Bytes(32)))), Breach::destination);
  header.destination = ip("198.18.1.10");
  header.protocol = kTcp;
  EXPECT_EQ(judged(c, sent(ipv4(header, Bytes(32)))), Breach::protocol);
}

TEST(Judge, ArpAsksForTheGatewayAndAnswersForItselfAlone) {
  const Contract c = openvpn();
  const Mac nobody;
  const auto ask = [&](const char* sender, const char* target, const Mac& mac = kOwn) {
    return judged(
        c, ethernet(kBroadcast, kOwn, frame::kArp, arp(1, mac, ip(sender), nobody, ip(target))));
  };
  EXPECT_EQ(ask("10.0.0.7", "10.0.0.1"), Breach::none);
  EXPECT_EQ(ask("10.0.0.7", "10.0.0.9"), Breach::arp);
  EXPECT_EQ(ask("10.1.1.254", "10.0.0.1"), Breach::arp) << "an address of another link";
  EXPECT_EQ(ask("10.0.0.7", "10.0.0.1", kGateway), Breach::arp) << "in another's name";
  EXPECT_EQ(ask("10.0.0.7", "10.0.0.7"), Breach::arp) << "gratuitous";
  const auto answer = [&](const Mac& receiver, const char* sender) {
    return judged(c, ethernet(receiver, kOwn, frame::kArp,
                              arp(2, kOwn, ip(sender), kGateway, ip("10.0.0.1"))));
  };
  EXPECT_EQ(answer(kGateway, "10.0.0.7"), Breach::none);
  EXPECT_EQ(answer(kGateway, "10.64.0.9"), Breach::arp) << "the tunnel's address";
  EXPECT_EQ(answer(kBroadcast, "10.0.0.7"), Breach::multicast) << "an answer is for one";
}

TEST(Judge, TorReachesPublicAddressesByTcpAlone) {
  const Contract c = star();
  EXPECT_EQ(judged(c, sent(tcp(to("198.51.100.4"), 4000, 9001, kSyn))), Breach::none);
  EXPECT_EQ(judged(c, sent(udp(to("198.51.100.4"), 4000, 443, "x"))), Breach::protocol);
  for (const char* at : {"10.0.0.1", "10.0.0.9", "192.168.1.1", "169.254.169.254", "100.64.0.1"})
    EXPECT_EQ(judged(c, sent(tcp(to(at), 4000, 443, kSyn))), Breach::destination) << at;
}

TEST(Judge, WhereNobodyRunsNothingBegins) {
  for (const ContractState state : {ContractState::paused, ContractState::restarting,
                                    ContractState::supervisorDead, ContractState::stopping}) {
    SCOPED_TRACE(toString(state));
    EXPECT_EQ(judged(star(state), sent(tcp(to("198.51.100.4"), 4000, 9001, kSyn))),
              Breach::newConnection);
    EXPECT_EQ(judged(star(state), sent(tcp(to("198.51.100.4"), 4000, 9001, kFin | kAck))),
              Breach::none);
    EXPECT_EQ(judged(openvpn(state), sent(udp(to("198.18.1.10"), 4000, 1194, "x"))),
              Breach::destination);
  }
  for (const ContractState state : {ContractState::absent, ContractState::destroyed}) {
    EXPECT_EQ(judged(openvpn(state), sent(udp(to("198.18.1.10"), 4000, 1194, "x"))),
              Breach::noLink);
  }
}

TEST(Judge, TheTunnelCarriesNoOtherDnsAndNoOtherSource) {
  RouterSpec spec = samples::galaxyOpenVpn();
  spec.dns.servers = {ip("10.64.0.1")};
  const Contract c = contractOf(spec, facts(), ContractState::ready);
  const auto inside = [&](const Bytes& packet) {
    return judged(c, packet, Way::out, LinkSide::tunnel);
  };
  EXPECT_EQ(inside(udp(to("9.9.9.9", "10.64.0.9"), 4000, 443, "x")), Breach::none);
  EXPECT_EQ(inside(udp(to("10.64.0.1", "10.64.0.9"), 4000, 53, "x")), Breach::none);
  EXPECT_EQ(inside(udp(to("9.9.9.9", "10.64.0.9"), 4000, 53, "x")), Breach::port);
  EXPECT_EQ(inside(tcp(to("9.9.9.9", "10.64.0.9"), 4000, 853, kSyn)), Breach::port);
  EXPECT_EQ(inside(udp(to("9.9.9.9", "10.1.1.2"), 4000, 443, "x")), Breach::source);
  EXPECT_EQ(inside(ipv6({}, {}, kUdp, Bytes(8))), Breach::ipv6);
  EXPECT_EQ(inside({}), Breach::runt);
  const Bytes good = udp(to("9.9.9.9", "10.64.0.9"), 4000, 443, "x");
  EXPECT_EQ(judge(c, LinkSide::tunnel, {Way::out, good, good.size(), true}).breach, Breach::vlan);
}

TEST(Judge, AUniverseAsksForItsLease) {
  ContractFacts f = facts();
  f.uplink = {ip("0.0.0.0"), ip("0.0.0.0"), std::nullopt};
  const Contract without = contractOf(samples::universe(), f, ContractState::starting);
  const Bytes discover =
      ethernet(kBroadcast, kOwn, frame::kIpv4, udp(to("255.255.255.255", "0.0.0.0"), 68, 67, "x"));
  EXPECT_EQ(judged(without, discover), Breach::none);
  EXPECT_EQ(judged(without, sent(udp(to("9.9.9.9", "0.0.0.0"), 68, 67, "x"))), Breach::destination);
  EXPECT_EQ(judged(without, sent(udp(to("9.9.9.9"), 1000, 53, "x"))), Breach::source);
  const Contract fixed = contractOf(samples::universeStatic(), facts(), ContractState::ready);
  EXPECT_EQ(judged(fixed, discover), Breach::multicast) << "a fixed address asks nobody";
}

TEST(Judge, WhatComesInUnaskedIsAStray) {
  const Contract c = openvpn();
  const Bytes server =
      ethernet(kOwn, kGateway, frame::kIpv4, udp(to("10.0.0.7", "198.18.1.10"), 1194, 4000, "x"));
  EXPECT_EQ(judged(c, server, Way::in), Breach::none);
  const Bytes other =
      ethernet(kOwn, kGateway, frame::kIpv4, udp(to("10.0.0.7", "198.18.1.12"), 1194, 4000, "x"));
  const Verdict verdict = judge(c, LinkSide::uplink, {Way::in, other, other.size(), false});
  EXPECT_TRUE(verdict.stray);
  EXPECT_FALSE(verdict.leak());
}

TEST(Judge, HeadersThatLieAreNamed) {
  const Contract c = direct();
  const Bytes good = sent(udp(to("9.9.9.9"), 1, 2, "payload"));
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    return judged(c, bad);
  };
  EXPECT_EQ(with(14, 0x55), Breach::malformed) << "version 5";
  EXPECT_EQ(with(14, 0x44), Breach::malformed) << "header of four words";
  EXPECT_EQ(with(14, 0x4f), Breach::malformed) << "header longer than the packet";
  EXPECT_EQ(with(16, 0xff), Breach::malformed) << "longer than the frame";
  EXPECT_EQ(with(17, 8), Breach::malformed) << "shorter than its header";
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    const Bytes shorter(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut));
    EXPECT_NE(judged(c, shorter), Breach::none) << cut;
  }
  // A capture that keeps the first bytes only: the frame itself is whole.
  EXPECT_EQ(
      judge(c, LinkSide::uplink, {Way::out, std::span(good).first(42), good.size(), false}).breach,
      Breach::none);
}

TEST(Judge, AnyBytesAreJudgedAndDescribed) {
  std::mt19937 random(7);
  const std::vector<Contract> contracts = {openvpn(), direct(), star(), Contract{}};
  for (int i = 0; i < 20000; ++i) {
    Bytes frame(random() % 80);
    for (auto& byte : frame) byte = static_cast<std::uint8_t>(random());
    if (frame.size() > 14 && i % 2 == 0) frame[12] = 8, frame[13] = 0, frame[14] = 0x45;
    const FrameView view{Way::out, frame, frame.size() + random() % 3, i % 50 == 0};
    for (const Contract& c : contracts) {
      EXPECT_TRUE(judge(c, LinkSide::uplink, view).leak());
      EXPECT_FALSE(describeFrame(view, i % 3 != 0).empty());
    }
  }
}

TEST(Judge, FramesAndBreachesHaveWords) {
  const Bytes frame = sent(udp(to("224.0.0.251"), 5353, 5353, "x"));
  EXPECT_EQ(describeFrame({Way::out, frame, frame.size(), false}, true),
            "UDP 10.0.0.7:5353 > 224.0.0.251:5353, 43 bytes");
  for (std::size_t i = 0; i < kBreaches; ++i) {
    EXPECT_STRNE(toString(static_cast<Breach>(i)), "?");
    EXPECT_STRNE(sentence(static_cast<Breach>(i)), "?");
  }
  EXPECT_STREQ(toString(static_cast<Breach>(kBreaches)), "?");
}

}  // namespace
}  // namespace orrery
