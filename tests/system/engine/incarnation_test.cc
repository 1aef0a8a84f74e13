// A router is ended while a process of it has not yet written down who it is.
#include "runtime/engine/incarnation.h"

#include "runtime/engine/supervisor_process.h"
#include "tests/system/engine/supervised.h"

namespace orrery::test {
namespace {

TEST_F(Supervised, WhoWroteHisMarkInTimeIsFoundAndWhoComesLateHasNoPlace) {
  must(makeDirectories(paths_.runDir));
  const ProcessMark self = must(markOf(::getpid()));
  const std::string word = must(beginIncarnation(galaxy_));
  EXPECT_EQ(must(readIncarnation(galaxy_)), word);
  EXPECT_FALSE(beginIncarnation(galaxy_)) << "one at a time";
  must(markSupervisor(galaxy_, word, self));
  EXPECT_FALSE(must(supervisedByOther(galaxy_, word, self)));
  const ProcessMark another{self.pid + 1, self.startTicks};
  EXPECT_TRUE(must(supervisedByOther(galaxy_, word, another)));

  for (int call = 0; call < 2; ++call) {
    const Bereft left = must(withdrawIncarnation(galaxy_));
    EXPECT_TRUE(left.supervisor) << "call " << call;
    EXPECT_FALSE(left.keeper) << "call " << call;
    const Status late = markKeeper(galaxy_, word, self);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().err, kSuperseded);
  }
  must(forgetIncarnation(galaxy_));
  EXPECT_EQ(must(readIncarnation(galaxy_)), "");
  EXPECT_FALSE(must(withdrawIncarnation(galaxy_)).supervisor);

  const std::string next = must(beginIncarnation(galaxy_));
  EXPECT_NE(next, word);
  EXPECT_FALSE(markSupervisor(galaxy_, word, self)) << "the former one's word";
  EXPECT_FALSE(must(withdrawIncarnation(galaxy_)).supervisor) << "nobody wrote in the new one";
  must(forgetIncarnation(galaxy_));
  EXPECT_TRUE(must(listDirectory(paths_.runDir)).empty());
  must(removeTree("/run/orrery"));
}

TEST_F(Supervised, ASupervisorOfAWithdrawnStartEndsWithoutATrace) {
  const std::string program = std::string(ORRERY_BINARY_DIR) + "/bin/orrery-supervisor";
  spawn();
  SupervisorProcesses processesOf(program);
  must(processesOf.stop(galaxy_));
  const std::string word = must(beginIncarnation(galaxy_));
  (void)must(withdrawIncarnation(galaxy_));
  must(forgetIncarnation(galaxy_));
  const auto files = must(listDirectory(paths_.runDir));
  const auto running = routerProcesses();

  const Child late = must(spawnPlain({program, galaxy_.network, galaxy_.name, word}, {}, {}));
  EXPECT_EQ(must(waitExit(late.pidfd)).code, 1);
  EXPECT_EQ(must(listDirectory(paths_.runDir)), files);
  EXPECT_EQ(routerProcesses(), running);
  // So does its keeper's successor, which otherwise tries again and again.
  const Child heir = must(spawnPlain({program, galaxy_.network, galaxy_.name, word, "1"}, {}, {}));
  EXPECT_EQ(must(waitExit(heir.pidfd)).code, 1);
  EXPECT_EQ(must(listDirectory(paths_.runDir)), files);
  spawn();
  EXPECT_EQ(status().phase, RouterPhase::ready);
}

}  // namespace
}  // namespace orrery::test
