// To wait for a router through the end of its supervisor. Whoever asks a supervisor may do so at
// the moment when it dies and its keeper becomes the next one (runtime/supervisor/keeper.h): its
// socket then refuses, or the connection ends. That is no failure of the router's.
#pragma once

#include <functional>

#include "runtime/control/client.h"

namespace orrery {

// Error::err of a control socket whose supervisor is gone, or not there yet.
bool isSupervisorAway(int err);

// As waitForPhase() (runtime/control/client.h), of whichever supervisor the router has meanwhile.
// Err ESRCH at once when nobody supervises it any more, nor is about to; ETIMEDOUT.
Result<RouterState> awaitPhase(const RouterId& router, RouterPhase wanted, Deadline deadline,
                               const std::function<void(const Event&)>& onEvent = {});

}  // namespace orrery
