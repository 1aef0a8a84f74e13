// The journal's word is what undo goes by: it must read back whatever was written, from any crash.
#include <gtest/gtest.h>

#include "routers/plan/plan.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/incarnation.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/resource_json.h"
#include "sandbox/base/file.h"
#include "tests/support/sample_specs.h"

namespace orrery {
namespace {

std::vector<Resource> chain() {
  const RouterSpec universe = test::universeSpec();
  auto all = desiredState(universe, test::nicPlacement());
  const RouterSpec galaxy = test::openvpnSpec();
  for (const auto& more : {desiredState(galaxy, test::behind(universe, "10.0.0.2")),
                           desiredState(test::torSpec(), test::behind(galaxy, "10.1.1.2"))})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

// A ruleset and sysctls are written by their namespace's name alone.
Resource asWritten(Resource resource) {
  if (auto* ruleset = std::get_if<RulesetResource>(&resource)) *ruleset = {ruleset->netns, {}};
  if (auto* sysctls = std::get_if<SysctlsResource>(&resource)) sysctls->values.clear();
  return resource;
}

TEST(ResourceJson, EveryKindComesBack) {
  for (const Resource& resource : chain()) {
    const auto back = resourceFromJson(toJson(resource));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, asWritten(resource)) << toText(resource);
  }
}

TEST(ResourceJson, RefusesNonsense) {
  EXPECT_FALSE(resourceFromJson(Json::object({{"kind", "moon"}})));
  EXPECT_FALSE(resourceFromJson(Json::object({{"kind", "bridge"}, {"name", "a/b"}})));
  EXPECT_FALSE(resourceFromJson(Json()));
}

class JournalFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/orrery-journal-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/journal";
  }
  void TearDown() override { EXPECT_TRUE(removeTree(directory_)); }
  std::string directory_;
  std::string path_;
};

TEST_F(JournalFile, CutAtAnyByteIsReadable) {
  const Plan plan = makePlan(
      desiredState(test::openvpnSpec(), test::behind(test::universeSpec(), "10.0.0.2")), {});
  {
    auto journal = FileJournal::open(path_);
    ASSERT_TRUE(journal);
    for (const Step& step : plan) {
      ASSERT_TRUE(journal->intend(step));
      ASSERT_TRUE(journal->done());
    }
  }
  const std::string text = readFile(path_).value();
  std::size_t last = 0;
  for (std::size_t cut = 0; cut <= text.size(); cut += 37) {
    const auto present = parseJournal(std::string_view(text).substr(0, cut));
    ASSERT_TRUE(present) << present.error().message;
    EXPECT_GE(present->size(), last);  // a begun step counts as present
    last = present->size();
  }
  EXPECT_EQ(parseJournal(text)->size(), plan.size());
}

TEST_F(JournalFile, FollowsDoneFailedAndBegun) {
  const auto resources = chain();
  auto journal = FileJournal::open(path_);
  ASSERT_TRUE(journal);
  const auto begin = [&](const Step& step) { ASSERT_TRUE(journal->intend(step)); };
  begin(Step{std::nullopt, resources[0]});
  ASSERT_TRUE(journal->done());
  begin(Step{std::nullopt, resources[1]});
  ASSERT_TRUE(journal->failed());
  begin(Step{std::nullopt, resources[2]});  // cut off here: it may be there
  auto present = readJournal(path_);
  ASSERT_TRUE(present);
  ASSERT_EQ(present->size(), 2u);
  begin(Step{resources[0], std::nullopt});  // a removal that was begun: it may still be there
  EXPECT_EQ(readJournal(path_)->size(), 2u);
  ASSERT_TRUE(journal->done());
  EXPECT_EQ(readJournal(path_)->size(), 1u);
}

TEST_F(JournalFile, KnowsTheStepThatWasCutOff) {
  const auto resources = chain();
  auto journal = FileJournal::open(path_);
  ASSERT_TRUE(journal);
  const Step step{resources[0], resources[0]};
  ASSERT_TRUE(journal->intend(step));
  EXPECT_EQ(readJournalContents(path_)->pending, step);
  ASSERT_TRUE(journal->done());
  EXPECT_EQ(readJournalContents(path_)->pending, std::nullopt);
}

TEST_F(JournalFile, RewrittenSaysTheSameInLess) {
  std::vector<Resource> present;
  for (const Resource& resource : desiredState(test::universeSpec(), test::nicPlacement()))
    present.push_back(asWritten(resource));
  {
    auto journal = FileJournal::open(path_);
    ASSERT_TRUE(journal);
    for (int round = 0; round < 2; ++round)
      for (const Resource& resource : present) {
        ASSERT_TRUE(journal->intend(Step{std::nullopt, resource}));
        ASSERT_TRUE(journal->done());
      }
  }
  const std::size_t size = readFile(path_)->size();
  ASSERT_TRUE(rewriteJournal(path_, *readJournal(path_)));
  EXPECT_LE(readFile(path_)->size(), size / 2);
  EXPECT_EQ(*readJournal(path_), present);
  // What comes after is written behind it.
  auto journal = FileJournal::open(path_);
  ASSERT_TRUE(journal);
  ASSERT_TRUE(journal->intend(Step{present[0], std::nullopt}));
  ASSERT_TRUE(journal->done());
  EXPECT_EQ(readJournal(path_)->size(), present.size() - 1);
}

TEST_F(JournalFile, MissingIsEmptyAndGarbageIsAnError) {
  EXPECT_TRUE(readJournal(path_)->empty());
  const auto garbage = parseJournal("{\"done\":true}\nx\n");
  ASSERT_FALSE(garbage);
  EXPECT_NE(garbage.error().message.find("journal line 2"), std::string::npos);
  EXPECT_FALSE(parseJournal("{\"after\":{\"kind\":\"moon\"}}\n"));
}

TEST(Placement, ComesBack) {
  StoredPlacement placement{7, test::ip("10.0.0.2"), "/usr/libexec/orrery"};
  EXPECT_EQ(parsePlacement(toText(placement)).value(), placement);
  EXPECT_FALSE(parsePlacement("{}"));
  EXPECT_FALSE(parsePlacement("{\"schema\":\"orrery.placement/1\",\"idSlot\":-1}"));
}

TEST(Placement, ChoosesTheLowestFreeAddress) {
  const RouterSpec universe = test::universeSpec();  // 10.0.0.1/24
  EXPECT_EQ(chooseUplinkAddress(universe, {}).value(), test::ip("10.0.0.2"));
  EXPECT_EQ(chooseUplinkAddress(universe, {test::ip("10.0.0.3"), test::ip("10.0.0.2")}).value(),
            test::ip("10.0.0.4"));
  std::vector<Ipv4> all;
  for (std::uint32_t i = 2; i < 255; ++i)
    all.push_back(Ipv4{universe.lan.address.network().value + i});
  const auto none = chooseUplinkAddress(universe, all);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("wider subnet"), std::string::npos);
}

TEST(PlacementPreview, GivesEachRouterItsOwn) {
  const RouterSpec universe = test::universeSpec();
  RouterSpec first = test::directSpec();
  RouterSpec second = test::openvpnSpec();
  RouterSpec fixed = test::directSpec();
  fixed.id.name = "galaxy4";
  fixed.uplink = RouterUplink{"universe0", test::ip("10.0.0.2")};
  const std::vector<RouterSpec> set{universe, first, second, fixed};
  PlacementPreview preview(set, nullptr);
  const Placement root = preview.choose(universe);
  const Placement one = preview.choose(first);
  const Placement two = preview.choose(second);
  EXPECT_EQ(root.nic->hostMac, test::nicPlacement().nic->hostMac);
  EXPECT_EQ(root.nic->hostName, "") << "not known before it is looked for";
  EXPECT_NE(one.idSlot, root.idSlot);
  EXPECT_NE(two.idSlot, root.idSlot);
  EXPECT_NE(two.idSlot, one.idSlot);
  EXPECT_EQ(one.uplinkAddress, test::ip("10.0.0.3")) << ".2 is asked for by galaxy4";
  EXPECT_EQ(two.uplinkAddress, test::ip("10.0.0.4"));
  EXPECT_EQ(preview.choose(fixed).uplinkAddress, test::ip("10.0.0.2"));
}

TEST(ProcessMark, ComesBackAndRefusesNonsense) {
  const auto self = markOf(::getpid());
  ASSERT_TRUE(self);
  EXPECT_EQ(parseMark(toText(*self)).value(), *self);
  for (const char* text : {"", "1", "-1 5", "a b", "1 2 3"}) EXPECT_FALSE(parseMark(text)) << text;
}

}  // namespace
}  // namespace orrery
