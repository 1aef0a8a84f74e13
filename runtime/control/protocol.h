// The control protocol: one JSON object a line over a SOCK_STREAM unix socket, both ways.
//
//   → {"schema":"orrery.control/1","request":"status","args":{}}
//   ← {"ok":true,"result":{…}}
//   ← {"ok":false,"error":{"code":"unknown-request","message":"…"}}
//
// After "events" the connection also carries a stream: the reply's result is the router's state at
// that moment, then each event follows as one line (events.h), so a waiter misses nothing and never
// polls. Replies begin with the member "ok", events never have it. A line has at most 64 KiB,
// nesting at most 16. A line that breaks a rule gets an error reply; one that is too long also ends
// the connection, because there is no telling where the next request begins.
//
// Here are the values and their text forms; server.h and client.h move them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/control/json.h"
#include "sandbox/base/result.h"

namespace orrery {

inline constexpr std::string_view kControlSchema = "orrery.control/1";
inline constexpr std::size_t kMaxControlLine = 64u << 10;  // bytes, with the newline

// Verbs of supervisors. The portal's socket takes the first four only.
namespace verb {
inline constexpr std::string_view kStatus = "status";
inline constexpr std::string_view kReset = "reset";
inline constexpr std::string_view kNewnym = "newnym";
inline constexpr std::string_view kEgress = "egress";
inline constexpr std::string_view kEvents = "events";
inline constexpr std::string_view kStop = "stop";
inline constexpr std::string_view kRestartService = "restart-service";  // args: service
// The set of reservations is another one. The result: generation, a number, and reading: whether
// event "reservations" with that generation or a later one is still to come.
inline constexpr std::string_view kReservations = "reservations";
}  // namespace verb

struct ControlRequest {
  std::string verb;
  Json args = Json::object();
  friend bool operator==(const ControlRequest&, const ControlRequest&) = default;
};

// Stable words for programs.
namespace control_code {
inline constexpr std::string_view kMalformed = "malformed";
inline constexpr std::string_view kTooLarge = "too-large";
inline constexpr std::string_view kUnknownRequest = "unknown-request";
inline constexpr std::string_view kNotPermitted = "not-permitted";
inline constexpr std::string_view kBusy = "busy";
inline constexpr std::string_view kFailed = "failed";
}  // namespace control_code

struct ControlReply {
  bool ok = false;
  Json result;          // if ok
  std::string code;     // if not
  std::string message;  // if not
  friend bool operator==(const ControlReply&, const ControlReply&) = default;
};

std::string toLine(const ControlRequest& request);  // with the newline
std::string toLine(const ControlReply& reply);      // with the newline
// A member that the schema does not have is an error: a misspelt one must not be lost in silence.
Result<ControlRequest> parseRequest(std::string_view line);
Result<ControlReply> parseReply(std::string_view line);

}  // namespace orrery
