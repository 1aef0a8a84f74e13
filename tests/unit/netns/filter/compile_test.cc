// Expressions by libpcap, and that none which passes checkExpression() makes it ask a resolver.
#include "netns/pcap/compile.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <random>
#include <string>
#include <vector>

#include "routers/contract/frame_builder.h"
#include "routers/spec/filter_expression.h"
#include "sandbox/base/strings.h"
#include "tests/unit/netns/filter/resolver.h"
#include "tests/unit/netns/filter/words.h"

namespace orrery {
namespace {

const Prefix4 kLan = parsePrefix4("10.1.1.254/24").value();

const ExpressionCompiler& compiler() {
  static const ExpressionCompiler kCompiler = std::move(ExpressionCompiler::open()).value();
  return kCompiler;
}

bool matches(const std::string& expression, const frame::Bytes& bytes) {
  const auto program = compiler().compile(expression, kLan);
  EXPECT_TRUE(program) << expression << ": " << program.error().message;
  return program && runProgram(*program, bytes) != 0;
}

frame::Bytes udpTo(const char* to, std::uint16_t port, const Mac& mac = frame::kBroadcast) {
  frame::Ipv4Header head;
  head.source = parseIpv4("10.1.1.5").value();
  head.destination = parseIpv4(to).value();
  return frame::ethernet(mac, Mac{{2, 0, 0, 0, 0, 5}}, frame::kIpv4,
                         frame::udp(head, 5000, port, "x"));
}

TEST(FilterCompile, MeansWhatTcpdumpMeans) {
  const Mac router{{0, 0, 0x10, 1, 1, 0xfe}};
  EXPECT_TRUE(matches("udp port 123", udpTo("192.0.2.1", 123, router)));
  EXPECT_FALSE(matches("udp port 123", udpTo("192.0.2.1", 124, router)));
  EXPECT_TRUE(matches("ether multicast", udpTo("192.0.2.1", 124)));
  EXPECT_FALSE(matches("ether multicast", udpTo("192.0.2.1", 124, router)));
  EXPECT_TRUE(matches("ip broadcast", udpTo("10.1.1.255", 1, router))) << "by the LAN's mask";
  EXPECT_FALSE(matches("ip broadcast", udpTo("10.1.1.254", 1, router)));
  EXPECT_TRUE(matches("dst net 10.1.0.0/16 and not host 10.1.2.3", udpTo("10.1.2.4", 1)));
  EXPECT_TRUE(matches("dst portrange 100-200", udpTo("10.1.2.4", 150)));
  EXPECT_TRUE(matches("udp[8] = 0x78 and udp[4:2] == 9 and len = 43", udpTo("10.1.2.4", 150)));
  EXPECT_FALSE(matches("udp[9] = 0x78", udpTo("10.1.2.4", 150))) << "behind the end";
  EXPECT_FALSE(matches("not udp[9] = 0x78", udpTo("10.1.2.4", 150))) << "no answer either";
}

TEST(FilterCompile, SaysWhatLibpcapSays) {
  const auto message = [](const char* expression) {
    const auto got = compiler().compile(expression, kLan);
    return got ? std::string("fine") : got.error().message;
  };
  EXPECT_EQ(message("udp port"), "libpcap: can't parse filter expression: syntax error");
  EXPECT_EQ(message("ip and arp"), "libpcap: expression rejects all packets");
  std::string many = "port 1";
  for (int port = 2; port < 40; ++port) many += " or port " + std::to_string(port);
  EXPECT_NE(message(many.c_str()).find("at most 64 are possible"), std::string::npos);
}

TEST(FilterExpression, ItsWordsAreLibpcapsAndNobodyElses) {
  const struct {
    const char* expression;
    std::size_t offset, length;  // of the fault
  } kBad[] = {
      {"host bank.example", 5, 12},
      {"udp port domain", 9, 6},
      {"ip proto \\tcp", 9, 1},
      {"ip proto tcpp", 9, 4},
      {"Host 10.1.1.1", 0, 4},
      {"host 1-1024", 5, 6},
      {"portrange 1-1024 or host 1-1024", 25, 6},
      {"len-5 > 3", 0, 5},
      {"net 10.1.1.1.1", 4, 10},
      {"host 10.1.1.256", 5, 10},
      {"host 2001:db8::1", 5, 11},
      {"host ::1", 5, 1},
      {"ether host 52:54:00:ab:cd", 11, 14},
      {"gateway router", 0, 7},
      {"vlan 5", 0, 4},
      {"inbound", 0, 7},
      {"ip protochain 6", 3, 10},
      {"ifname eth0", 0, 6},
      {"$10.1.1.1", 0, 1},
      {"tcp # port", 4, 1},
      {"tcp\x01", 3, 1},
      {"host \xc3\xa9", 5, 1},
      {"", 0, 1},
      {"  \t\n", 0, 1},
      {"port 123x", 5, 4},
      {"tcp.", 0, 4},
      {"host .1", 5, 1},
  };
  for (const auto& bad : kBad) {
    const auto fault = checkExpression(bad.expression);
    ASSERT_TRUE(fault) << bad.expression;
    EXPECT_EQ(fault->offset, bad.offset) << bad.expression;
    EXPECT_EQ(fault->length, bad.length) << bad.expression;
  }
  for (const char* good :
       {"udp port 123 or ether multicast", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "ether host 52:54:00:ab:cd:01", "net 10.1 or net 10.2.0.0/16", "icmp[icmptype] = icmp-echo",
        "ether[0:2] = 0x0102 and len - 14 <= 60", "portrange 1-1024 && !(src 10.1.1.7)",
        "tcp[tcp[12] / 16 * 4 : 2] = 0x1603"}) {
    EXPECT_FALSE(checkExpression(good)) << good << ": " << checkExpression(good)->message;
    const auto program = compiler().compile(good, kLan);
    EXPECT_TRUE(program) << good << ": " << (program ? "" : program.error().message);
  }
  EXPECT_TRUE(checkExpression(std::string(kMaxExpressionSize + 1, ' ')));
}

// The control: this is how libpcap asks, and that the test would hear of it.
TEST(FilterExpression, LibpcapAsksForNamesThatItDoesNotKnow) {
  for (const char* expression : {"host bank.example", "net corporate", "ip proto \\nosuch",
                                 "udp port nosuchservice", "host 1-1024", "host len-5"}) {
    test::askedOfResolver().clear();
    EXPECT_FALSE(compiler().compile(expression, kLan)) << expression;
    EXPECT_FALSE(test::askedOfResolver().empty()) << expression;
  }
}

TEST(FilterExpression, WhatPassesMakesLibpcapAskNobody) {
  std::vector<std::string_view> parts = splitWords(test::kFilterWords);
  for (const char* trap : {"a-b",
                           "1.2.3.4.5",
                           "host1",
                           "a.b",
                           "\\tcp",
                           "::1",
                           "fe80::1",
                           "52-54-00-ab-cd-01",
                           "5254.00ab.cd01",
                           "1.2.3",
                           "icmp-nonsense",
                           "$1.2",
                           "dst-port",
                           "e0",
                           "0e",
                           "9a",
                           "_x",
                           "x_",
                           "1e9",
                           "10.1.1.1:53"})
    parts.emplace_back(trap);
  std::mt19937 random(20261121);
  std::size_t passed = 0, compiled = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string expression;
    const std::size_t length = 1 + random() % 6;
    for (std::size_t i = 0; i < length; ++i)
      (expression += random() % 5 == 0 ? "" : " ").append(parts[random() % parts.size()]);
    if (checkExpression(expression)) continue;
    ++passed;
    test::askedOfResolver().clear();
    compiled += compiler().compile(expression, kLan) ? 1 : 0;
    ASSERT_TRUE(test::askedOfResolver().empty())
        << expression << " asks for " << test::askedOfResolver().front();
  }
  EXPECT_GT(passed, 1000u);
  EXPECT_GT(compiled, 100u);
}

}  // namespace
}  // namespace orrery
