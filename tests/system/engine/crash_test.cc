// A command that is killed at any of its system calls leaves nothing that the next one does not
// take up or away.
#include "tests/system/engine/supervised.h"
#include "tests/system/engine/traced.h"

namespace orrery::test {
namespace {

const std::vector<std::string> kSpawn{"spawn", kDefinition};
const std::vector<std::string> kDestroyAll{"destroy", "--all"};

class Crash : public Supervised {
 protected:
  // What ends by itself a moment after a command (a process that finds its router gone, a link of
  // a dying namespace) is waited for.
  ::testing::AssertionResult clean() const {
    const auto deadline = Clock::now() + kPatience;
    for (;;) {
      reapOrphans();
      const auto now = snapshot();
      if (now == before_ || Clock::now() > deadline) return same(before_, now);
      pollfd none{-1, 0, 0};
      (void)::poll(&none, 1, 5);
    }
  }
  static void run(const std::vector<std::string>& arguments) {
    const Outcome done = Command(arguments).wait();
    EXPECT_EQ(done.code, 0) << done;
  }
  static std::string text(const CallPoint& point) {
    return fmt::format("killed at {} number {}", point.name, point.number);
  }
};

// Threads may share a command's calls out in another way than in the run that was counted, and who
// waits may do so in other steps.
void expectMost(int killed, std::size_t points) {
  EXPECT_GE(killed * 4, static_cast<int>(points) * 3) << "the rest came to their ends";
}

TEST_F(Crash, OfASpawnLeavesNothingThatDestroyDoesNotTake) {
  const auto points = changesIn(traced(kSpawn));
  run(kDestroyAll);
  ASSERT_TRUE(clean());
  int killed = 0;
  for (const CallPoint& point : points) {
    SCOPED_TRACE(text(point));
    killed += killedAt(kSpawn, point);
    run(kDestroyAll);
    ASSERT_TRUE(clean());
  }
  expectMost(killed, points.size());
}

TEST_F(Crash, OfASpawnIsTakenUpByTheNext) {
  const auto points = changesIn(traced(kSpawn));
  run(kDestroyAll);
  int killed = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    SCOPED_TRACE(text(points[i]));
    killed += killedAt(kSpawn, points[i]);
    if (i % 3 == 0) run({"gc"});
    run(kSpawn);  // and waits until both are ready
    run(kDestroyAll);
    ASSERT_TRUE(clean());
  }
  expectMost(killed, points.size());
}

TEST_F(Crash, OfARestartIsTakenUpByTheNext) {
  const std::vector<std::string> restart{"restart", "galaxy3"};
  run(kSpawn);
  int killed = 0;
  const auto points = changesIn(traced(restart));
  const std::vector<std::string> whole = networkOf(paths_.lanNetns).links;
  for (const CallPoint& point : points) {
    SCOPED_TRACE(text(point));
    killed += killedAt(restart, point);
    run(restart);
    EXPECT_EQ(status().phase, RouterPhase::ready);
    ASSERT_EQ(networkOf(paths_.lanNetns).links, whole);
  }
  expectMost(killed, points.size());
}

TEST_F(Crash, OfADestroyIsCarriedOnByTheNext) {
  run(kSpawn);
  const auto points = changesIn(traced(kDestroyAll));
  ASSERT_TRUE(clean());
  int killed = 0;
  for (const CallPoint& point : points) {
    SCOPED_TRACE(text(point));
    run(kSpawn);
    killed += killedAt(kDestroyAll, point);
    run(kDestroyAll);
    ASSERT_TRUE(clean());
  }
  expectMost(killed, points.size());
}

// --- clients -------------------------------------------------------------------------------------

class ClientCrash : public Crash {
 protected:
  void SetUp() override {
    Crash::SetUp();
    run(kSpawn);
    must(pinNetns(client_.netns, "client"));
    whole_ = present();
  }
  void TearDown() override {
    must(unpinNetns("client"));
    Crash::TearDown();
  }

  // What an attachment changes: links at both ends, its record and reservation, elements of the
  // guard's sets.
  std::vector<std::string> present() {
    std::vector<std::string> lines = linksOf(client_.rtnl);
    const Network lan = networkOf(paths_.lanNetns);
    lines.insert(lines.end(), lan.links.begin(), lan.links.end());
    for (const std::string& directory : {paths_.attachments, reservationDirectory(galaxy_)})
      for (const std::string& name : must(listDirectory(directory))) lines.push_back(name);
    lines.push_back(nft::toText(lan.rules));
    return lines;
  }

  Place client_;
  std::vector<std::string> whole_;
  const std::vector<std::string> attach_{"attach", "galaxy3", "--netns", "client"};
  const std::vector<std::string> detach_{"detach", "galaxy3", "--all"};
};

TEST_F(ClientCrash, OfAnAttachLeavesNothingThatDetachAndGcDoNotTake) {
  const auto points = changesIn(traced(attach_));
  run(detach_);
  ASSERT_TRUE(same(whole_, present()));
  int killed = 0;
  for (const CallPoint& point : points) {
    SCOPED_TRACE(text(point));
    killed += killedAt(attach_, point);
    run(detach_);
    run({"gc"});
    EXPECT_TRUE(same(whole_, present()));
  }
  expectMost(killed, points.size());
}

TEST_F(ClientCrash, OfADetachIsCarriedOnByTheNext) {
  run(attach_);
  const auto points = changesIn(traced(detach_));
  int killed = 0;
  for (const CallPoint& point : points) {
    SCOPED_TRACE(text(point));
    run(attach_);
    killed += killedAt(detach_, point);
    run(detach_);
    EXPECT_TRUE(same(whole_, present()));
  }
  expectMost(killed, points.size());
}

// The client's namespace ends with the command, and its port a moment later.
TEST_F(ClientCrash, OfARunLeavesNothingThatGcDoesNotTake) {
  const std::vector<std::string> command{"run", "galaxy3", "--", "/bin/true"};
  const std::vector<std::string> links = networkOf(paths_.lanNetns).links;
  const auto points = changesIn(traced(command));
  int killed = 0;
  for (const CallPoint& point : points) {
    SCOPED_TRACE(text(point));
    killed += killedAt(command, point);
    awaitLinks(paths_.lanNetns, links);
    run({"gc"});
    EXPECT_TRUE(same(whole_, present()));
  }
  expectMost(killed, points.size());
}

}  // namespace
}  // namespace orrery::test
