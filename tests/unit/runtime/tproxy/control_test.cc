#include "runtime/tproxy/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::tproxy {
namespace {

using ::testing::HasSubstr;

TEST(TproxyControl, Commands) {
  EXPECT_TRUE(std::holds_alternative<StatsCommand>(*parseCommand(R"({"stats":true})")));
  EXPECT_TRUE(std::holds_alternative<CutCommand>(*parseCommand(R"( {"cut":"all"} )")));
  const auto epoch = parseCommand(R"({"epoch":"7"})");
  ASSERT_TRUE(epoch);
  EXPECT_EQ(std::get<EpochCommand>(*epoch).epoch, "7");
}

TEST(TproxyControl, RefusesTheRest) {
  for (const char* line :
       {"", "{", "[]", "null", "{}", R"({"stats":false})", R"({"stats":1})", R"({"cut":"some"})",
        R"({"cut":true})", R"({"epoch":7})", R"({"epoch":""})", R"({"epoch":"a b"})",
        R"({"epoch":"a\nb"})", R"({"epoch":"123456789012345678901234567890123"})",
        R"({"stats":true,"cut":"all"})", R"({"quit":true})"}) {
    EXPECT_FALSE(parseCommand(line)) << line;
  }
}

TEST(TproxyControl, DeepNestingIsNoTrouble) {
  EXPECT_FALSE(parseCommand(std::string(4096, '[')));
}

TEST(TproxyControl, Lines) {
  Counters counters;
  counters.accepted = 5;
  counters.count(End::cut);
  counters.count(DnsOutcome::nxdomain);
  const std::string line = statsLine(counters, 3, 2);
  EXPECT_THAT(line, HasSubstr(R"("open":3,"names":2,"accepted":5)"));
  EXPECT_THAT(line, HasSubstr(R"("cut":1)"));
  EXPECT_THAT(line, HasSubstr(R"("nxdomain":1)"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(cutLine(2), R"({"ok":true,"cut":2})");
  EXPECT_EQ(upstreamLine(true, ""), R"({"event":"upstream","reachable":true})");
  EXPECT_EQ(errorLine("a\"b\n"), R"({"error":"a\"b\n"})");
}

TEST(TproxyControl, EveryCounterHasAName) {
  for (std::size_t i = 0; i < kEnds; ++i) EXPECT_STRNE(toString(static_cast<End>(i)), "?");
  EXPECT_STREQ(toString(static_cast<End>(kEnds)), "?");
  for (std::size_t i = 0; i < kDnsOutcomes; ++i) {
    EXPECT_STRNE(toString(static_cast<DnsOutcome>(i)), "?");
  }
  EXPECT_STREQ(toString(static_cast<DnsOutcome>(kDnsOutcomes)), "?");
}

}  // namespace
}  // namespace orrery::tproxy
