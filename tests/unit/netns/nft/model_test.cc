#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "netns/nft/text.h"
#include "netns/nft/vm.h"
#include "tests/unit/netns/nft/every_expr.h"

namespace orrery::nft {
namespace {

using testing::HasSubstr;

bool hasUnknown(const Rule& rule) {
  for (const Expr& expr : rule.exprs)
    if (std::holds_alternative<Unknown>(expr)) return true;
  return false;
}

TEST(NftModel, EveryExpressionComesBackFromItsInstructions) {
  const Ruleset ruleset = canonical(everyExpr());
  int rules = 0;
  for (const Table& table : ruleset.tables)
    for (const Chain& chain : table.chains)
      for (const Rule& rule : chain.rules) {
        Rule lifted = vm::lift(vm::lower(rule, table.family), table.family, nullptr);
        lifted.comment = rule.comment;
        EXPECT_EQ(lifted, rule) << toText(rule, table.family) << "\n"
                                << toText(lifted, table.family);
        ++rules;
      }
  EXPECT_GT(rules, 60);
}

// Apart from every_expr.h: nft itself has no words for it.
TEST(NftModel, AFilterProgramComesBackFromItsBytesAndNoOther) {
  const Rule rule{{Bpf{{{0x28, 0, 0, 0xffe0000c}, {0x15, 0, 1, 0x800}, {6, 0, 0, 1}, {6, 0, 0, 0}}},
                   Drop{}},
                  "",
                  true};
  const auto ops = vm::lower(rule, Family::bridge);
  ASSERT_EQ(ops.size(), 3u);
  EXPECT_EQ(vm::lift(ops, Family::bridge, nullptr), rule);
  EXPECT_EQ(toText(rule, Family::bridge),
            "xt match bpf \"4,40 0 0 4292870156,21 0 1 2048,6 0 0 1,6 0 0 0\" drop");
  for (std::size_t a = 0; a < ops[0].attributes.size(); ++a)
    for (std::size_t byte = 0; byte < ops[0].attributes[a].second.size(); ++byte) {
      auto changed = ops;
      char& value = changed[0].attributes[a].second[byte];
      value = static_cast<char>(value ^ 0x40);
      EXPECT_NE(vm::lift(changed, Family::bridge, nullptr), rule) << a << ", " << byte;
    }
  auto cut = ops;
  cut[0].attributes.back().second.pop_back();
  EXPECT_TRUE(hasUnknown(vm::lift(cut, Family::bridge, nullptr)));
}

// Any instruction changed in any attribute, dropped or doubled must not read as the same rule.
TEST(NftModel, AChangedInstructionNeverReadsAsTheSameRule) {
  for (const Table& table : canonical(everyExpr()).tables)
    for (const Chain& chain : table.chains)
      for (const Rule& rule : chain.rules) {
        const auto ops = vm::lower(rule, table.family);
        for (std::size_t i = 0; i < ops.size(); ++i) {
          if (ops[i].name == "counter") continue;
          auto without = ops;
          without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
          Rule lifted = vm::lift(without, table.family, nullptr);
          lifted.comment = rule.comment;
          EXPECT_NE(lifted, rule) << "without " << ops[i].name;
          for (std::size_t a = 0; a < ops[i].attributes.size(); ++a) {
            auto changed = ops;
            std::string& value = changed[i].attributes[a].second;
            value[0] = static_cast<char>(value[0] ^ 0x40);
            lifted = vm::lift(changed, table.family, nullptr);
            lifted.comment = rule.comment;
            EXPECT_NE(lifted, rule) << ops[i].name << " attribute " << a;
          }
          for (std::size_t a = 0; !ops[i].inner.empty() && a < ops[i].inner[0].attributes.size();
               ++a) {
            auto changed = ops;
            std::string& value = changed[i].inner[0].attributes[a].second;
            value[0] = static_cast<char>(value[0] ^ 0x40);
            lifted = vm::lift(changed, table.family, nullptr);
            lifted.comment = rule.comment;
            EXPECT_NE(lifted, rule) << ops[i].inner[0].name << " attribute " << a;
          }
        }
      }
}

TEST(NftModel, ShortOrStrangeInstructionsAreUnknownAndNeverCrash) {
  const std::vector<std::string> names = {
      "meta",  "payload",   "bitwise", "cmp",   "range",  "lookup",    "ct",     "fib",
      "limit", "immediate", "reject",  "masq",  "nat",    "redir",     "tproxy", "log",
      "rt",    "byteorder", "exthdr",  "quota", "dynset", "connlimit", ""};
  std::uint32_t seed = 7;
  const auto next = [&seed] { return seed = seed * 1664525u + 1013904223u, seed >> 16; };
  for (int round = 0; round < 20000; ++round) {
    std::vector<vm::Op> ops(1 + next() % 4);
    for (vm::Op& op : ops) {
      op.name = names[next() % names.size()];
      for (std::uint16_t a = 1; a <= next() % 7; ++a)
        op.attributes.emplace_back(a, std::string(next() % 9, static_cast<char>(next() % 32)));
      if (next() % 4 == 0) op.inner.push_back({next() % 2 == 0 ? "limit" : "connlimit", {}, {}});
      if (next() % 4 == 0) {
        op.set.emplace();
        op.set->interval = next() % 2 == 0;
        for (std::uint32_t e = 0; e < next() % 4; ++e)
          op.set->elements.push_back({std::string(next() % 7, 'x'), next() % 2 == 0});
      }
    }
    const Rule rule = vm::lift(ops, Family::ip, nullptr);
    // What is not unknown must be writable and give back these very instructions.
    if (!hasUnknown(rule) && !rule.counter) {
      EXPECT_EQ(vm::lower(rule, Family::ip), ops);
    }
  }
}

TEST(NftModel, CanonicalSortsSetsAndCutsHostBits) {
  Ruleset ruleset;
  ruleset.tables.push_back({Family::bridge, kTableName, {}});
  Rule rule;
  rule.exprs = {
      Address{Side::source, {net("192.168.1.7/24"), net("10.0.0.1/32"), net("10.0.0.1/32")}},
      L4Proto{{17, 6, 17}}};
  ruleset.tables.push_back({Family::ip, kTableName, {{"c", std::nullopt, {rule}}}});
  const Ruleset result = canonical(ruleset);
  ASSERT_EQ(result.tables.size(), 2u);
  EXPECT_EQ(result.tables[0].family, Family::ip);
  const auto& exprs = result.tables[0].chains[0].rules[0].exprs;
  EXPECT_EQ(std::get<Address>(exprs[0]).prefixes,
            (std::vector<Prefix4>{net("10.0.0.1/32"), net("192.168.1.0/24")}));
  EXPECT_EQ(std::get<L4Proto>(exprs[1]).protocols, (std::vector<std::uint8_t>{6, 17}));
  EXPECT_EQ(canonical(result), result);
}

TEST(NftText, PrintsCountersAndComments) {
  CountedRuleset counted;
  counted.ruleset.tables.push_back({Family::ip, kTableName, {{"c", std::nullopt, {}}}});
  auto& rules = counted.ruleset.tables[0].chains[0].rules;
  rules.push_back({{Interface{Direction::in, {"br"}}, Drop{}}, "spoofed", true});
  rules.push_back({{Accept{}}, "fine", true});
  counted.counts = {{{{12, 720}, {3, 180}}}};
  EXPECT_THAT(toText(counted),
              HasSubstr("iifname \"br\" counter packets 12 bytes 720 drop comment \"spoofed\"\n"));
  const auto named = namedCounts(counted);
  ASSERT_EQ(named.size(), 2u);
  EXPECT_EQ(named[0].name, "spoofed");
  EXPECT_TRUE(named[0].drops);
  EXPECT_EQ(named[0].count.packets, 12u);
  EXPECT_FALSE(named[1].drops);
}

TEST(NftText, NothingInAStringCanEndIt) {
  const Rule rule{{Interface{Direction::in, {"a\" accept"}}, Drop{}}, "x\"\ny\\", false};
  EXPECT_EQ(toText(rule, Family::ip), "iifname \"a? accept\" drop comment \"x??y?\"");
}

TEST(NftText, AnUnknownExpressionMakesAComment) {
  const Rule rule{{Unknown{"quota"}, Accept{}}, "", false};
  EXPECT_EQ(toText(rule, Family::ip), "# unknown(\"quota\") accept");
}

}  // namespace
}  // namespace orrery::nft
