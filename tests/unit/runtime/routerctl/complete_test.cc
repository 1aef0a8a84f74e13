#include "runtime/routerctl/complete.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/routerctl/commands.h"
#include "runtime/shell/shell.h"

namespace orrery {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> propose(const std::vector<std::string>& words) {
  CompletionFacts facts;
  facts.routers = {{"network0", "galaxy0"}, {"network1", "galaxy0"}, {"network0", "star0"}};
  facts.root = "/nonexistent";
  return proposals(allCommands(), words, facts);
}

TEST(Complete, CommandsWithoutTheHiddenOne) {
  EXPECT_THAT(propose({"sp"}), ElementsAre("spawn"));
  EXPECT_THAT(propose({"comp"}), ElementsAre("completion"));
  EXPECT_THAT(propose({""}), Contains("destroy"));
}

TEST(Complete, RoutersWithTheirNetworkWhereNeeded) {
  EXPECT_THAT(propose({"status", ""}),
              ElementsAre("network0.galaxy0", "network1.galaxy0", "star0"));
  EXPECT_THAT(propose({"status", "st"}), ElementsAre("star0"));
  EXPECT_THAT(propose({"status", "star0", ""}), IsEmpty());
  EXPECT_THAT(propose({"destroy", "star0", "st"}), ElementsAre("star0"));
}

TEST(Complete, SectionsFlagsAndValues) {
  EXPECT_THAT(propose({"inspect", "star0", "ro"}), ElementsAre("routes"));
  EXPECT_THAT(propose({"inspect", "star0", "links", "ro"}), ElementsAre("routes"));
  EXPECT_THAT(propose({"spawn", "--c"}), ElementsAre("--count"));
  EXPECT_THAT(propose({"attach", "--netns", "x", "st"}), ElementsAre("star0"));
  EXPECT_THAT(propose({"--json", "sta"}), ElementsAre("status"));
  EXPECT_THAT(propose({"init", "g"}), ElementsAre("galaxy"));
  EXPECT_THAT(propose({"nosuch", ""}), IsEmpty());
  EXPECT_THAT(propose({}), IsEmpty());
}

TEST(ShellProposals, SectionsAndItsOwnWords) {
  EXPECT_THAT(shellProposals("s"), ElementsAre("sockets", "services", "seccomp"));
  EXPECT_THAT(shellProposals(""), Contains("exit"));
  EXPECT_THAT(shellProposals("x"), Not(Contains("exit")));
}

}  // namespace
}  // namespace orrery
