#include <gtest/gtest.h>

#include "fake_operations.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

TEST(Cli, UsageErrorsHaveCodeTwoAndSayWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const std::vector<Case> cases = {
      {{"spawm"}, "unknown command 'spawm': did you mean 'spawn'?"},
      {{"spawn"}, "ROUTER is required"},
      {{"spawn", "a.toml", "--count", "x"}, "--count"},
      {{"spawn", "a.toml", "galaxy0"}, "give the one or the other"},
      {{"list", "--jsn"}, "--jsn"},
      {{"status"}, "NAME is required"},
      {{"destroy"}, "a NAME is expected, or --all"},
      {{"destroy", "--all", "x"}, "exclude each other"},
      {{"exec", "galaxy0"}, "a program is expected"},
      {{"exec", "galaxy0", "--"}, "a program is expected"},
      {{"list", "--", "x"}, "takes no program after '--'"},
      {{"attach", "galaxy0"}, "one of --netns, --pid and --tap is expected"},
      {{"attach", "galaxy0", "--netns", "a", "--tap", "b"}, "one of --netns, --pid and --tap"},
      {{"attach", "galaxy0", "--tap", "a", "--dhcp"}, "not for --tap"},
      {{"attach", "galaxy0", "--tap", "a", "--name", "b"}, "not for --tap"},
      {{"attach", "galaxy0", "--netns", "a", "--mac", "02::"}, "--mac is for --tap"},
      {{"detach", "galaxy0"}, "one of PORT, --netns and --all is expected"},
      {{"inspect", "galaxy0", "linkz"}, "did you mean 'links'?"},
      {{"init", "planet"}, "expected universe, galaxy or star"},
      {{"completion", "tcsh"}, "expected bash, zsh or fish"},
  };
  for (const Case& c : cases) {
    const CliRun run = runFake(c.arguments);
    EXPECT_EQ(run.code, 2) << c.message << "\n" << run.err;
    EXPECT_NE(run.err.find(c.message), std::string::npos) << run.err;
    EXPECT_EQ(run.err.substr(0, 11), "routerctl: ") << run.err;
    EXPECT_EQ(run.out, "") << c.message;
  }
}

TEST(Cli, WithoutACommandTheHelpAndCodeTwo) {
  const CliRun run = runFake({});
  EXPECT_EQ(run.code, 2);
  EXPECT_NE(run.out.find("spawn"), std::string::npos);
}

TEST(Cli, ErrorsAreJsonWhereAskedFor) {
  FakeOperations operations;
  Error e;
  e.err = EPERM;
  e.message = "open the netlink socket";
  e.also.push_back(Error{0, "undo failed"});
  operations.gcResult = tl::unexpected<Error>(e);
  const CliRun run = runFake({"gc", "--json"}, std::move(operations));
  EXPECT_EQ(run.code, 4);
  const auto json = parseJson(run.err);
  ASSERT_TRUE(json) << run.err;
  EXPECT_EQ((*json)["error"].text("message"), "open the netlink socket");
  EXPECT_EQ((*json)["also"].asArray()->size(), 1u);
}

TEST(Cli, WithoutPrivilegeRootIsAdvised) {
  FakeOperations operations;
  Error e;
  e.err = EPERM;
  e.message = "enter a network namespace: Operation not permitted";
  operations.gcResult = tl::unexpected<Error>(e);
  const CliRun plain = runFake({"gc"}, operations, Privilege::none);
  EXPECT_EQ(plain.code, 4);
  EXPECT_EQ(plain.err, "routerctl: " + e.message + "; this needs root: call routerctl by sudo\n");
  // Root that may not (in a container) is not helped by sudo.
  EXPECT_EQ(runFake({"gc"}, operations).err, "routerctl: " + e.message + "\n");
}

TEST(Cli, GlobalFlagsBeforeAndBehindTheCommand) {
  for (const auto& arguments : {std::vector<std::string>{"--json", "list"}, {"list", "--json"}}) {
    const CliRun run = runFake(arguments);
    EXPECT_EQ(run.code, 0);
    EXPECT_EQ(parseJson(run.out)->text("schema"), "orrery.list/1") << run.out;
  }
}

TEST(Cli, UnknownRoutersDoNotRun) {
  const CliRun run = runFake({"status", "galaxy0"});
  EXPECT_EQ(run.code, 5);
  EXPECT_EQ(run.err, "routerctl: no router 'galaxy0': 'routerctl list' shows what is there\n");
}

TEST(Cli, AFileThatIsNotThere) {
  const CliRun run = runFake({"validate", "/nonexistent/x.toml"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("No such file"), std::string::npos);
}

TEST(Cli, QuietSaysNothingThatIsNoData) {
  EXPECT_EQ(runFake({"gc"}).err, "nothing to remove\n");
  const CliRun run = runFake({"gc", "--quiet"});
  EXPECT_EQ(run.err + run.out, "");
}

TEST(Cli, VersionHasASchema) {
  const CliRun run = runFake({"version", "--json"});
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(parseJson(run.out)->text("schema"), "orrery.version/1");
}

// Written anew with ORRERY_UPDATE_GOLDEN=1 in the environment.
TEST(Cli, HelpTextsAreAsInTheGoldenFiles) {
  std::string text = runFake({"--help"}).out;
  for (const auto& command : allCommands()) {
    if (command->hidden()) continue;
    const CliRun run = runFake({std::string(command->name()), "--help"});
    EXPECT_EQ(run.code, 0);
    text += "\n==== " + std::string(command->name()) + "\n" + run.out;
  }
  const std::string path = std::string(ORRERY_SOURCE_DIR) + "/tests/golden/routerctl/help.txt";
  if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(makeDirectories(std::string(ORRERY_SOURCE_DIR) + "/tests/golden/routerctl"));
    ASSERT_TRUE(writeFileAtomic(path, text));
  }
  const auto golden = readFile(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(text, *golden);
}

}  // namespace
}  // namespace orrery
