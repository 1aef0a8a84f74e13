// What the supervisor's own seccomp filter ended it for (sandbox/seccomp/own_calls.h): where that
// is written down, and how a successor reads it.
#pragma once

#include <optional>
#include <string>

#include "routers/spec/router_spec.h"
#include "runtime/supervisor/blocked_calls.h"

namespace orrery {

std::string refusedCallRecord(const RouterId& router);
// Nothing as a rule. The record is removed.
std::optional<BlockedCall> takeRefusedCallOf(const RouterId& router);

}  // namespace orrery
