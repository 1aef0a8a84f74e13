#include "runtime/supervisor/violations.h"

#include <algorithm>
#include <cerrno>

namespace orrery {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kLearnPause{500};  // several new calls of one moment are written once

}  // namespace

Violations::Violations(event_base* base, SeccompListener listener, ViolationRules rules,
                       ViolationOwner& owner)
    : base_(base), listener_(std::move(listener)), rules_(std::move(rules)), owner_(owner) {}

Result<std::unique_ptr<Violations>> Violations::start(event_base* base, UniqueFd listener,
                                                      ViolationRules rules, ViolationOwner& owner) {
  ORRERY_TRY(checkProgram(rules.program));
  ORRERY_TRY_ASSIGN(SeccompListener open, SeccompListener::open(std::move(listener)));
  std::unique_ptr<Violations> made(new Violations(base, std::move(open), std::move(rules), owner));
  ORRERY_TRY(made->watch());
  return made;
}

Violations::~Violations() {
  for (const BlockedReport& report : blocked_.rest()) owner_.callsBlocked(report);
  if (learnPending_) owner_.callsLearned(learned_);
}

Status Violations::watch() {
  ORRERY_TRY_ASSIGN(watch_, ReadWatch::start(base_, listener_.fd(), [this] { readable(); }));
  return {};
}

// False: the listener is left alone until the window is over.
bool Violations::withinBudget() {
  const Clock::time_point now = Clock::now();
  if (now >= windowEnd_) {
    windowEnd_ = now + kWindow;
    answered_ = 0;
  }
  if (++answered_ <= kBurst) return true;
  watch_.stop();
  const auto left = std::chrono::ceil<milliseconds>(windowEnd_ - now);
  // Without a timer nobody would ever answer again: then better without the pause.
  const Status later = budgetTimer_.start(base_, left, [this] { (void)watch(); });
  if (!later) (void)watch();
  return false;
}

void Violations::readable() {
  for (int i = 0; i < kRound && !killed_; ++i) {
    switch (listener_.ready()) {
      case SeccompListener::Ready::nothing:
        return;
      case SeccompListener::Ready::nobody:
        watch_.stop();
        return;
      case SeccompListener::Ready::call:
        break;
    }
    if (!withinBudget()) return;
    const auto call = listener_.receive();
    if (!call) {
      watch_.stop();
      return;
    }
    if (*call) take(**call);
  }
}

void Violations::take(const SeccompNotification& call) {
  const SeccompAction verdict = seccompActionOf(evaluate(rules_.program, dataOf(call)));
  if (verdict.kind == SeccompAction::Kind::notify) {
    const auto value = owner_.answerRule(listener_, call);
    if (value) {
      (void)listener_.answerValue(call.id, *value);
      return;
    }
  }
  DecodedCall text = decode(call);
  BlockedCall blocked{std::move(text.name), std::move(text.arguments), "", call.pid};
  blocked.answer = answer(call, verdict);
  if (killed_) {
    owner_.killFor(blocked);
    return;
  }
  if (const auto report = blocked_.add(call.number, std::move(blocked), Clock::now()))
    owner_.callsBlocked(*report);
  tellLater();
}

// Gives the profile's answer, and says which one it was.
std::string Violations::answer(const SeccompNotification& call, const SeccompAction& verdict) {
  using Kind = SeccompAction::Kind;
  SeccompAction given = verdict;
  switch (verdict.kind) {
    case Kind::killProcess:
      killed_ = true;
      return "killed";
    case Kind::errnoValue:
      if (rules_.learn) return learn(call);
      break;
    case Kind::allow:
    case Kind::log:
    case Kind::absent:
    case Kind::notify:
      // A rule's refusal; or the two forms of the program disagree, and the narrower one counts.
      given = {Kind::errnoValue, EPERM};
      break;
  }
  (void)listener_.answerError(call.id, given.err);  // false: the caller is gone
  return toString(given);
}

std::string Violations::learn(const SeccompNotification& call) {
  (void)listener_.letGo(call.id);
  const SeccompArch arch = nativeSeccompArch();  // the filter kills for every other
  if (learned_.add(arch, call.number, call.args) && !learnPending_) {
    learnPending_ = true;
    (void)learnTimer_.start(base_, kLearnPause, [this] {
      learnPending_ = false;
      owner_.callsLearned(learned_);
    });
  }
  return "let go";
}

void Violations::tellLater() {
  const auto next = blocked_.nextDue();
  if (!next) return;
  const auto left = std::chrono::ceil<milliseconds>(*next - Clock::now());
  (void)tellTimer_.start(base_, std::max(left, milliseconds(0)), [this] {
    for (const BlockedReport& report : blocked_.due(Clock::now())) owner_.callsBlocked(report);
    tellLater();
  });
}

}  // namespace orrery
