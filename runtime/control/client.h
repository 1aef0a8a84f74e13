// routerctl's end of the control protocol (protocol.h): blocking, each wait bounded by poll(2).
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "runtime/control/events.h"
#include "runtime/control/protocol.h"
#include "runtime/control/state.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;  // none: wait for ever
Deadline after(std::chrono::milliseconds time);

class ControlClient {
 public:
  // Error::err: ENOENT or ECONNREFUSED when no supervisor is there, EACCES when we may not.
  static Result<ControlClient> connect(const std::string& path);

  // Sends and waits for the reply. A refusal is an error with the server's message
  // (err EPERM for "not-permitted", ENOSYS for "unknown-request"); ETIMEDOUT after the deadline;
  // ECONNRESET when the server went away.
  Result<Json> request(const ControlRequest& request, Deadline deadline);

  // Adds the event stream to the connection; the result is the state of that moment.
  Result<RouterState> subscribe(Deadline deadline);
  // The next event; ETIMEDOUT, ECONNRESET as above.
  Result<Event> nextEvent(Deadline deadline);

  int fd() const { return socket_.get(); }  // readable when an event may have come
  bool hasEvent() const {                   // nextEvent() would not have to wait
    return !events_.empty() || buffer_.find('\n') != std::string::npos;
  }

 private:
  explicit ControlClient(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<std::string> readLine(Deadline deadline);
  Status send(std::string_view bytes, Deadline deadline);

  UniqueFd socket_;
  std::string buffer_;              // bytes after the last line handed out
  std::deque<std::string> events_;  // that came while a reply was awaited
};

// Subscribes and returns the state as soon as the router is in `wanted` or in phase failed (which
// is no error here: the caller reads `phase`, `reason` and the ladder). Each event passes by
// `onEvent`.
Result<RouterState> waitForPhase(ControlClient& client, RouterPhase wanted, Deadline deadline,
                                 const std::function<void(const Event&)>& onEvent = {});

}  // namespace orrery
