#include "runtime/control/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <limits>

#include "runtime/control/paths.h"

namespace orrery {
namespace {

using Clock = std::chrono::steady_clock;

// 0 once the deadline has passed, -1 (for ever) without one; as poll(2) takes it.
int pollTimeout(const Deadline& deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

Status waitUntil(int fd, short events, const Deadline& deadline) {
  for (;;) {
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, pollTimeout(deadline));
    if (n > 0) return {};
    if (n == 0) return sysError(ETIMEDOUT, "the router's supervisor does not answer");
    if (errno != EINTR) return sysError(errno, "wait for the control socket");
  }
}

constexpr std::size_t kMaxPendingEvents = 1024;

bool isEvent(std::string_view line) {
  return line.substr(0, 6) != "{\"ok\":";
}

int errnoOf(const std::string& code) {
  if (code == control_code::kNotPermitted) return EPERM;
  if (code == control_code::kUnknownRequest) return ENOSYS;
  if (code == control_code::kBusy) return EBUSY;
  return 0;
}

tl::unexpected<Error> refused(const ControlReply& reply) {
  Error e;
  e.err = errnoOf(reply.code);
  e.message = printable(reply.message);
  return tl::unexpected<Error>(std::move(e));
}

// The time is up. A supervisor that answers knows what the router still waits for.
tl::unexpected<Error> timeIsUp(ControlClient& client, RouterPhase wanted) {
  constexpr std::chrono::seconds kPatience{2};
  Error e;
  e.err = ETIMEDOUT;
  const auto now = client.request({.verb = std::string(verb::kStatus)}, after(kPatience));
  if (!now) return tl::unexpected<Error>(now.error());
  const auto state = stateFromJson(*now);
  if (!state) return tl::unexpected<Error>(state.error());
  e.message = fmt::format("not {} within the time given", toString(wanted));
  if (const Rung* rung = firstUnsettled(*state)) {
    std::string detail = rung->detail;
    if (detail.empty() && state->progress) detail = state->progress->text;
    e.message += fmt::format(": {} is {}{}{}", rung->rung, toString(rung->state),
                             detail.empty() ? "" : ": ", printable(detail));
  }
  return tl::unexpected<Error>(std::move(e));
}

}  // namespace

Deadline after(std::chrono::milliseconds time) {
  return Clock::now() + time;
}

Result<ControlClient> ControlClient::connect(const std::string& path) {
  ORRERY_TRY(checkSocketPath(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return sysError(errno, "open unix socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  // A unix socket connects at once or not at all; EAGAIN means that the server's queue is full.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sysError(errno, "connect to '{}'", path);
  return ControlClient(std::move(socket));
}

Status ControlClient::send(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    // The server has closed; it may have left a line that says why.
    if (errno == EPIPE || errno == ECONNRESET) return {};
    if (errno != EAGAIN) return sysError(errno, "send to the supervisor");
    ORRERY_TRY(waitUntil(socket_.get(), POLLOUT, deadline));
  }
  return {};
}

Result<std::string> ControlClient::readLine(Deadline deadline) {
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    if (buffer_.size() > kMaxControlLine)
      return error("the supervisor sent a line of more than {} bytes", kMaxControlLine);
    char chunk[4096];
    const ssize_t n = ::recv(socket_.get(), chunk, sizeof chunk, 0);
    if (n > 0) {
      buffer_.append(chunk, static_cast<std::size_t>(n));
      continue;
    }
    if (n == 0 || errno == ECONNRESET)
      return sysError(ECONNRESET, "the router's supervisor has ended the connection");
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return sysError(errno, "read from the supervisor");
    ORRERY_TRY(waitUntil(socket_.get(), POLLIN, deadline));
  }
}

Result<Json> ControlClient::request(const ControlRequest& request, Deadline deadline) {
  ORRERY_TRY(send(toLine(request), deadline));
  for (;;) {
    ORRERY_TRY_ASSIGN(std::string line, readLine(deadline));
    if (isEvent(line)) {  // a subscriber's events do not wait for its requests
      if (events_.size() >= kMaxPendingEvents) events_.pop_front();
      events_.push_back(std::move(line));
      continue;
    }
    ORRERY_TRY_ASSIGN(ControlReply reply, parseReply(line));
    if (!reply.ok) return refused(reply);
    return std::move(reply.result);
  }
}

Result<RouterState> ControlClient::subscribe(Deadline deadline) {
  ORRERY_TRY_ASSIGN(const Json state, request({.verb = std::string(verb::kEvents)}, deadline));
  return stateFromJson(state);
}

Result<Event> ControlClient::nextEvent(Deadline deadline) {
  if (!events_.empty()) {
    const std::string line = std::move(events_.front());
    events_.pop_front();
    return parseEvent(line);
  }
  ORRERY_TRY_ASSIGN(const std::string line, readLine(deadline));
  return parseEvent(line);
}

Result<RouterState> waitForPhase(ControlClient& client, RouterPhase wanted, Deadline deadline,
                                 const std::function<void(const Event&)>& onEvent) {
  ORRERY_TRY_ASSIGN(RouterState state, client.subscribe(deadline));
  const auto settled = [&] { return state.phase == wanted || state.phase == RouterPhase::failed; };
  while (!settled()) {
    const auto event = client.nextEvent(deadline);
    if (!event && event.error().err == ETIMEDOUT) return timeIsUp(client, wanted);
    if (!event) return tl::unexpected<Error>(event.error());
    if (onEvent) onEvent(*event);
    if (event->name != kPhaseEvent) continue;
    const auto phase = parseRouterPhase(fieldOf(*event, "phase"));
    if (!phase) return error("unknown phase '{}'", printable(fieldOf(*event, "phase")));
    state.phase = *phase;
    if (!settled()) continue;
    // The event says that it happened, the state why: asked once, and only now.
    ORRERY_TRY_ASSIGN(const Json now,
                      client.request({.verb = std::string(verb::kStatus)}, deadline));
    ORRERY_TRY_ASSIGN(state, stateFromJson(now));
  }
  return state;
}

}  // namespace orrery
