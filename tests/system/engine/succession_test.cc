// Whoever waits for a router waits through the death of its supervisor.
#include "runtime/engine/succession.h"

#include "tests/system/engine/supervised.h"

namespace orrery::test {
namespace {

// Spawns the universe without a cable, so that whoever spawns it waits, and lets the test do
// something then.
class Succession : public Supervised {
 protected:
  void SetUp() override {
    Supervised::SetUp();
    must(setLinkDown(nic_.wire().rtnl, ifName("wire")));
  }
  void plugIn() { must(setLinkUp(nic_.wire().rtnl, ifName("wire"))); }

  // Somebody has connected to the universe's control socket (proc(5): state 03).
  static bool isAsked() {
    const std::string sockets = must(readFile("/proc/net/unix"));
    const std::string path = RouterPaths({"network0", "universe0"}).control;
    for (const std::string_view line : split(sockets, '\n')) {
      const auto words = splitWords(line);
      if (words.size() == 8 && words[7] == path && words[5] == "03") return true;
    }
    return false;
  }
  // The kernel has no event for it.
  static bool awaitAsked() {
    const auto deadline = Clock::now() + kPatience;
    while (!isAsked()) {
      if (Clock::now() > deadline) return false;
      (void)::poll(nullptr, 0, 5);
    }
    return true;
  }
  pid_t universesSupervisor() const { return pidIn(supervisorMarkPath(universe_)); }
};

TEST_F(Succession, ASpawnOutlivesTheSupervisorOfItsUplink) {
  Command spawning({"spawn", kDefinition});
  ASSERT_TRUE(awaitAsked());
  for (int death = 0; death < 2; ++death) {
    const pid_t old = universesSupervisor();
    (void)must(sendSignal(must(openPidfd(old)), SIGKILL));
    Watch watch(RouterPaths(universe_).runDir);
    ASSERT_TRUE(watch.until([&] {
      const auto text = readFile(RouterPaths(universe_).state);
      const auto state = text ? parseState(*text) : error("none");
      return state && state->supervisorPid != old;
    }));
  }
  plugIn();
  const Outcome done = spawning.wait();
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_EQ(status().phase, RouterPhase::ready);
}

TEST_F(Succession, WhereNobodyComesASpawnEndsAtOnce) {
  Command spawning({"spawn", kDefinition});
  ASSERT_TRUE(awaitAsked());
  const PidFd supervisor = must(openPidfd(universesSupervisor()));
  const PidFd keeper = must(openPidfd(pidIn(keeperMarkPath(universe_))));
  (void)must(sendSignal(supervisor, SIGSTOP));
  (void)must(sendSignal(keeper, SIGKILL));
  ASSERT_TRUE(must(waitGone(keeper, kPatience)));
  const auto begun = Clock::now();
  (void)must(sendSignal(supervisor, SIGKILL));
  const Outcome done = spawning.wait();
  EXPECT_EQ(done.code, 5) << done;  // not running
  EXPECT_NE(done.err.find("there is no keeper to take its place"), std::string::npos) << done;
  EXPECT_LT(Clock::now() - begun, seconds(15)) << "of five minutes that a spawn may take";
}

TEST_F(Supervised, WhoAsksBetweenTwoSupervisorsWaitsForTheNext) {
  spawn();
  const pid_t old = supervisor();
  const PidFd process = must(openPidfd(old));
  (void)must(sendSignal(process, SIGKILL));
  ASSERT_TRUE(must(waitGone(process, kPatience)));
  const auto direct = ControlClient::connect(paths_.control);
  ASSERT_FALSE(direct) << "the keeper pauses: nobody listens";
  EXPECT_TRUE(isSupervisorAway(direct.error().err)) << direct.error().message;
  const RouterState state = must(awaitPhase(galaxy_, RouterPhase::ready, after(kPatience)));
  EXPECT_NE(state.supervisorPid, old);
  EXPECT_EQ(awaitPhase({"network0", "nobody"}, RouterPhase::ready, after(kPatience)).error().err,
            ESRCH);
}

}  // namespace
}  // namespace orrery::test
