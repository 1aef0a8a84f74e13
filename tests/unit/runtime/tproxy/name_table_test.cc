#include "runtime/tproxy/name_table.h"

#include <gtest/gtest.h>

#include <set>

namespace orrery::tproxy {
namespace {

const Prefix4 kRange{Ipv4{0x0ac00000}, 10};
const Prefix4 kTiny{Ipv4{0x0ac00000}, 29};  // six usable addresses

std::string name(int i) {
  return "n" + std::to_string(i) + ".example";
}

TEST(NameTable, GivesBackWhatItGave) {
  NameTable table(kRange, 100, 7);
  const auto a = table.addressOf("a.example");
  const auto b = table.addressOf("b.example");
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  EXPECT_EQ(table.addressOf("a.example"), a);
  EXPECT_EQ(table.nameOf(*a), "a.example");
  EXPECT_EQ(table.nameOf(*b), "b.example");
  EXPECT_EQ(table.size(), 2u);
  EXPECT_FALSE(table.nameOf(Ipv4{0x0ac0ffff}));
}

TEST(NameTable, LeastRecentlyUsedGoesFirst) {
  NameTable table(kRange, 3, 0);
  const auto a = table.addressOf("a");
  const auto b = table.addressOf("b");
  const auto c = table.addressOf("c");
  table.addressOf("a");
  const auto d = table.addressOf("d");
  EXPECT_FALSE(table.nameOf(*b));
  EXPECT_EQ(table.nameOf(*a), "a");
  EXPECT_EQ(table.nameOf(*c), "c");
  EXPECT_EQ(table.nameOf(*d), "d");
  EXPECT_EQ(table.size(), 3u);
}

TEST(NameTable, AnAddressIsNotReusedBeforeAllOthers) {
  NameTable table(kTiny, 2, 3);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 6; ++i) {
    const auto address = table.addressOf(name(i));
    ASSERT_TRUE(address);
    EXPECT_TRUE(seen.insert(address->value).second) << i;
    EXPECT_NE(*address, kTiny.network());
    EXPECT_NE(*address, kTiny.broadcast());
    EXPECT_TRUE(table.contains(*address));
  }
  EXPECT_TRUE(seen.contains(table.addressOf(name(6))->value));
}

TEST(NameTable, PinnedNamesStay) {
  NameTable table(kRange, 2, 0);
  const auto a = table.addressOf("a");
  table.pin(*a);
  table.pin(*a);
  for (int i = 0; i < 10; ++i) table.addressOf(name(i));
  EXPECT_EQ(table.nameOf(*a), "a");
  table.unpin(*a);
  for (int i = 0; i < 10; ++i) table.addressOf(name(i));
  EXPECT_EQ(table.nameOf(*a), "a") << "one pin is left";
  table.unpin(*a);
  for (int i = 0; i < 10; ++i) table.addressOf(name(i));
  EXPECT_FALSE(table.nameOf(*a));
}

TEST(NameTable, ExhaustedByPins) {
  NameTable table(kRange, 2, 0);
  const auto a = table.addressOf("a");
  const auto b = table.addressOf("b");
  table.pin(*a);
  table.pin(*b);
  EXPECT_FALSE(table.addressOf("c"));
  EXPECT_EQ(table.addressOf("a"), a) << "known names are still answered";
  table.unpin(*b);
  EXPECT_TRUE(table.addressOf("c"));
  EXPECT_FALSE(table.nameOf(*b));
}

TEST(NameTable, WholeRangeInUseGivesTheOldestAddressAgain) {
  NameTable table(kTiny, 100, 5);
  std::vector<Ipv4> addresses;
  for (int i = 0; i < 6; ++i) addresses.push_back(*table.addressOf(name(i)));
  EXPECT_EQ(table.size(), 6u);
  EXPECT_EQ(table.addressOf(name(6)), addresses[0]);
  EXPECT_EQ(table.nameOf(addresses[0]), name(6));
}

TEST(NameTable, StrayUnpinsAreHarmless) {
  NameTable table(kRange, 2, 0);
  const auto a = table.addressOf("a");
  table.unpin(*a);
  table.unpin(Ipv4{1});
  table.pin(Ipv4{1});
  table.addressOf("b");
  table.addressOf("c");
  EXPECT_FALSE(table.nameOf(*a));
}

TEST(NameTable, ManyNames) {
  NameTable table(kRange, 1000, 4'000'000);
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(table.addressOf(name(i)));
  EXPECT_EQ(table.size(), 1000u);
  for (int i = 19'000; i < 20'000; ++i) {
    EXPECT_EQ(table.nameOf(*table.addressOf(name(i))), name(i));
  }
}

}  // namespace
}  // namespace orrery::tproxy
