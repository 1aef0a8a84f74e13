#include <gtest/gtest.h>

#include "sandbox/caps/capability_set.h"

namespace orrery {
namespace {

TEST(CapabilitySet, NamesBothWays) {
  struct Case {
    const char* text;
    std::uint64_t bits;
    const char* printed;
  };
  for (const Case& c : {Case{"", 0, "none"}, Case{"none", 0, "none"},
                        Case{"cap_net_raw", 1ULL << 13, "cap_net_raw"},
                        Case{"NET_RAW, chown", 1ULL << 13 | 1, "cap_chown,cap_net_raw"},
                        Case{"cap_checkpoint_restore", 1ULL << 40, "cap_checkpoint_restore"}}) {
    const auto set = CapabilitySet::parse(c.text);
    ASSERT_TRUE(set) << c.text;
    EXPECT_EQ(set->bits(), c.bits);
    EXPECT_EQ(toText(*set), c.printed);
    EXPECT_EQ(*CapabilitySet::parse(toText(*set)), *set);
  }
}

TEST(CapabilitySet, Refused) {
  EXPECT_EQ(CapabilitySet::parse("cap_everything").error().message,
            "'cap_everything' is not the name of a capability, such as cap_net_raw");
  EXPECT_FALSE(CapabilitySet::parse("net_raw,,chown"));
  EXPECT_FALSE(CapabilitySet::fromNumbers({-1}));
  EXPECT_FALSE(CapabilitySet::fromNumbers({64}));
  EXPECT_FALSE(CapabilitySet::fromNumbers({lastCapability() + 1}));
}

TEST(CapabilitySet, Contains) {
  const auto set = CapabilitySet::fromNumbers({0, 13});
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->contains(13));
  EXPECT_FALSE(set->contains(12));
  EXPECT_FALSE(set->contains(-1));
  EXPECT_FALSE(set->contains(64));
  EXPECT_TRUE(CapabilitySet::all().contains(lastCapability()));
  EXPECT_FALSE(CapabilitySet::all().contains(lastCapability() + 1));
  EXPECT_TRUE(CapabilitySet().empty());
}

}  // namespace
}  // namespace orrery
