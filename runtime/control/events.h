// What happens to routers, as typed values: one line of JSON for programs, one line for people.
//
// The supervisor publishes events to the subscribers of its control socket, to <runDir>/log/events
// and to the portal's status.out. Schema "orrery.event/1":
//   {"schema":"orrery.event/1","time":"2026-01-31T12:00:00.123Z","severity":"info",
//    "network":"network0","router":"galaxy0","service":"openvpn","event":"tunnel-up",
//    "fields":{"address":"10.8.0.2/24"}}
// `service` is left out where the router itself is meant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "routers/spec/router_spec.h"
#include "runtime/control/json.h"
#include "sandbox/base/result.h"

namespace orrery {

enum class Severity { debug, info, warning, error };
const char* toString(Severity severity);
std::optional<Severity> parseSeverity(std::string_view text);

// A moment on both clocks: the wall clock for people, the monotonic one for differences.
struct Timestamp {
  std::string wall;              // RFC 3339, UTC, milliseconds: "2026-01-31T12:00:00.123Z"
  std::int64_t monotonicMs = 0;  // CLOCK_BOOTTIME, so that a suspended host counts
  static Timestamp now();
  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};
std::string rfc3339(std::int64_t unixMilliseconds);

struct Event {
  RouterId router;
  std::string service;  // "": the router
  std::string name;     // kebab-case: "link-up", "lease", "phase"
  Severity severity = Severity::info;
  std::vector<std::pair<std::string, std::string>> fields;
  Timestamp time;  // only `wall` travels
  friend bool operator==(const Event&, const Event&) = default;
};

// Names that programs rely on.
inline constexpr std::string_view kPhaseEvent = "phase";        // fields: phase, reason
inline constexpr std::string_view kRungEvent = "rung";          // fields: rung, state, detail
inline constexpr std::string_view kProgressEvent = "progress";  // fields: percent, text
// dnsmasq has read the reservations; not in the log. Field: generation, as in the reply to verb
// "reservations".
inline constexpr std::string_view kReservationsEvent = "reservations";
inline constexpr std::string_view kBlockedEvent = "blocked";  // fields: call, arguments
inline constexpr std::string_view kServiceEvent = "service";  // fields: phase, pid, exit

Json toJson(const Event& event);
std::string toJsonLine(const Event& event);  // without the newline
// "12:00:00.123 galaxy0/openvpn tunnel-up address=10.8.0.2/24". Control bytes are escaped: a value
// may come from a server that we do not trust.
std::string toHumanLine(const Event& event, bool colour = false);
Result<Event> parseEvent(std::string_view json);
Result<Event> eventFromJson(const Json& json);
// The value of a field, "" if there is none.
std::string_view fieldOf(const Event& event, std::string_view name);

// For terminals and logs: C0, DEL and C1 control bytes become \xNN, so that foreign text can
// neither move the cursor nor fake a line.
std::string printable(std::string_view text);

}  // namespace orrery
