#include "runtime/control/state.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

RouterState fullState() {
  RouterState state;
  state.id = {"network0", "star0"};
  state.kind = Kind::star;
  state.phase = RouterPhase::degraded;
  state.reason = "tor: no circuit";
  state.supervisorPid = 4711;
  state.started = {"2026-01-31T12:00:00.123Z", 1000};
  state.since = {"2026-01-31T12:00:05.000Z", 5877};
  state.ladder = {{"carrier", RungState::ok, "uplink"}, {"bootstrap", RungState::failed, "45%"}};
  state.progress = StartProgress{45, "Loading relay descriptors"};
  state.egress.type = "tor";
  state.egress.tunnelAddress = Prefix4{Ipv4{0x0a080002}, 24};
  state.egress.endpoint = Endpoint{Ipv4{0xc6336401}, 1194, true};
  state.egress.dns = {Ipv4{0x09090909}, Ipv4{0x01010101}};
  state.egress.exitHint = "198.51.100.7";
  state.services = {{"tor", 4712, ServicePhase::waiting, 3, "killed by SIGKILL"}};
  state.warnings = {"seccomp learns"};
  return state;
}

TEST(RouterStateJson, RoundTripOfEverything) {
  const auto read = parseState(toJson(fullState()).dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, fullState());
}

TEST(RouterStateJson, RoundTripOfTheEmptyState) {
  const auto read = parseState(toJson(RouterState{}).pretty());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, RouterState{});
}

TEST(RouterStateJson, FaultsAreNamed) {
  struct Case {
    const char* key;
    Json value;
    const char* reason;
  };
  const std::vector<Case> cases = {
      {"schema", "orrery.state/2", "schema is"},
      {"phase", "running", "'phase' is 'running'"},
      {"kind", "planet", "'kind' is 'planet'"},
      {"supervisorPid", -1, "'supervisorPid' is -1"},
      {"supervisorPid", 1ll << 40, "out of range"},
      {"egress", Json::object({{"endpoint", Json::object({{"address", "1.2.3"}})}}), "1.2.3"},
      {"egress", Json::object({{"dns", Json::array({Json(5)})}}), "'dns'"},
      {"ladder", Json::array({Json::object({{"state", "fine"}})}), "'state' is 'fine'"},
  };
  for (const Case& c : cases) {
    const auto read = stateFromJson(toJson(fullState()).set(c.key, c.value));
    ASSERT_FALSE(read) << c.key;
    EXPECT_NE(read.error().message.find(c.reason), std::string::npos) << read.error().message;
  }
}

TEST(RouterStateLadder, FirstUnsettledRung) {
  EXPECT_EQ(firstUnsettled(fullState())->rung, "bootstrap");
  RouterState well = fullState();
  well.ladder.pop_back();
  EXPECT_EQ(firstUnsettled(well), nullptr);
}

TEST(RouterStateEvent, PhaseEventSaysWhy) {
  const Event event = phaseEvent(fullState());
  EXPECT_EQ(event.name, kPhaseEvent);
  EXPECT_EQ(event.severity, Severity::warning);
  EXPECT_EQ(fieldOf(event, "phase"), "degraded");
  EXPECT_EQ(fieldOf(event, "reason"), "tor: no circuit");
}

}  // namespace
}  // namespace orrery
