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
  const auto found =
      std::ranges::find_if(plan, [&](const Step& s) { return s.after && key(*s.after) == wanted; });
  return found == plan.end() ? -1 : found - plan.begin();
}

TEST(Plan, OfWhatIsThereIsEmpty) {
  for (const Sample& s : samples())
    EXPECT_TRUE(makePlan(s.resources, s.resources).empty()) << s.name;
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
    for (const Step& step : makePlan(s.resources, {})) EXPECT_EQ(inverse(inverse(step)), step);
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

bool leadsOut(const Resource& r) {
  const auto* up = std::get_if<LinkUpResource>(&r);
  return std::holds_alternative<NicResource>(r) || std::holds_alternative<VethResource>(r) ||
         (up != nullptr && up->name.str() != "lo");
}

// Teardown: what leads out is closed, or given back, while the rules still stand.
TEST(Plan, RemovesWhatLeadsOutBeforeTheNamespace) {
  for (const Sample& s : samples()) {
    const Plan plan = makePlan({}, s.resources);
    std::set<std::string> closed;
    bool namespaceGone = false;
    for (const Step& step : plan) {
      const Resource& r = *step.before;
      if (std::holds_alternative<NetnsResource>(r)) namespaceGone = true;
      EXPECT_EQ(step.goesAlong, netnsOf(r) != nullptr) << toText(r);
      if (netnsOf(r) == nullptr) continue;
      // Each request waits for the lock that the kernel cleans up under: none that is of no use.
      EXPECT_TRUE(leadsOut(r)) << s.name << ": " << toText(r);
      EXPECT_FALSE(namespaceGone) << s.name << ": " << toText(r);
      const bool first = closed.insert(*netnsOf(r) + "/" + linkOf(r)->str()).second;
      // A NIC is down already when it is given back, in case that fails.
      EXPECT_TRUE(first || std::holds_alternative<NicResource>(r)) << s.name << ": " << toText(r);
    }
    for (const Resource& r : s.resources)
      if (leadsOut(r)) {
        EXPECT_TRUE(closed.contains(*netnsOf(r) + "/" + linkOf(r)->str())) << toText(r);
      }
  }
}

// A restart that replaces a router's egress can be undone, so nothing is shut that cannot be opened
// again.
TEST(Plan, ShutsNoPortOfARouterThatLivesOn) {
  const RouterSpec universe = test::universeSpec();
  const auto before = desiredState(test::openvpnSpec(), test::behind(universe, "10.0.0.2"));
  RouterSpec direct = test::openvpnSpec();
  direct.egress = DirectEgress{};
  const auto after = desiredState(direct, test::behind(universe, "10.0.0.2"));
  for (const Step& step : makePlan(after, before)) {
    const bool veth = step.before && std::holds_alternative<VethResource>(*step.before);
    EXPECT_FALSE(veth && step.goesAlong) << toText(step);
  }
}

// --- sets
// ---------------------------------------------------------------------------------------

std::vector<std::vector<Resource>> have(const std::vector<Sample>& set) {
  std::vector<std::vector<Resource>> all;
  for (const Sample& s : set) all.push_back(s.resources);
  return all;
}

TEST(SetRemoval, KeepsTheOrderOfEachRoutersOwnPlan) {
  const auto set = samples();
  std::vector<Plan> plans(set.size());
  for (SetStep& step : makeRemoval(have(set))) plans.at(step.router).push_back(step.step);
  for (std::size_t i = 0; i < set.size(); ++i)
    EXPECT_EQ(plans[i], makePlan({}, set[i].resources)) << set[i].name;
}

// No process may outlive its links, and no change of a link may wait for the kernel's end of a
// namespace: that is what a thousand routers would do for a thousand times.
TEST(SetRemoval, GoesInStages) {
  int stage = 0;
  for (const SetStep& step : makeRemoval(have(samples()))) {
    const Resource& r = *step.step.before;
    int own = stage;
    if (std::holds_alternative<SupervisorResource>(r)) own = 0;
    if (netnsOf(r) != nullptr) own = 1;
    if (std::holds_alternative<NetnsResource>(r)) own = 2;
    if (std::holds_alternative<CgroupResource>(r)) own = 3;
    EXPECT_GE(own, stage) << toText(step.step);
    stage = own;
  }
  EXPECT_EQ(stage, 3);
}

TEST(SetRemoval, LeavesNothingFromAnyCut) {
  const auto set = samples();
  const std::size_t steps = makeRemoval(have(set)).size();
  for (std::size_t cut = 0; cut <= steps; ++cut) {
    std::vector<FakeWorld> worlds(set.size());
    for (std::size_t i = 0; i < set.size(); ++i) worlds[i].present = set[i].resources;
    FakeJournal journal;
    const auto carryOut = [&](std::size_t most) {
      std::vector<std::vector<Resource>> left;
      for (const FakeWorld& world : worlds) left.push_back(world.present);
      for (const SetStep& step : makeRemoval(left)) {
        if (most-- == 0) return;
        ASSERT_TRUE(executeStep(step.step, worlds[step.router], journal));
      }
    };
    carryOut(cut);  // and then it is killed
    carryOut(steps);
    for (const FakeWorld& world : worlds) EXPECT_TRUE(world.present.empty()) << "cut at " << cut;
  }
}

// What a destroy of many asks the kernel for is a multiple of this, and each request can wait.
TEST(SetRemoval, TouchesTwoLinksOfARouterBehindAnother) {
  const auto direct =
      desiredState(test::directSpec(), test::behind(test::universeSpec(), "10.0.0.3"));
  constexpr std::size_t kRouters = 5;
  const auto removal = makeRemoval(std::vector<std::vector<Resource>>(kRouters, direct));
  const auto links = std::ranges::count_if(
      removal, [](const SetStep& step) { return linkOf(*step.step.before) != nullptr; });
  EXPECT_EQ(links, static_cast<std::ptrdiff_t>(2 * kRouters));  // its port, its bridge
}

TEST(SetRemoval, OfNothingIsEmpty) {
  EXPECT_TRUE(makeRemoval({}).empty());
  EXPECT_TRUE(makeRemoval({{}, {}}).empty());
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
