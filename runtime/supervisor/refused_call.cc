#include "runtime/supervisor/refused_call.h"

#include "runtime/control/paths.h"
#include "sandbox/seccomp/decode.h"
#include "sandbox/seccomp/own_calls.h"

namespace orrery {

std::string refusedCallRecord(const RouterId& router) {
  return RouterPaths(router).runDir + "/refused-call";
}

std::optional<BlockedCall> takeRefusedCallOf(const RouterId& router) {
  const auto call = takeRefusedCall(refusedCallRecord(router));
  if (!call) return std::nullopt;
  DecodedCall text = decodeCall(nativeSeccompArch(), call->number, call->args);
  return BlockedCall{std::move(text.name), std::move(text.arguments), "killed", call->pid};
}

}  // namespace orrery
