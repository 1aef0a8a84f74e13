#include "runtime/audit/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "routers/contract/frame_builder.h"
#include "runtime/audit/probes.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery::audit {
namespace {

const Mac kOwn = parseMac("00:00:10:00:00:07").value();
const Mac kGateway = parseMac("00:00:10:00:00:01").value();
const std::string kSession = "0123456789abcd";

ContractFacts facts() {
  ContractFacts f;
  f.uplink = samples::facts();
  f.mac = kOwn;
  return f;
}

WatchedLink uplinkOf(const RouterSpec& spec, bool farEnd, bool probesMayPass) {
  const Contract contract = contractOf(spec, facts(), ContractState::ready);
  return {"uplink", *contract.link(LinkSide::uplink), farEnd, probesMayPass};
}

frame::Bytes udpTo(const char* destination, std::uint16_t port, const std::string& data) {
  frame::Ipv4Header header;
  header.source = samples::ip("10.0.0.7");
  header.destination = samples::ip(destination);
  return frame::ethernet(kGateway, kOwn, frame::kIpv4, frame::udp(header, 4000, port, data));
}

bool judge(Audit& audit, const frame::Bytes& frame, bool outgoing) {
  return audit.judge(0, {Way::out, frame, frame.size(), false}, outgoing, 42);
}

TEST(Audit, CountsEachSortOfViolationAndKeepsTheFirst) {
  Audit audit({uplinkOf(samples::galaxyOpenVpn(), false, false)}, "");
  EXPECT_FALSE(judge(audit, udpTo("198.18.1.10", 1194, "x"), true)) << "allowed";
  EXPECT_TRUE(judge(audit, udpTo("9.9.9.9", 53, "x"), true));
  EXPECT_FALSE(judge(audit, udpTo("8.8.8.8", 53, "x"), true)) << "the same sort again";
  EXPECT_TRUE(judge(audit, udpTo("224.0.0.251", 5353, "x"), true));
  const LinkReport report = audit.report().front();
  EXPECT_EQ(report.frames, 4u);
  ASSERT_EQ(report.violations.size(), 2u);
  EXPECT_EQ(report.violations[0].breach, Breach::destination);
  EXPECT_EQ(report.violations[0].count, 2u);
  EXPECT_EQ(report.violations[0].firstTime, 42);
  EXPECT_THAT(report.violations[0].first, testing::HasSubstr("9.9.9.9:53"));
  EXPECT_LE(report.violations[0].bytes.size(), kKeptBytes);
}

TEST(Audit, TheFarEndSeesTheOtherWayRound) {
  Audit audit({uplinkOf(samples::galaxyOpenVpn(), true, false)}, "");
  EXPECT_TRUE(judge(audit, udpTo("9.9.9.9", 53, "x"), false)) << "comes in there: has left us";
  EXPECT_FALSE(judge(audit, udpTo("9.9.9.9", 53, "x"), true)) << "sent to us: a stray";
  const LinkReport report = audit.report().front();
  EXPECT_EQ(report.frames, 1u);
  EXPECT_EQ(report.strays, 1u);
}

// A client's packet that reaches the server itself looks like the tunnel's own.
TEST(Audit, AProbesMarkIsALeakWhereNoClientsPacketMayPass) {
  const std::string text = "before " + probeMark(kSession, 0x1a) + " behind";
  Audit tunnel({uplinkOf(samples::galaxyOpenVpn(), false, false)}, kSession);
  EXPECT_TRUE(judge(tunnel, udpTo("198.18.1.10", 1194, text), true));
  const LinkReport report = tunnel.report().front();
  EXPECT_EQ(report.violations.front().breach, Breach::probe);
  EXPECT_THAT(report.violations.front().probes, testing::ElementsAre(0x1a));
  EXPECT_THAT(report.passed, testing::ElementsAre(0x1a));

  Audit direct({uplinkOf(samples::galaxyDirect(), false, true)}, kSession);
  EXPECT_FALSE(judge(direct, udpTo("198.18.1.10", 1194, text), true));
  EXPECT_THAT(direct.report().front().passed, testing::ElementsAre(0x1a));
}

// A change of the address that the router may send from: frames and the news of it in every order.
class Changing : public testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{2};
  static WatchedLink from(const char* address) {
    ContractFacts f = facts();
    f.uplink.address = samples::ip(address);
    const Contract contract = contractOf(samples::galaxyOpenVpn(), f, ContractState::ready);
    return {"uplink", *contract.link(LinkSide::uplink), false, false};
  }
  void send(const char* source, std::chrono::milliseconds now) {
    frame::Ipv4Header header;
    header.source = samples::ip(source);
    header.destination = samples::ip("198.18.1.10");
    const auto frame = frame::ethernet(kGateway, kOwn, frame::kIpv4,
                                       frame::udp(header, 4000, 1194, "x"));
    EXPECT_FALSE(audit_.judge(0, {Way::out, frame, frame.size(), false}, true, 42, now));
  }
  void change(const char* address, std::chrono::milliseconds now) {
    audit_.setContract(0, from(address).contract, now);
  }
  std::uint64_t violations() const {
    const auto& list = audit_.link(0).violations;
    return list.empty() ? 0 : list.front().count;
  }
  Audit audit_{{from("10.0.0.7")}, "", kPatience};
};
using namespace std::chrono_literals;

TEST_F(Changing, AFrameAheadOfTheNewsIsNoLeak) {
  send("10.0.0.8", 1000ms);
  EXPECT_TRUE(audit_.holdsBack());
  EXPECT_TRUE(audit_.settle(1500ms).empty());
  change("10.0.0.8", 1600ms);
  EXPECT_FALSE(audit_.holdsBack());
  EXPECT_TRUE(audit_.settleAll().empty());
  EXPECT_EQ(audit_.link(0).frames, 1u);
}

TEST_F(Changing, AFrameOfTheOldAddressBehindTheNewsIsNoLeakForAWhile) {
  change("10.0.0.8", 1000ms);
  send("10.0.0.7", 2900ms);
  EXPECT_FALSE(audit_.holdsBack());
  send("10.0.0.7", 3000ms);
  EXPECT_TRUE(audit_.holdsBack()) << "the while is over";
  EXPECT_EQ(audit_.settle(5000ms).size(), 1u);
}

TEST_F(Changing, ALeakDuringTheChangeIsTold) {
  send("10.0.0.66", 900ms);
  change("10.0.0.8", 1000ms);
  send("10.0.0.66", 1100ms);
  EXPECT_TRUE(audit_.settle(2800ms).empty());
  EXPECT_EQ(audit_.settle(3100ms), (std::vector<Audit::FirstOfSort>{{0, 0}}));
  EXPECT_EQ(violations(), 2u);
}

TEST_F(Changing, WithoutANewContractALeakIsToldAfterThePatience) {
  send("10.0.0.8", 1000ms);
  send("10.0.0.8", 1200ms);
  EXPECT_TRUE(audit_.settle(2999ms).empty());
  EXPECT_EQ(audit_.settle(3000ms).size(), 1u);
  EXPECT_EQ(violations(), 1u);
  EXPECT_TRUE(audit_.settle(3200ms).empty()) << "the second of its sort";
  EXPECT_EQ(violations(), 2u);
  change("10.0.0.8", 3300ms);
  EXPECT_EQ(violations(), 2u) << "what counts, counts";
}

TEST_F(Changing, SeveralChangesWithinThePatienceEachExcuse) {
  change("10.0.0.8", 1000ms);
  change("10.0.0.9", 1100ms);
  send("10.0.0.7", 1200ms);
  send("10.0.0.8", 1200ms);
  send("10.0.0.9", 1200ms);
  EXPECT_FALSE(audit_.holdsBack());
}

TEST_F(Changing, AFloodOfBreachesIsCountedWhole) {
  for (int i = 0; i < 10000; ++i) send("10.0.0.66", 1000ms);
  EXPECT_EQ(audit_.settle(1000ms).size(), 1u) << "more than is held back: told at once";
  EXPECT_TRUE(audit_.settleAll().empty());
  EXPECT_EQ(violations(), 10000u);
}

TEST(Audit, OnAnUnknownLinkEverythingIsALeak) {
  Audit audit({{"leak", closedLink(), false, true}}, kSession);
  EXPECT_TRUE(judge(audit, udpTo("198.18.1.10", 1194, "x"), true));
  EXPECT_EQ(audit.report().front().violations.front().breach, Breach::noLink);
}

TEST(Marker, IsKnownByItsSessionAndNumber) {
  const frame::Bytes frame = markerFrame(kSession, 3);
  EXPECT_EQ(markerIn(kSession, {Way::in, frame, frame.size(), false}), 3);
  EXPECT_FALSE(markerIn("0000000000000a", {Way::in, frame, frame.size(), false}));
  EXPECT_FALSE(markerIn("", {Way::in, frame, frame.size(), false}));
  for (std::size_t cut = 0; cut < 29; ++cut)
    EXPECT_FALSE(markerIn(kSession, {Way::in, std::span(frame).first(cut), frame.size(), false}));
}

ProbeGround ground(const RouterSpec& spec) {
  ProbeGround g;
  g.client = parseMac("02:00:00:00:00:09").value();
  g.address = Ipv4{spec.lan.address.network().value + 9};
  g.router = spec.lan.mac;
  g.lan = spec.lan;
  g.uplink = samples::facts();
  g.servers = serversOf(spec.egress);
  g.tunnel = samples::ip("10.64.0.9");
  return g;
}

TEST(Probes, TryEveryWayThatTheIssueNames) {
  const auto probes = probesFor(ground(samples::galaxyOpenVpn()), kSession);
  EXPECT_LT(probes.size(), kMaxProbes);
  std::set<std::string> topics;
  for (const Probe& probe : probes) {
    topics.insert(probe.topic);
    EXPECT_FALSE(probe.frames.empty()) << probe.what;
    for (const frame::Bytes& frame : probe.frames) EXPECT_GE(frame.size(), 28u) << probe.what;
  }
  EXPECT_THAT(topics, testing::IsSupersetOf({"TCP", "UDP", "ICMP", "DNS of another resolver",
                                             "DNS over TLS", "IPv6", "multicast and broadcast",
                                             "fragments", "IP options", "other protocols",
                                             "local and reserved addresses", "the network upstream",
                                             "the server's own address", "spoofed sources"}));
}

// Where there is room for it, a probe is known again: else a leak could not be told from a tunnel.
TEST(Probes, CarryTheirMark) {
  const auto probes = probesFor(ground(samples::galaxyOpenVpn()), kSession);
  std::size_t marked = 0;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const std::string mark = probeMark(kSession, static_cast<unsigned>(i));
    for (const frame::Bytes& frame : probes[i].frames)
      if (std::search(frame.begin(), frame.end(), mark.begin(), mark.end()) != frame.end()) {
        ++marked;
        break;
      }
  }
  EXPECT_GT(marked * 10, probes.size() * 9);
}

}  // namespace
}  // namespace orrery::audit
