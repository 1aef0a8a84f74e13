// What a router is doing, as the supervisor knows it: written to <runDir>/state.json at each
// change, and the result of the control request "status". Schema "orrery.state/1".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routers/spec/router_spec.h"
#include "runtime/control/events.h"
#include "runtime/control/json.h"
#include "sandbox/base/result.h"

namespace orrery {

inline constexpr std::string_view kStateSchema = "orrery.state/1";

// degraded: was ready, a rung of the ladder failed since. failed: given up until a restart.
enum class RouterPhase { starting, ready, degraded, stopping, failed };
const char* toString(RouterPhase phase);
std::optional<RouterPhase> parseRouterPhase(std::string_view text);

enum class RungState { pending, ok, failed };
const char* toString(RungState state);

// One check of the ladder, lowest first: "carrier", "address", "gateway", "dns", "tunnel",
// "bootstrap", "leak".
struct Rung {
  std::string rung;
  RungState state = RungState::pending;
  std::string detail;  // what was seen, or why it failed and what to do
  friend bool operator==(const Rung&, const Rung&) = default;
};

struct StartProgress {  // Tor's bootstrap, an OpenVPN handshake
  unsigned percent = 0;
  std::string text;
  friend bool operator==(const StartProgress&, const StartProgress&) = default;
};

struct EgressStatus {
  std::string type;                      // "direct", "openvpn", …
  std::optional<Prefix4> tunnelAddress;  // of the uplink or tunnel device
  std::optional<Endpoint> endpoint;      // the tunnel's or proxy's server in use
  std::vector<Ipv4> dns;                 // in use for clients
  std::string exitHint;                  // what is known of the exit ("" if nothing): an address
  friend bool operator==(const EgressStatus&, const EgressStatus&) = default;
};

enum class ServicePhase { starting, running, waiting, stopped, failed };  // waiting: for a restart
const char* toString(ServicePhase phase);

struct ServiceState {
  std::string name;
  std::int32_t pid = 0;  // 0: none
  ServicePhase phase = ServicePhase::starting;
  std::uint32_t restarts = 0;
  std::string lastExit;  // "exit 1", "signal 9", "seccomp: socket" …; "" if it never ended
  friend bool operator==(const ServiceState&, const ServiceState&) = default;
};

struct RouterState {
  RouterId id;
  Kind kind = Kind::galaxy;
  RouterPhase phase = RouterPhase::starting;
  std::string reason;  // why it is in this phase; "" if there is nothing to say
  std::int32_t supervisorPid = 0;
  Timestamp started;  // of the supervisor
  Timestamp since;    // in this phase
  std::vector<Rung> ladder;
  std::optional<StartProgress> progress;
  EgressStatus egress;
  std::vector<ServiceState> services;
  std::vector<std::string> warnings;  // what weakens its confinement, asked for by its definition
  friend bool operator==(const RouterState&, const RouterState&) = default;
};

Json toJson(const RouterState& state);
Result<RouterState> stateFromJson(const Json& json);
Result<RouterState> parseState(std::string_view text);

// The event that says that `state.phase` was entered: what waiting clients look for.
Event phaseEvent(const RouterState& state);
// The first rung that is not ok, none if all are.
const Rung* firstUnsettled(const RouterState& state);

}  // namespace orrery
