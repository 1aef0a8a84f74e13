// The calls of one service that its profile does not let through: answered and told.
//
// Theory of operation. A service runs under the *reporting* form of its profile's program: what the
// profile would kill for, and what it refuses by its default, arrives here by seccomp_unotify(2)
// while the calling thread waits. The answer is the profile's own: the plain form of the program is
// asked in user space (bpf_eval.h) about the same number and register arguments.
//
//   errno      the call fails with it
//   kill       the service is told of and killed; its pid namespace goes with its first process
//   notify     a reviewed rule of the profile: the service's owner carries the call out, or refuses
//
// Nothing is ever let go that was looked at, with the one exception of the learning mode, which
// lets go what would have failed by the profile's default and writes it down; what the profile
// kills for is killed for in that mode too.
//
// Who has no supervisor gets ENOSYS: the kernel says so once the listener is closed. And a service
// dies with its supervisor (PDEATHSIG), so there is no one left to profit from that.
//
// Bounds. A service can neither be kept waiting nor keep the supervisor busy: each round answers at
// most kRound calls, and after kBurst of them within kWindow the listener is left alone for the
// rest of it, so that a service that does nothing but violate its profile costs the supervisor some
// hundred answers a second. Reports are summed up (blocked_calls.h).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/supervisor/blocked_calls.h"
#include "runtime/supervisor/loop.h"
#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/learn.h"
#include "sandbox/seccomp/notify.h"

namespace orrery {

struct ViolationRules {
  std::vector<sock_filter> program;  // the profile with the kernel's own answers
  bool learn = false;
};

class ViolationOwner {
 public:
  virtual ~ViolationOwner() = default;
  virtual void callsBlocked(const BlockedReport& report) = 0;
  // The profile kills for this call. No answer is given: the caller waits until it is dead.
  virtual void killFor(const BlockedCall& call) = 0;
  // A `notify` rule of the profile: the call's value, or the errno that it fails with.
  virtual Result<std::int64_t> answerRule(const SeccompListener& listener,
                                          const SeccompNotification& call) = 0;
  // The learning mode saw something new; soon after the first of several.
  virtual void callsLearned(const LearnedCalls& learned) = 0;
};

class Violations {
 public:
  static Result<std::unique_ptr<Violations>> start(event_base* base, UniqueFd listener,
                                                   ViolationRules rules, ViolationOwner& owner);
  Violations(const Violations&) = delete;
  Violations& operator=(const Violations&) = delete;
  // Tells what is counted and not told. Calls that are pending fail with ENOSYS.
  ~Violations();

  static constexpr int kRound = 16;
  static constexpr int kBurst = 64;
  static constexpr std::chrono::milliseconds kWindow{100};

 private:
  Violations(event_base* base, SeccompListener listener, ViolationRules rules,
             ViolationOwner& owner);
  Status watch();
  void readable();
  bool withinBudget();
  void take(const SeccompNotification& call);
  std::string answer(const SeccompNotification& call, const SeccompAction& verdict);
  std::string learn(const SeccompNotification& call);
  void tellLater();

  event_base* base_;
  SeccompListener listener_;
  ViolationRules rules_;
  ViolationOwner& owner_;
  BlockedCalls blocked_;
  LearnedCalls learned_;
  ReadWatch watch_;
  Timer budgetTimer_;
  Timer tellTimer_;
  Timer learnTimer_;
  bool learnPending_ = false;
  bool killed_ = false;
  int answered_ = 0;  // within the window
  std::chrono::steady_clock::time_point windowEnd_{};
};

}  // namespace orrery
