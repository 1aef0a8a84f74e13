#include "runtime/supervisor/blocked_calls.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

using std::chrono::seconds;
using Time = BlockedCalls::Time;

const Time kStart{};
Time at(int s) {
  return kStart + seconds(1000 + s);
}
BlockedCall call(const std::string& arguments = "") {
  return {"socket", arguments, "errno:EPERM", 7};
}

TEST(BlockedCalls, TellTheFirstAtOnceAndSumUpTheRest) {
  BlockedCalls blocked;
  const auto first = blocked.add(41, call("one"), at(0));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->count, 1U);
  EXPECT_EQ(first->last.arguments, "one");
  EXPECT_FALSE(blocked.nextDue()) << "nothing is untold: no timer";
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(blocked.add(41, call("more"), at(1)));
  ASSERT_TRUE(blocked.nextDue());
  EXPECT_EQ(*blocked.nextDue(), at(10));
  EXPECT_TRUE(blocked.due(at(9)).empty());
  const auto sums = blocked.due(at(10));
  ASSERT_EQ(sums.size(), 1U);
  EXPECT_EQ(sums[0].count, 5U);
  EXPECT_EQ(sums[0].total, 6U);
  EXPECT_EQ(sums[0].last.arguments, "more");
  EXPECT_FALSE(blocked.nextDue());
}

TEST(BlockedCalls, PauseLongerAsLongAsItGoesOn) {
  BlockedCalls blocked;
  (void)blocked.add(41, call(), at(0));
  int last = 0;
  std::vector<int> gaps;
  for (int s = 0; s < 4000; ++s) {
    EXPECT_FALSE(blocked.add(41, call(), at(s)));
    if (blocked.due(at(s)).empty()) continue;
    gaps.push_back(s - last);
    last = s;
  }
  EXPECT_EQ(gaps, (std::vector<int>{10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600}));
}

TEST(BlockedCalls, BeginAnewAfterAPause) {
  BlockedCalls blocked;
  EXPECT_TRUE(blocked.add(41, call(), at(0)));
  const auto again = blocked.add(41, call(), at(11));
  ASSERT_TRUE(again) << "the pause went by without any";
  EXPECT_EQ(again->count, 1U);
  EXPECT_EQ(again->total, 2U);
  EXPECT_FALSE(blocked.add(41, call(), at(12)));
  EXPECT_FALSE(blocked.add(41, call(), at(100))) << "an untold one waits for due(), told only once";
  EXPECT_EQ(blocked.due(at(100)).size(), 1U);
}

TEST(BlockedCalls, KeepKindsApartUpToALimit) {
  BlockedCalls blocked;
  for (int i = 0; i < int{BlockedCalls::kMaxKinds}; ++i)
    EXPECT_TRUE(blocked.add(i, call(), at(0))) << i;
  EXPECT_TRUE(blocked.add(1000, call(), at(0))) << "the first of all others";
  for (int i = 1001; i < 5000; ++i) EXPECT_FALSE(blocked.add(i, call(), at(0))) << i;
  const auto rest = blocked.rest();
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].count, 3999U);
  EXPECT_TRUE(blocked.rest().empty());
}

}  // namespace
}  // namespace orrery
