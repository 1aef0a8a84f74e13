#include "runtime/routerctl/render.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

TEST(DurationText, TwoUnitsAtMost) {
  EXPECT_EQ(durationText(-5), "0s");
  EXPECT_EQ(durationText(59'999), "59s");
  EXPECT_EQ(durationText(312'000), "5m 12s");
  EXPECT_EQ(durationText(3'600'000), "1h 0m");
  EXPECT_EQ(durationText(273'600'000), "3d 4h");
}

TEST(NotRunning, ExitCodesByTheReason) {
  Error absent;
  absent.err = ECONNREFUSED;
  EXPECT_EQ(notRunning({"n", "r"}, absent).value().code, 5);
  Error denied;
  denied.err = EACCES;
  EXPECT_EQ(notRunning({"n", "r"}, denied).value().code, 4);
}

TEST(AfterDeath, NothingRunsAndNothingIsWell) {
  RouterState state;
  state.supervisorPid = 7;
  state.progress = StartProgress{50, "half"};
  state.ladder = {{"lan", RungState::ok, "up"}, {"tunnel", RungState::failed, "no answer"}};
  state.services = {{"tor", 8, ServicePhase::running, 2, "exit 1"}};
  const RouterState left = afterDeath(state);
  EXPECT_EQ(left.supervisorPid, 0);
  EXPECT_FALSE(left.progress);
  EXPECT_EQ(left.ladder, (std::vector<Rung>{{"lan", RungState::pending, ""},
                                            {"tunnel", RungState::failed, "no answer"}}));
  EXPECT_EQ(left.services,
            (std::vector<ServiceState>{{"tor", 0, ServicePhase::stopped, 2, "exit 1"}}));
}

}  // namespace
}  // namespace orrery
