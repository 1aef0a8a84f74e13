#include "runtime/tproxy/resolver.h"

#include <gtest/gtest.h>

#include "dns_messages.h"

namespace orrery::tproxy {
namespace {

using namespace testing;

class Resolver : public ::testing::Test {
 protected:
  Bytes ask(const Bytes& message) {
    const auto reply = answerQuery(message, names_, counters_, out_);
    return Bytes(reply.begin(), reply.end());
  }
  static int rcode(const Bytes& reply) { return reply.at(3) & 0x0f; }
  static int answers(const Bytes& reply) { return reply.at(7); }

  NameTable names_{Prefix4{Ipv4{0x0ac00000}, 10}, 4, 0};
  Counters counters_;
  std::array<std::uint8_t, dns::kMaxReply> out_{};
};

struct Case {
  const char* name;
  unsigned type;
  unsigned klass;
  int rcode;
  int answers;
  DnsOutcome outcome;
};

TEST_F(Resolver, Table) {
  const Case cases[] = {
      {"example.com", 1, 1, 0, 1, DnsOutcome::answered},
      {"Example.COM", 1, 1, 0, 1, DnsOutcome::answered},
      {"abcdefghij234567.onion", 1, 1, 0, 1, DnsOutcome::answered},
      {"example.com", 28, 1, 0, 0, DnsOutcome::empty},
      {"example.com", 64, 1, 0, 0, DnsOutcome::empty},
      {"example.com", 65, 1, 0, 0, DnsOutcome::empty},
      {"", 1, 1, 0, 0, DnsOutcome::empty},
      {"example.com", 255, 1, 4, 0, DnsOutcome::notImplemented},
      {"example.com", 15, 1, 4, 0, DnsOutcome::notImplemented},
      {"example.com", 16, 1, 4, 0, DnsOutcome::notImplemented},
      {"example.com", 252, 1, 4, 0, DnsOutcome::notImplemented},
      {"version.bind", 16, 3, 4, 0, DnsOutcome::notImplemented},
      {"localhost", 1, 1, 3, 0, DnsOutcome::nxdomain},
      {"printer.local", 1, 1, 3, 0, DnsOutcome::nxdomain},
      {"printer.local", 28, 1, 3, 0, DnsOutcome::nxdomain},
      {"10.0.0.1", 1, 1, 3, 0, DnsOutcome::nxdomain},
      {"a b.example", 1, 1, 3, 0, DnsOutcome::nxdomain},
      {"1.0.0.127.in-addr.arpa", 12, 1, 3, 0, DnsOutcome::nxdomain},
      {"1.0.168.192.in-addr.arpa", 1, 1, 3, 0, DnsOutcome::nxdomain},
      {"8.8.8.8.in-addr.arpa", 12, 1, 3, 0, DnsOutcome::nxdomain},
  };
  for (const Case& c : cases) {
    const auto before = counters_.of(c.outcome);
    const Bytes reply = ask(query(c.name, c.type, c.klass));
    ASSERT_GE(reply.size(), 12u) << c.name;
    EXPECT_EQ(rcode(reply), c.rcode) << c.name << " " << c.type;
    EXPECT_EQ(answers(reply), c.answers) << c.name << " " << c.type;
    EXPECT_EQ(counters_.of(c.outcome), before + 1) << c.name << " " << c.type;
  }
  EXPECT_EQ(counters_.dnsQueries, std::size(cases));
}

TEST_F(Resolver, PtrOfWhatItGave) {
  const auto address = names_.addressOf("a.example");
  const Bytes reply = ask(query("1.0.192.10.in-addr.arpa", 12));
  ASSERT_EQ(address, Ipv4{0x0ac00001});
  EXPECT_EQ(answers(reply), 1);
  const Bytes tail(reply.end() - 11, reply.end());
  EXPECT_EQ(tail, wireName("a.example"));
}

TEST_F(Resolver, ServfailWhenEveryNameIsInUse) {
  for (const char* name : {"a", "b", "c", "d"}) names_.pin(*names_.addressOf(name));
  EXPECT_EQ(rcode(ask(query("e"))), 2);
  EXPECT_EQ(counters_.of(DnsOutcome::exhausted), 1u);
  EXPECT_EQ(rcode(ask(query("a"))), 0);
}

TEST_F(Resolver, SaysNothingToAnswers) {
  EXPECT_TRUE(ask(message({.flags = 0x8000}, question(wireName("a")))).empty());
  EXPECT_EQ(counters_.of(DnsOutcome::malformed), 1u);
}

TEST_F(Resolver, Refuses) {
  const auto reply = refuseQuery(query("a"), counters_, out_);
  EXPECT_EQ(reply[3] & 0x0f, 5);
  EXPECT_EQ(counters_.of(DnsOutcome::limited), 1u);
  EXPECT_TRUE(refuseQuery(Bytes{1, 2, 3}, counters_, out_).empty());
}

TEST(RateLimiter, BurstThenRate) {
  RateLimiter limiter(10, 3);
  const Ipv4 one{0x0a020201};
  const Ipv4 two{0x0a020202};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.allow(one, 1000));
  EXPECT_FALSE(limiter.allow(one, 1000));
  EXPECT_TRUE(limiter.allow(two, 1000)) << "each client has its own";
  EXPECT_FALSE(limiter.allow(one, 1099));
  EXPECT_TRUE(limiter.allow(one, 1100));
  EXPECT_FALSE(limiter.allow(one, 1100));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.allow(one, 100'000'000'000)) << "full, no more";
  EXPECT_FALSE(limiter.allow(one, 100'000'000'000));
  EXPECT_FALSE(limiter.allow(one, 1)) << "a clock that steps back gives nothing";
}

}  // namespace
}  // namespace orrery::tproxy
