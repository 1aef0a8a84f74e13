// A command that is killed at any of its system calls leaves nothing that the next one does not
// take up or away.
#include <functional>

#include "tests/system/engine/supervised.h"
#include "tests/system/engine/traced.h"

namespace orrery::test {
namespace {

using Words = std::vector<std::string>;

const Words kSpawn{"spawn", kDefinition};
const Words kDestroyAll{"destroy", "--all"};

class Crash : public Supervised {
 protected:
  static void run(const Words& arguments) {
    const Outcome done = Command(arguments).wait();
    EXPECT_EQ(done.code, 0) << done;
  }

  // What ends by itself a moment after a command (a process that finds its router gone, a link of
  // a dying namespace) is waited for; no one event would tell of all that a snapshot holds.
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

  // The command's moments are those of a run that is left alone, from where `before` leads to.
  static void killAtEach(const Words& command, const std::function<void()>& before,
                         const std::function<void()>& after) {
    before();
    const auto points = changesIn(traced(command));
    after();
    std::size_t killed = 0;
    for (const CallPoint& point : points) {
      SCOPED_TRACE(fmt::format("killed at {} number {}", point.name, point.number));
      before();
      if (killedAt(command, point)) ++killed;
      after();
      if (HasFatalFailure()) return;
    }
    // Threads may share a command's calls out in another way than in the run that was counted, and
    // who waits may do so in other steps.
    EXPECT_GE(killed * 4, points.size() * 3) << "the rest came to their ends";
  }
};

TEST_F(Crash, OfASpawnLeavesNothingThatDestroyDoesNotTake) {
  killAtEach(
      kSpawn, [] {},
      [&] {
        run(kDestroyAll);
        ASSERT_TRUE(clean());
      });
}

TEST_F(Crash, OfASpawnIsTakenUpByTheNext) {
  int turn = 0;
  killAtEach(
      kSpawn, [] {},
      [&] {
        if (turn++ % 3 == 0) run({"gc"});
        run(kSpawn);  // and waits until both are ready
        run(kDestroyAll);
        ASSERT_TRUE(clean());
      });
}

TEST_F(Crash, OfARestartIsTakenUpByTheNext) {
  const Words restart{"restart", "galaxy3"};
  run(kSpawn);
  const std::vector<std::string> whole = networkOf(paths_.lanNetns).links;
  killAtEach(
      restart, [] {},
      [&] {
        run(restart);
        EXPECT_EQ(status().phase, RouterPhase::ready);
        ASSERT_EQ(networkOf(paths_.lanNetns).links, whole);
      });
}

TEST_F(Crash, OfADestroyIsCarriedOnByTheNext) {
  killAtEach(
      kDestroyAll, [] { run(kSpawn); },
      [&] {
        run(kDestroyAll);
        ASSERT_TRUE(clean());
      });
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
  void expectWhole() { EXPECT_TRUE(same(whole_, present())); }

  Place client_;
  std::vector<std::string> whole_;
  const Words attach_{"attach", "galaxy3", "--netns", "client"};
  const Words detach_{"detach", "galaxy3", "--all"};
};

TEST_F(ClientCrash, OfAnAttachLeavesNothingThatDetachAndGcDoNotTake) {
  killAtEach(
      attach_, [] {},
      [&] {
        run(detach_);
        run({"gc"});
        expectWhole();
      });
}

TEST_F(ClientCrash, OfADetachIsCarriedOnByTheNext) {
  killAtEach(
      detach_, [&] { run(attach_); },
      [&] {
        run(detach_);
        expectWhole();
      });
}

// The client's namespace ends with the command, and its port a moment later.
TEST_F(ClientCrash, OfARunLeavesNothingThatGcDoesNotTake) {
  const std::vector<std::string> links = networkOf(paths_.lanNetns).links;
  killAtEach(
      {"run", "galaxy3", "--", "/bin/true"}, [] {},
      [&] {
        awaitLinks(paths_.lanNetns, links);
        run({"gc"});
        expectWhole();
      });
}

}  // namespace
}  // namespace orrery::test
