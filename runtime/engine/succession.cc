#include "runtime/engine/succession.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "runtime/control/paths.h"
#include "runtime/engine/incarnation.h"

namespace orrery {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Wakes up when something in the run directory is made or replaced: the control socket, and, after
// it listens, the successor's first state.
Result<UniqueFd> watchRunDirectory(const RouterId& router) {
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return sysError(errno, "start inotify");
  const std::string directory = RouterPaths(router).runDir;
  if (::inotify_add_watch(inotify.get(), directory.c_str(),
                          IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF) < 0)
    return sysError(errno == ENOENT ? ESRCH : errno, "watch '{}'", directory);
  return inotify;
}

int pollTimeout(const Deadline& deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

// Sleeps until there may be another supervisor. Whoever is written down as supervisor or keeper and
// lives may become one; the keeper keeps its process when it does.
Status awaitChange(const RouterId& router, const UniqueFd& inotify, Deadline deadline) {
  ORRERY_TRY_ASSIGN(const auto supervisor, openMarked(supervisorMarkPath(router)));
  ORRERY_TRY_ASSIGN(const auto keeper, openMarked(keeperMarkPath(router)));
  if (!supervisor && !keeper)
    return sysError(ESRCH, "its supervisor has ended, and there is no keeper to take its place");
  std::vector<pollfd> items = {{inotify.get(), POLLIN, 0}};
  if (supervisor) items.push_back({supervisor->get(), POLLIN, 0});
  if (keeper) items.push_back({keeper->get(), POLLIN, 0});
  const int ready = ::poll(items.data(), items.size(), pollTimeout(deadline));
  if (ready < 0 && errno != EINTR) return sysError(errno, "wait for a supervisor");
  if (ready == 0) return sysError(ETIMEDOUT, "no supervisor takes the place of one that has ended");
  std::array<char, 4096> told{};
  while (::read(inotify.get(), told.data(), told.size()) > 0) {
  }
  return {};
}

}  // namespace

bool isSupervisorAway(int err) {
  return err == ENOENT || err == ECONNREFUSED || err == ECONNRESET;
}

Result<RouterState> awaitPhase(const RouterId& router, RouterPhase wanted, Deadline deadline,
                               const std::function<void(const Event&)>& onEvent) {
  // Only when it is needed: to close one waits for a grace period of the kernel, some 10 ms.
  std::optional<UniqueFd> inotify;
  for (;;) {
    auto client = ControlClient::connect(RouterPaths(router).control);
    auto state = client ? waitForPhase(*client, wanted, deadline, onEvent)
                        : tl::unexpected<Error>(std::move(client).error());
    if (state || !isSupervisorAway(state.error().err)) return state;
    if (inotify) {
      ORRERY_TRY(awaitChange(router, *inotify, deadline));
      continue;
    }
    // Then another try first, so that no change falls in between.
    ORRERY_TRY_ASSIGN(inotify, watchRunDirectory(router));
  }
}

}  // namespace orrery
