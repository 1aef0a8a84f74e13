#include "runtime/engine/supervisor_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <array>
#include <chrono>

#include "runtime/control/client.h"
#include "runtime/control/paths.h"
#include "runtime/engine/incarnation.h"
#include "runtime/engine/succession.h"
#include "sandbox/base/strings.h"
#include "sandbox/process/process.h"

namespace orrery {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kStartLimit{20};
constexpr seconds kStopGrace{8};
constexpr seconds kReservationsLimit{10};
constexpr int kReadyFd = 3;

// Reads what the supervisor says of its start: "ok", or why it failed.
Status awaitStart(int fd) {
  std::string text;
  std::array<char, 1024> buffer{};
  for (;;) {
    pollfd ready{fd, POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(milliseconds(kStartLimit).count()));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return sysError(n == 0 ? ETIMEDOUT : errno, "wait for the supervisor");
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sysError(errno, "read from the supervisor");
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text == "ok\n") return {};
    if (got == 0 || text.size() > 4096) break;
  }
  if (text.empty()) return error("the supervisor ended before it was up");
  return error("the supervisor did not start: {}", trim(text));
}

Status endSupervisor(const RouterId& router, const PidFd& supervisor) {
  ORRERY_TRY(sendSignal(supervisor, SIGTERM));
  ORRERY_TRY_ASSIGN(const bool gone, waitGone(supervisor, kStopGrace));
  if (gone) return {};
  ORRERY_TRY(sendSignal(supervisor, SIGKILL));
  ORRERY_TRY_ASSIGN(const bool killed, waitGone(supervisor, kStopGrace));
  if (!killed) return error("supervisor of {} does not end", router.text());
  return {};
}

Status askToApply(const RouterId& router) {
  const Deadline limit = after(kReservationsLimit);
  ORRERY_TRY_ASSIGN(ControlClient client, ControlClient::connect(RouterPaths(router).control));
  ORRERY_TRY(client.subscribe(limit));  // before: what is read at once must not be missed
  ORRERY_TRY_ASSIGN(const Json reply,
                    client.request({.verb = std::string(verb::kReservations)}, limit));
  if (!reply.boolean("reading")) return {};
  for (;;) {
    ORRERY_TRY_ASSIGN(const Event event, client.nextEvent(limit));
    if (event.name != kReservationsEvent) continue;
    const auto read = parseNumber<std::int64_t>(fieldOf(event, "generation"));
    if (read && *read >= reply.integer("generation")) return {};
  }
}

}  // namespace

Status announceReservations(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const auto supervisor, openMarked(supervisorMarkPath(router)));
  if (supervisor) ORRERY_TRY(sendSignal(*supervisor, SIGHUP));
  return {};
}

Status applyReservations(const RouterId& router) {
  Status applied = askToApply(router);
  if (applied || isSupervisorAway(applied.error().err)) return {};
  return wrap(std::move(applied).error(), "tell the DHCP server of {}", router.text());
}

Status SupervisorProcesses::start(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const bool runs, running(router));
  if (runs) return sysError(EEXIST, "start the supervisor of {}", router.text());
  ORRERY_TRY(stop(router));  // a keeper that is about to become one
  ORRERY_TRY_ASSIGN(const std::string incarnation, beginIncarnation(router));
  Status started = launch(router, incarnation);
  if (started) return {};
  Error first = std::move(started).error();
  if (Status stopped = stop(router); !stopped) first.also.push_back(std::move(stopped).error());
  return tl::unexpected<Error>(std::move(first));
}

Status SupervisorProcesses::launch(const RouterId& router, const std::string& incarnation) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return sysError(errno, "make a pipe");
  UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  auto child = spawnPlain({program_, router.network, router.name, incarnation},
                          {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
                          {{writer.get(), kReadyFd}}, NewSession::yes);
  if (!child) return wrap(std::move(child).error(), "start '{}'", program_);
  writer.reset();
  Status started = awaitStart(reader.get());
  if (started) return {};
  (void)sendSignal(child->pidfd, SIGKILL);
  (void)waitExit(child->pidfd);
  return started;
}

Status SupervisorProcesses::signalStop(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const Bereft left, withdrawIncarnation(router));
  if (left.supervisor) {
    ORRERY_TRY(sendSignal(*left.supervisor, SIGTERM));
  } else if (left.keeper) {
    ORRERY_TRY(sendSignal(*left.keeper, SIGTERM));
  }
  return {};
}

Status SupervisorProcesses::stop(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const Bereft left, withdrawIncarnation(router));
  // The keeper first: it would take the supervisor's end for a crash.
  if (left.keeper) {
    ORRERY_TRY(sendSignal(*left.keeper, SIGKILL));
    ORRERY_TRY(waitGone(*left.keeper, kStopGrace));
  }
  if (left.supervisor) ORRERY_TRY(endSupervisor(router, *left.supervisor));
  return forgetIncarnation(router);
}

Result<bool> SupervisorProcesses::running(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const auto supervisor, openMarked(supervisorMarkPath(router)));
  return supervisor.has_value();
}

}  // namespace orrery
