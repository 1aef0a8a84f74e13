#include <linux/seccomp.h>
#include <string.h>

#include <algorithm>

#include "sandbox/base/strings.h"
#include "sandbox/seccomp/profile.h"

namespace orrery {
namespace {

constexpr int kMaxErrno = 133;            // the last with a name, EHWPOISON
constexpr std::uint32_t kMaxData = 4095;  // MAX_ERRNO: larger values are cut by the kernel

std::optional<std::uint16_t> errnoByName(std::string_view name) {
  for (int e = 1; e <= kMaxErrno; ++e) {
    const char* known = ::strerrorname_np(e);
    if (known != nullptr && name == known) return static_cast<std::uint16_t>(e);
  }
  return std::nullopt;
}

}  // namespace

Result<SeccompAction> parseSeccompAction(std::string_view text) {
  using Kind = SeccompAction::Kind;
  if (text == "allow") return SeccompAction{Kind::allow, 0};
  if (text == "kill_process") return SeccompAction{Kind::killProcess, 0};
  if (text == "notify") return SeccompAction{Kind::notify, 0};
  if (text == "log") return SeccompAction{Kind::log, 0};
  if (text == "absent") return SeccompAction{Kind::absent, 0};
  constexpr std::string_view kPrefix = "errno:";
  if (text.substr(0, kPrefix.size()) == kPrefix) {
    const std::string_view name = text.substr(kPrefix.size());
    if (const auto err = errnoByName(name)) return SeccompAction{Kind::errnoValue, *err};
    return error("unknown errno '{}'; expected a name such as EPERM or ENOSYS", name);
  }
  return error(
      "unknown action '{}'; expected allow, kill_process, errno:NAME, notify, log or absent", text);
}

std::string toString(const SeccompAction& action) {
  switch (action.kind) {
    case SeccompAction::Kind::allow:
      return "allow";
    case SeccompAction::Kind::log:
      return "log";
    case SeccompAction::Kind::absent:
      return "absent";
    case SeccompAction::Kind::notify:
      return "notify";
    case SeccompAction::Kind::killProcess:
      return "kill_process";
    case SeccompAction::Kind::errnoValue:
      break;
  }
  const char* name = ::strerrorname_np(action.err);
  return name != nullptr ? fmt::format("errno:{}", name) : fmt::format("errno:{}", action.err);
}

std::uint32_t seccompReturn(const SeccompAction& action) {
  switch (action.kind) {
    case SeccompAction::Kind::allow:
      return SECCOMP_RET_ALLOW;
    case SeccompAction::Kind::log:
      return SECCOMP_RET_LOG;
    case SeccompAction::Kind::absent:
      return SECCOMP_RET_TRACE;
    case SeccompAction::Kind::notify:
      return SECCOMP_RET_USER_NOTIF;
    case SeccompAction::Kind::errnoValue:
      return SECCOMP_RET_ERRNO | std::min<std::uint32_t>(action.err, kMaxData);
    case SeccompAction::Kind::killProcess:
      break;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

SeccompAction seccompActionOf(std::uint32_t filterReturn) {
  using Kind = SeccompAction::Kind;
  switch (filterReturn & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return {Kind::allow, 0};
    case SECCOMP_RET_LOG:
      return {Kind::log, 0};
    case SECCOMP_RET_TRACE:
      return {Kind::absent, 0};
    case SECCOMP_RET_USER_NOTIF:
      return {Kind::notify, 0};
    case SECCOMP_RET_ERRNO:
      return {Kind::errnoValue, static_cast<std::uint16_t>(filterReturn & SECCOMP_RET_DATA)};
    default:
      return {Kind::killProcess, 0};
  }
}

SeccompArch nativeSeccompArch() {
#if defined(__x86_64__)
  return SeccompArch::x86_64;
#elif defined(__aarch64__)
  return SeccompArch::aarch64;
#else
#error "seccomp profiles exist for x86_64 and aarch64"
#endif
}

std::string_view toString(SeccompArch arch) {
  return arch == SeccompArch::x86_64 ? "x86_64" : "aarch64";
}

}  // namespace orrery
