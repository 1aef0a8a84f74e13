// The part of a service's runner that deals with its seccomp filter: which one it gets, and what
// becomes of calls that the filter does not let through.
#include <signal.h>

#include "runtime/control/paths.h"
#include "runtime/supervisor/service_runner.h"
#include "sandbox/base/file.h"
#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/embedded.h"

namespace orrery {
namespace {

std::vector<sock_filter> copyOf(std::span<const sock_filter> program) {
  return {program.begin(), program.end()};
}

}  // namespace

Result<std::int64_t> ServiceOwner::answerCall(ServiceRunner&, const SeccompListener&,
                                              const SeccompNotification&) {
  return sysError(EPERM, "nobody answers this call");
}

Result<ServiceRunner::Filter> ServiceRunner::chooseFilter() const {
  if (const OwnSeccompProfile* own = ownProfile(at_.seccomp, state_.name)) {
    ORRERY_TRY_ASSIGN(const ProfileSet shipped, embeddedProfileSet());
    ORRERY_TRY_ASSIGN(BuiltProfile built,
                      buildOwnProfile("own-" + state_.name, own->text, shipped));
    return Filter{std::move(built.program), std::move(built.reporting)};
  }
  ORRERY_TRY_ASSIGN(const auto program, embeddedProfile(spec_.sandbox.seccomp));
  ORRERY_TRY_ASSIGN(const auto reporting, embeddedReportingProfile(spec_.sandbox.seccomp));
  return Filter{copyOf(program), copyOf(reporting)};
}

Status ServiceRunner::watchCalls(UniqueFd listener, const Filter& filter) {
  ViolationRules rules;
  rules.program = filter.program;
  // Without effect on our own programs: their profiles kill.
  rules.learn = at_.seccomp != nullptr && at_.seccomp->learn;
  ORRERY_TRY_ASSIGN(violations_,
                    Violations::start(at_.base, std::move(listener), std::move(rules), *this));
  return {};
}

void ServiceRunner::note(Severity severity, std::string_view name,
                         std::vector<std::pair<std::string, std::string>> fields) {
  if (!at_.publish) return;
  Event event;
  event.router = at_.router;
  event.service = state_.name;
  event.name = std::string(name);
  event.severity = severity;
  event.fields = std::move(fields);
  event.time = Timestamp::now();
  at_.publish(std::move(event));
}

void ServiceRunner::callsBlocked(const BlockedReport& report) {
  note(Severity::warning, kBlockedEvent,
       {{"call", report.last.name},
        {"arguments", report.last.arguments},
        {"answer", report.last.answer},
        {"pid", std::to_string(report.last.pid)},
        {"count", std::to_string(report.count)},
        {"total", std::to_string(report.total)}});
}

void ServiceRunner::killFor(const BlockedCall& call) {
  killedFor_ = call.name + "(" + call.arguments + ")";
  note(Severity::error, kBlockedEvent,
       {{"call", call.name},
        {"arguments", call.arguments},
        {"answer", call.answer},
        {"pid", std::to_string(call.pid)},
        {"count", "1"},
        {"total", "1"}});
  if (child_) (void)sendSignal(child_->pidfd, SIGKILL);  // its end is what comes next
}

Result<std::int64_t> ServiceRunner::answerRule(const SeccompListener& listener,
                                               const SeccompNotification& call) {
  return owner_.answerCall(*this, listener, call);
}

void ServiceRunner::callsLearned(const LearnedCalls& learned) {
  const std::string path = RouterPaths(at_.router).logDir + "/seccomp-" + state_.name + ".toml";
  const SeccompAction fallback{SeccompAction::Kind::errnoValue, EPERM};
  const Status written = writeFileAtomic(path, learned.proposal(state_.name, fallback), 0600);
  note(written ? Severity::info : Severity::error, "seccomp-learned",
       {written ? std::pair<std::string, std::string>{"proposal", path}
                : std::pair<std::string, std::string>{"why", written.error().message}});
}

// "seccomp: ptrace(…)" if the profile killed for it. With every other refusal told by a listener, a
// SIGSYS of the kernel's own can only come from a call by a foreign gate.
std::string ServiceRunner::describeEnd(const ExitStatus& status) {
  if (!killedFor_.empty()) return "seccomp: " + killedFor_;
  if (status.signal != SIGSYS || !violations_) return toText(status);
  const std::string what = "a call of a foreign architecture (int 0x80 or x32)";
  note(Severity::error, kBlockedEvent,
       {{"call", "foreign"}, {"arguments", what}, {"answer", "killed"}, {"count", "1"}});
  return "seccomp: " + what;
}

}  // namespace orrery
