// What strangers tell us: leases, pushes, progress. Routes are never taken, nonsense is refused.
#include <gtest/gtest.h>

#include "routers/egress/tunnel_facts.h"
#include "tests/support/sample_specs.h"

namespace orrery {
namespace {

using test::ip;
using test::prefix;
using namespace std::string_literals;

TEST(LeaseEvent, BoundHasWhatWeUse) {
  const auto event = parseLeaseEvent(
      "bound\0ip=198.18.100.20\0subnet=255.255.255.0\0router=198.18.100.1 198.18.100.2\0"
      "dns=198.18.100.1 9.9.9.9\0lease=3600\0staticroutes=10.0.0.0/8 198.18.100.66"s);
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_EQ(event->kind, LeaseEventKind::bound);
  ASSERT_TRUE(event->lease);
  EXPECT_EQ(event->lease->address, prefix("198.18.100.20/24"));
  EXPECT_EQ(event->lease->gateway, ip("198.18.100.1"));
  EXPECT_EQ(event->lease->dns, (std::vector<Ipv4>{ip("198.18.100.1"), ip("9.9.9.9")}));
  EXPECT_EQ(event->lease->duration.count(), 3600);
}

TEST(LeaseEvent, OthersCarryNoLease) {
  for (const auto& [text, kind] :
       {std::pair{"deconfig", LeaseEventKind::deconfig}, {"nak", LeaseEventKind::refused},
        {"leasefail", LeaseEventKind::failed}}) {
    const auto event = parseLeaseEvent(text);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->kind, kind);
    EXPECT_FALSE(event->lease);
  }
}

TEST(LeaseEvent, RefusesNonsense) {
  for (const std::string& text :
       {""s, "sold"s, "bound"s, "bound\0ip=1.2.3"s, "bound\0ip=1.2.3.4\0subnet=255.0.255.0"s,
        "bound\0ip=1.2.3.4\0subnet=255.255.255.0\0router=x"s,
        "bound\0ip=1.2.3.4\0subnet=255.255.255.0\0dns=1.1.1.1 $(reboot)"s,
        "bound\0ip="s + std::string(9000, '1')})
    EXPECT_FALSE(parseLeaseEvent(text)) << text.substr(0, 60);
}

TEST(CheckLease, TakesAnOrdinaryOne) {
  const Lease lease{prefix("192.168.1.20/24"), ip("192.168.1.1"), {ip("192.168.1.1")}, {}};
  EXPECT_TRUE(checkLease(lease, {prefix("10.0.0.1/24")}));
}

// TunnelVision's cousins: a lease that would cover our own subnet or the whole internet.
TEST(CheckLease, RefusesHostileOnes) {
  const std::vector<Prefix4> own{prefix("10.0.0.1/24")};
  const auto refused = [&](const char* address, std::optional<Ipv4> gateway) {
    return !checkLease(Lease{prefix(address), gateway, {}, {}}, own);
  };
  EXPECT_TRUE(refused("10.0.0.7/24", std::nullopt));
  EXPECT_TRUE(refused("10.9.9.9/8", std::nullopt));
  EXPECT_TRUE(refused("192.168.1.7/1", std::nullopt));
  EXPECT_TRUE(refused("127.0.0.7/24", std::nullopt));
  EXPECT_TRUE(refused("169.254.1.7/16", std::nullopt));
  EXPECT_TRUE(refused("224.0.0.7/24", std::nullopt));
  EXPECT_TRUE(refused("0.0.0.7/24", std::nullopt));
  EXPECT_TRUE(refused("192.168.1.0/24", std::nullopt));
  EXPECT_TRUE(refused("192.168.1.255/24", std::nullopt));
  EXPECT_TRUE(refused("192.168.1.7/24", ip("192.168.2.1")));
  EXPECT_TRUE(refused("192.168.1.7/24", ip("192.168.1.7")));
  EXPECT_FALSE(checkLease(Lease{prefix("192.168.1.7/24"), {}, {ip("127.0.0.53")}, {}}, own));
}

TEST(PushReply, SubnetTopology) {
  const auto facts = parsePushReply(
      "route-gateway 10.8.0.1,topology subnet,ping 10,dhcp-option DNS 10.8.0.1,"
      "redirect-gateway def1,route 192.168.0.0 255.255.0.0,dhcp-option DNS6 fd00::1,"
      "ifconfig 10.8.0.2 255.255.255.0,peer-id 0,cipher AES-256-GCM,tun-mtu 1400");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->address, prefix("10.8.0.2/24"));
  EXPECT_EQ(facts->dns, (std::vector<Ipv4>{ip("10.8.0.1")}));
  EXPECT_EQ(facts->mtu, 1400);
}

TEST(PushReply, PointToPointTopology) {
  const auto facts = parsePushReply("topology net30,ifconfig 10.8.0.6 10.8.0.5");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->address, prefix("10.8.0.6/32"));
}

TEST(PushReply, RefusesNonsense) {
  for (const std::string& text :
       {""s, "route-gateway 10.8.0.1"s, "ifconfig 10.8.0.2"s, "ifconfig a b"s,
        "topology subnet,ifconfig 10.8.0.2 255.0.255.0"s, std::string(20000, 'x')})
    EXPECT_FALSE(parsePushReply(text)) << text.substr(0, 60);
}

TEST(CheckTunnel, RefusesWhatWouldReachUs) {
  const std::vector<Prefix4> own{prefix("10.1.1.254/24")};
  EXPECT_TRUE(checkTunnel(TunnelFacts{prefix("10.8.0.2/24"), {}, {}}, own));
  EXPECT_FALSE(checkTunnel(TunnelFacts{prefix("10.1.1.7/24"), {}, {}}, own));
  EXPECT_FALSE(checkTunnel(TunnelFacts{prefix("10.1.0.7/16"), {}, {}}, own));
  EXPECT_FALSE(checkTunnel(TunnelFacts{prefix("10.8.0.2/24"), {ip("127.0.0.1")}, {}}, own));
  EXPECT_FALSE(checkTunnel(TunnelFacts{prefix("10.8.0.2/24"), {}, std::uint16_t{100}}, own));
}

TEST(ManagementLine, KnowsItsKinds) {
  using Kind = ManagementEvent::Kind;
  const auto kind = [](std::string_view line) { return parseManagementLine(line).kind; };
  EXPECT_EQ(kind(">HOLD:Waiting for hold release:0"), Kind::hold);
  EXPECT_EQ(kind(">PASSWORD:Need 'Auth' username/password"), Kind::passwordWanted);
  EXPECT_EQ(kind(">PASSWORD:Verification Failed: 'Auth'"), Kind::authFailed);
  EXPECT_EQ(kind(">FATAL:Cannot open TUN"), Kind::fatal);
  EXPECT_EQ(kind("SUCCESS: hold release succeeded"), Kind::other);
  EXPECT_EQ(kind(">LOG:1700000000"), Kind::other);
  EXPECT_EQ(kind(""), Kind::other);
  const auto state = parseManagementLine(">STATE:1700000000,CONNECTED,SUCCESS,10.8.0.2,1.2.3.4");
  EXPECT_EQ(state, (ManagementEvent{Kind::state, "CONNECTED", std::nullopt, 0}));
  const auto connected =
      parseManagementLine(">STATE:1700000000,CONNECTED,SUCCESS,10.8.0.2,198.18.0.10,1194,,");
  EXPECT_EQ(connected, (ManagementEvent{Kind::state, "CONNECTED", ip("198.18.0.10"), 1194}));
  const auto push = parseManagementLine(
      ">LOG:1700000000,,PUSH: Received control message: 'PUSH_REPLY,ifconfig 10.8.0.2 10.8.0.1'");
  EXPECT_EQ(push, (ManagementEvent{Kind::pushReply, "ifconfig 10.8.0.2 10.8.0.1", std::nullopt, 0}));
}

TEST(TorBootstrap, ReadsProgress) {
  const auto event = parseTorBootstrap(
      "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=14 TAG=handshake "
      "SUMMARY=\"Handshaking with a relay\"");
  EXPECT_EQ(event, (TorProgress{14, "Handshaking with a relay"}));
  EXPECT_EQ(parseTorBootstrap("250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done "
                              "SUMMARY=\"Done\""),
            (TorProgress{100, "Done"}));
  for (const char* line : {"", "250 OK", "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=101",
                           "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=-1",
                           "650 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED"})
    EXPECT_FALSE(parseTorBootstrap(line)) << line;
}

}  // namespace
}  // namespace orrery
