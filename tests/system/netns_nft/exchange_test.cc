// What is written is what is read back; all or nothing; nothing of others is touched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/system/netns_nft/lab.h"
#include "tests/unit/netns/nft/every_expr.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using nft::Chain;
using nft::Rule;
using nft::Ruleset;
using nft::Table;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<samples::Sample> everyRuleset() {
  auto list = samples::all();
  list.push_back({"every expression", nft::everyExpr()});
  list.push_back({"empty", {}});
  return list;
}

bool hasUnknown(const Ruleset& ruleset) {
  for (const Table& table : ruleset.tables)
    for (const Chain& chain : table.chains)
      for (const Rule& rule : chain.rules)
        for (const nft::Expr& expr : rule.exprs)
          if (std::holds_alternative<nft::Unknown>(expr)) return true;
  return false;
}

TEST(NftExchange, WhatIsWrittenIsReadBack) {
  for (const auto& sample : everyRuleset()) {
    const NetnsFd netns = lab::makeNetns();
    NftSocket socket = lab::nftIn(netns);
    const Status replaced = replaceRuleset(socket, sample.ruleset);
    ASSERT_TRUE(replaced) << sample.name << ": " << replaced.error().message;
    const auto dump = dumpCountedRuleset(socket);
    ASSERT_TRUE(dump) << dump.error().message;
    EXPECT_EQ(dump->ruleset, nft::canonical(sample.ruleset)) << sample.name;
    EXPECT_EQ(nft::toText(dump->ruleset), nft::toText(nft::canonical(sample.ruleset)));
    EXPECT_TRUE(dump->foreign.empty());
  }
}

// nft would merge these (10.0.0.0/8, 1-8) in its listing; the kernel and our dump keep them apart.
TEST(NftExchange, AdjacentIntervalsStayApart) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  const nft::Port ports{nft::Side::destination, {{1, 7}, {8, 8}, {65535, 65535}}};
  const nft::Address addresses{nft::Side::source,
                               {nft::net("10.0.0.0/9"), nft::net("10.128.0.0/9")}};
  const Rule rule{{addresses, nft::L4Proto{{6}}, ports, nft::Drop{}}, "", false};
  const Ruleset ruleset{{{nft::Family::ip, nft::kTableName, {{"c", std::nullopt, {rule}}}}}};
  ASSERT_TRUE(replaceRuleset(socket, ruleset));
  EXPECT_EQ(dumpRuleset(socket).value(), ruleset);
}

TEST(NftExchange, ReplacingLeavesNothingOfTheOldOne) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  for (const auto& sample : everyRuleset()) {
    ASSERT_TRUE(replaceRuleset(socket, sample.ruleset)) << sample.name;
    EXPECT_EQ(dumpRuleset(socket).value(), nft::canonical(sample.ruleset)) << sample.name;
  }
  ASSERT_TRUE(replaceRuleset(socket, samples::all()[0].ruleset));
  ASSERT_TRUE(deleteRuleset(socket));
  EXPECT_EQ(dumpRuleset(socket).value(), Ruleset{});
  ASSERT_TRUE(deleteRuleset(socket)) << "nothing there is fine";
}

TEST(NftExchange, TablesOfOthersAreNamedAndLeftAlone) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  lab::run(netns,
           "nft 'add table ip other; add chain ip other c; add rule ip other c counter drop; "
           "add table inet filter'");
  const std::string before = lab::run(netns, "nft list ruleset");
  ASSERT_TRUE(replaceRuleset(socket, lanRuleset(samples::star())));
  const auto dump = dumpCountedRuleset(socket);
  ASSERT_TRUE(dump);
  EXPECT_EQ(dump->ruleset, lanRuleset(samples::star()));
  EXPECT_THAT(dump->foreign, ElementsAre("ip other", "inet filter"));
  ASSERT_TRUE(deleteRuleset(socket));
  EXPECT_EQ(lab::run(netns, "nft list ruleset"), before);
}

TEST(NftExchange, AFailureNamesTheRuleAndChangesNothing) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  const Ruleset good = lanRuleset(samples::universe());
  ASSERT_TRUE(replaceRuleset(socket, good));
  Ruleset bad = lanRuleset(samples::star());
  bad.tables[0].chains[2].rules.insert(bad.tables[0].chains[2].rules.begin(),
                                       Rule{{nft::Jump{"nowhere"}}, "", false});
  const Status status = replaceRuleset(socket, bad);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().err, ENOENT);
  EXPECT_THAT(status.error().message,
              StartsWith("rule 1 of chain ip orrery/input (jump nowhere): "));
  EXPECT_EQ(dumpRuleset(socket).value(), good);
}

TEST(NftExchange, AFailedBatchOfManyRulesLeavesTheSocketUsable) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  Chain chain{"c", std::nullopt, {}};
  for (int i = 0; i < 300; ++i) chain.rules.push_back({{nft::Jump{"nowhere"}}, "", false});
  const Status status = replaceRuleset(socket, {{{nft::Family::ip, nft::kTableName, {chain}}}});
  ASSERT_FALSE(status);
  EXPECT_TRUE(replaceRuleset(socket, lanRuleset(samples::star())));
  EXPECT_EQ(dumpRuleset(socket).value(), lanRuleset(samples::star()));
}

TEST(NftExchange, TheKernelsOwnObjectionIsReported) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  Chain chain{
      "nat", nft::Base{nft::ChainType::nat, nft::Hook::prerouting, 0, nft::Policy::drop, {}}, {}};
  const Status status = replaceRuleset(socket, {{{nft::Family::bridge, nft::kTableName, {chain}}}});
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("chain bridge orrery/nat: "));
}

TEST(NftExchange, WhatCannotBeWrittenIsRefusedBeforeAnythingIsSent) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  const auto with = [](Rule rule) {
    return Ruleset{{{nft::Family::ip, nft::kTableName, {{"c", std::nullopt, {std::move(rule)}}}}}};
  };
  std::vector<Prefix4> many;
  for (std::uint32_t i = 0; i < 300; ++i) many.push_back({Ipv4{0x0a000000 + 2 * i}, 32});
  const std::pair<Ruleset, const char*> cases[] = {
      {with({{nft::Unknown{"quota"}}, "", false}), "rule 1 of chain ip orrery/c: an unknown"},
      {with({{nft::Interface{nft::Direction::in, {}}}, "", false}), "an empty list"},
      {with({{nft::Interface{nft::Direction::in, {"sixteen-letters!"}}}, "", false}), "1 to 15"},
      {with({{nft::Interface{nft::Direction::in, {""}}}, "", false}), "1 to 15"},
      {with({{nft::Address{nft::Side::source, many}}, "", false}), "at most 256"},
      {with({{}, std::string(127, 'x'), false}), "a comment of 127 bytes"},
      {with({{nft::Log{std::string(200, 'x'), 1}}, "", false}), "a log prefix of 200"},
      {{{{nft::Family::ip, "filter", {}}}}, "table ip filter: only tables named 'orrery'"},
      {{{{nft::Family::arp,
          nft::kTableName,
          {{"f", nft::Base{nft::ChainType::filter, nft::Hook::forward, 0}, {}}}}}},
       "family arp has no hook forward"},
      {{{{nft::Family::netdev,
          nft::kTableName,
          {{"f", nft::Base{nft::ChainType::filter, nft::Hook::ingress, 0}, {}}}}}},
       "a device belongs to family netdev"},
  };
  for (const auto& [ruleset, text] : cases) {
    const Status status = replaceRuleset(socket, ruleset);
    ASSERT_FALSE(status) << text;
    EXPECT_THAT(status.error().message, HasSubstr(text));
  }
  EXPECT_EQ(dumpRuleset(socket).value(), Ruleset{});
}

// Whatever another hand does to our tables shows as a difference.
TEST(NftExchange, EveryForeignChangeShows) {
  const char* const changes[] = {
      "insert rule ip orrery input quota 25 mbytes accept",
      "insert rule ip orrery input meta skuid 0 accept",
      "insert rule ip orrery input ip saddr 10.0.0.1-10.0.0.6 accept",
      "insert rule ip orrery input ip ttl 3 accept",
      "insert rule ip orrery input tcp dport vmap { 1 : accept, 2 : drop }",
      "insert rule ip orrery input ct mark 3 accept",
      "insert rule ip orrery input meta mark and 0xff == 1 accept",
      "insert rule ip orrery input ip saddr 1.2.3.4 ip dscp set cs1",
      "insert rule ip orrery input numgen random mod 2 == 0 accept",
      "insert rule ip orrery input iifname \"star*\" accept",
      "insert rule ip orrery input ct count over 3 accept",
      "insert rule ip orrery input log level warn",
      "insert rule ip orrery input queue",
      "add set ip orrery named { type ipv4_addr; }",
      "add chain ip orrery extra",
      "add table ip orrery { flags dormant; }",
      "chain ip orrery forward { policy accept; }",
      "flush chain ip orrery forward",
      "add table inet orrery",
  };
  const Ruleset ours = lanRuleset(samples::star());
  int tried = 0;
  for (const char* change : changes) {
    const NetnsFd netns = lab::makeNetns();
    NftSocket socket = lab::nftIn(netns);
    ASSERT_TRUE(replaceRuleset(socket, ours));
    const auto outcome = lab::tryRun(netns, std::string("nft '") + change + "'");
    if (outcome.status != 0) continue;  // an expression that this kernel was built without
    ++tried;
    const auto dump = dumpRuleset(socket);
    ASSERT_TRUE(dump) << change << ": " << dump.error().message;
    EXPECT_NE(*dump, ours) << change;
    ASSERT_TRUE(replaceRuleset(socket, ours));
    EXPECT_EQ(dumpRuleset(socket).value(), ours) << change;
  }
  EXPECT_GE(tried, 15);
}

TEST(NftExchange, TheLibrarysIgnoranceOfAnExpressionHidesNoRule) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  lab::run(netns,
           "nft 'add table ip orrery; add chain ip orrery c; "
           "add rule ip orrery c quota 1 mbytes accept; add rule ip orrery c counter drop'");
  const auto dump = dumpRuleset(socket);
  ASSERT_TRUE(dump);
  ASSERT_EQ(dump->tables.size(), 1u);
  ASSERT_EQ(dump->tables[0].chains.size(), 1u);
  ASSERT_EQ(dump->tables[0].chains[0].rules.size(), 2u);
  EXPECT_TRUE(hasUnknown(*dump));
}

TEST(NftExchange, OneQuestionAndOneBatch) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(replaceRuleset(socket, lanRuleset(samples::universe())));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(socket.cost().sends, 2u);
  RecordProperty(
      "microseconds",
      static_cast<int>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  RecordProperty("messages", static_cast<int>(socket.cost().messages));
  RecordProperty("bytes", static_cast<int>(socket.cost().bytes));
}

TEST(NftExchange, ALargeRulesetFitsOneBatch) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket socket = lab::nftIn(netns);
  Chain chain{"c", std::nullopt, {}};
  std::vector<Prefix4> many;
  for (std::uint32_t i = 0; i < 256; ++i) many.push_back({Ipv4{0x0a000000 + 2 * i}, 32});
  for (int i = 0; i < 100; ++i)
    chain.rules.push_back({{nft::Address{nft::Side::source, many}, nft::Drop{}}, "many", true});
  const Ruleset ruleset{{{nft::Family::ip, nft::kTableName, {chain}}}};
  const Status status = replaceRuleset(socket, ruleset);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(socket.cost().sends, 2u);
  EXPECT_EQ(dumpRuleset(socket).value(), ruleset);
}

}  // namespace
}  // namespace orrery
