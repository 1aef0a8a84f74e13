// The laws of plans (docs/ARCHITECTURE.md): idempotence, inverse, all or nothing, deny first.
#include "routers/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "routers/kinds/desired.h"
#include "tests/support/fake_world.h"
#include "tests/support/sample_specs.h"

namespace orrery {
namespace {

using test::FakeJournal;
using test::FakeWorld;

struct Sample {
  const char* name;
  std::vector<Resource> resources;
};

std::vector<Sample> samples() {
  const RouterSpec universe = test::universeSpec();
  const RouterSpec galaxy = test::openvpnSpec();
  return {{"universe", desiredState(universe, test::nicPlacement())},
          {"openvpn", desiredState(galaxy, test::behind(universe, "10.0.0.2"))},
          {"direct", desiredState(test::directSpec(), test::behind(universe, "10.0.0.3"))},
          {"tor", desiredState(test::torSpec(), test::behind(galaxy, "10.1.1.2"))}};
}

std::ptrdiff_t indexOf(const Plan& plan, const std::string& wanted) {
  const auto found = std::ranges::find_if(
      plan, [&](const Step& s) { return s.after && key(*s.after) == wanted; });
  return found == plan.end() ? -1 : found - plan.begin();
}

TEST(Plan, OfWhatIsThereIsEmpty) {
  for (const Sample& s : samples()) EXPECT_TRUE(makePlan(s.resources, s.resources).empty()) << s.name;
}

TEST(Plan, CreatesEverythingInOrder) {
  for (const Sample& s : samples()) {
    const Plan plan = makePlan(s.resources, {});
    ASSERT_EQ(plan.size(), s.resources.size()) << s.name;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      EXPECT_FALSE(plan[i].before);
      EXPECT_EQ(*plan[i].after, s.resources[i]);
    }
  }
}

TEST(Plan, ResourcesHaveKeysOfTheirOwn) {
  for (const Sample& s : samples()) {
    std::set<std::string> keys;
    for (const Resource& r : s.resources) EXPECT_TRUE(keys.insert(key(r)).second) << key(r);
  }
}

TEST(Plan, InverseTwiceIsTheStep) {
  for (const Sample& s : samples())
    for (const Step& step : makePlan(s.resources, {}))
      EXPECT_EQ(inverse(inverse(step)), step);
}

TEST(Plan, FailureAtAnyStepLeavesTheWorldAsItWas) {
  for (const Sample& s : samples()) {
    const Plan plan = makePlan(s.resources, {});
    for (std::size_t k = 0; k < plan.size(); ++k) {
      FakeWorld world;
      world.failAt = static_cast<int>(k);
      FakeJournal journal;
      const Status done = execute(plan, world, journal);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().err, EIO);
      EXPECT_TRUE(world.present.empty()) << s.name << " at step " << k;
      EXPECT_TRUE(done.error().also.empty());
    }
  }
}

TEST(Plan, ReachesWhatIsWanted) {
  for (const Sample& s : samples()) {
    FakeWorld world;
    FakeJournal journal;
    ASSERT_TRUE(execute(makePlan(s.resources, {}), world, journal));
    EXPECT_EQ(world.present, s.resources) << s.name;
    EXPECT_TRUE(makePlan(s.resources, world.present).empty());
  }
}

TEST(Plan, RemovalLeavesNothingFromAnyPrefix) {
  for (const Sample& s : samples()) {
    for (std::size_t k = 0; k <= s.resources.size(); ++k) {
      FakeWorld world;
      world.present.assign(s.resources.begin(), s.resources.begin() + static_cast<long>(k));
      FakeJournal journal;
      ASSERT_TRUE(executeAll(makePlan({}, world.present), world, journal));
      EXPECT_TRUE(world.present.empty()) << s.name << " of " << k;
    }
  }
}

TEST(Plan, RemovalTwiceIsFine) {
  for (const Sample& s : samples()) {
    FakeWorld world;
    world.present = s.resources;
    FakeJournal journal;
    const Plan removal = makePlan({}, s.resources);
    ASSERT_TRUE(executeAll(removal, world, journal));
    EXPECT_TRUE(executeAll(removal, world, journal));
  }
}

TEST(Plan, RemovalGoesOnAfterAFailureAndTellsIt) {
  const auto resources = samples()[1].resources;
  FakeWorld world;
  world.present = resources;
  world.failAt = 0;
  FakeJournal journal;
  const Plan removal = makePlan({}, resources);
  const Status done = executeAll(removal, world, journal);
  ASSERT_FALSE(done);
  EXPECT_EQ(world.calls, static_cast<int>(removal.size()));
}

// Deny first: in each namespace IPv6 is off and the ruleset stands before the first link is made
// or brought up, and the link that leads out comes after everything else of the network.
TEST(Plan, ClosesBeforeItConnects) {
  for (const Sample& s : samples()) {
    const Plan plan = makePlan(s.resources, {});
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const Resource& r = *plan[i].after;
      const std::string* netns = netnsOf(r);
      if (netns == nullptr || std::holds_alternative<SysctlsResource>(r) ||
          std::holds_alternative<RulesetResource>(r))
        continue;
      const auto at = static_cast<std::ptrdiff_t>(i);
      for (const std::string& before :
           {"netns " + *netns, "sysctls " + *netns, "ruleset " + *netns}) {
        const auto index = indexOf(plan, before);
        ASSERT_GE(index, 0) << s.name << ": no " << before;
        EXPECT_LT(index, at) << s.name << ": " << toText(r) << " before " << before;
      }
    }
    std::ptrdiff_t uplink = -1;
    std::ptrdiff_t bridge = -1;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (std::holds_alternative<VethResource>(*plan[i].after) ||
          std::holds_alternative<NicResource>(*plan[i].after))
        uplink = static_cast<std::ptrdiff_t>(i);
      if (std::holds_alternative<BridgeResource>(*plan[i].after))
        bridge = static_cast<std::ptrdiff_t>(i);
    }
    EXPECT_GT(uplink, bridge) << s.name;
  }
}

// Teardown: what leads out is closed, or given back, while the rules still stand.
TEST(Plan, RemovesWhatLeadsOutBeforeTheNamespace) {
  for (const Sample& s : samples()) {
    const Plan plan = makePlan({}, s.resources);
    std::ptrdiff_t lastLink = -1;
    std::ptrdiff_t firstNetns = static_cast<std::ptrdiff_t>(plan.size());
    bool rulesetRemoved = false;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const Resource& r = *plan[i].before;
      const auto at = static_cast<std::ptrdiff_t>(i);
      if (std::holds_alternative<NicResource>(r) || std::holds_alternative<LinkUpResource>(r))
        lastLink = std::max(lastLink, at);
      if (std::holds_alternative<NetnsResource>(r)) firstNetns = std::min(firstNetns, at);
      rulesetRemoved = rulesetRemoved || std::holds_alternative<RulesetResource>(r);
      // Each request waits for the lock that the kernel cleans up under: none that is of no use.
      const auto* up = std::get_if<LinkUpResource>(&r);
      EXPECT_FALSE(up != nullptr && up->name.str() == "lo") << s.name;
    }
    EXPECT_FALSE(rulesetRemoved) << s.name;
    EXPECT_GE(lastLink, 0) << s.name;
  }
}

TEST(Plan, ReplacesInPlaceWhatChanged) {
  auto want = samples()[1].resources;
  const auto have = want;
  for (Resource& r : want)
    if (auto* bridge = std::get_if<BridgeResource>(&r)) bridge->mtu = 1400;
  const Plan plan = makePlan(want, have);
  // A bridge that is made anew has neither its address nor is it up: both go before and come after.
  std::vector<std::string> texts;
  for (const Step& step : plan) texts.push_back(toText(step).substr(0, 9));
  EXPECT_THAT(texts, ::testing::ElementsAre("- link ga", "- address", "~ bridge ", "+ address",
                                            "+ link ga"));
  FakeWorld world;
  world.present = have;
  FakeJournal journal;
  ASSERT_TRUE(execute(plan, world, journal));
  EXPECT_TRUE(makePlan(want, world.present).empty());
  Plan back;
  for (auto step = plan.rbegin(); step != plan.rend(); ++step) back.push_back(inverse(*step));
  ASSERT_TRUE(execute(back, world, journal));
  EXPECT_TRUE(makePlan(have, world.present).empty());
}

TEST(Plan, JournalSaysEachStepBeforeItRuns) {
  const auto resources = samples()[2].resources;
  FakeWorld world;
  world.failAt = 2;
  FakeJournal journal;
  ASSERT_FALSE(execute(makePlan(resources, {}), world, journal));
  ASSERT_GE(journal.lines.size(), 6u);
  EXPECT_EQ(journal.lines[1], "done");
  EXPECT_EQ(journal.lines[5], "failed");
  EXPECT_TRUE(journal.lines[6].starts_with("- ")) << journal.lines[6];
}

}  // namespace
}  // namespace orrery
