// One service of a router: started in its sandbox, watched by its pidfd, started again with
// back-off.
//
// States: stopped → starting → running → (it ends) waiting → starting …; stop() ends it for good.
// The back-off doubles from 100 ms to 30 s, and begins anew after a minute of running.
// The service's output goes line by line to its log and to the owner, within the bounds of
// output_gate.h. System calls beyond its profile
// are answered and told by violations.h.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "routers/services/service_spec.h"
#include "runtime/control/events.h"
#include "runtime/control/state.h"
#include "runtime/log/log.h"
#include "runtime/supervisor/loop.h"
#include "runtime/supervisor/output_gate.h"
#include "runtime/supervisor/violations.h"
#include "sandbox/base/fd.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/process/spawn.h"

namespace orrery {

class ServiceRunner;

class ServiceOwner {
 public:
  virtual ~ServiceOwner() = default;
  struct Gift {  // a descriptor for the service, closed here once it has started
    UniqueFd fd;
    int number = 0;
  };
  // Whatever must be there before each start. An error counts as a failed start.
  virtual Result<std::vector<Gift>> prepareService(ServiceRunner& service) = 0;
  virtual void serviceStarted(ServiceRunner& service) = 0;
  virtual void serviceLine(ServiceRunner& service, std::string_view line) = 0;
  virtual void serviceEnded(ServiceRunner& service, const std::string& how) = 0;
  // A system call that a `notify` rule of the service's profile hands to us: the value that it
  // returns to the service, or the errno that it fails with. Must not block.
  virtual Result<std::int64_t> answerCall(ServiceRunner& service, const SeccompListener& listener,
                                          const SeccompNotification& call);
};

struct ServiceSurroundings {  // what every service of a router shares
  event_base* base = nullptr;
  const CgroupTree* cgroups = nullptr;  // null: no limits
  std::uint32_t idBase = 0;
  RouterId router;
  const SeccompSpec* seccomp = nullptr;  // null: shipped profiles, enforced
  std::function<void(Event)> publish;    // of calls that were blocked; may be empty
};

class ServiceRunner : private ViolationOwner {
 public:
  ServiceRunner(const ServiceSurroundings& at, ServiceSpec spec, ServiceOwner& owner);
  ServiceRunner(const ServiceRunner&) = delete;
  ServiceRunner& operator=(const ServiceRunner&) = delete;

  // The first start, or one after stop(). A failure is reported by serviceEnded and tried again.
  void start();
  // Ends it and does not start it again. With `grace` it gets SIGTERM first.
  void stop(std::chrono::milliseconds grace);
  void restart();  // kills it; the end is handled like any other, without the back-off
  Status signal(int number);

  const ServiceSpec& spec() const { return spec_; }
  const ServiceState& state() const { return state_; }
  bool running() const { return state_.phase == ServicePhase::running; }

 private:
  // The two forms of the service's profile, shipped or its user's own.
  struct Filter {
    std::vector<sock_filter> program;
    std::vector<sock_filter> reporting;
  };

  Status tryStart();
  Status prepareFiles() const;
  Result<std::optional<NetnsFd>> openNamespace() const;
  Status watchOutput();
  void readOutput();
  void takeOutput(std::string_view text);
  void endLine();
  void takeLine(std::string_view line);
  void ended();
  void startLater(const std::string& why);
  Result<Filter> chooseFilter() const;
  std::string describeEnd(const ExitStatus& status);
  Status watchCalls(UniqueFd listener, const Filter& filter);
  void note(Severity severity, std::string_view name,
            std::vector<std::pair<std::string, std::string>> fields);

  // ViolationOwner
  void callsBlocked(const BlockedReport& report) override;
  void killFor(const BlockedCall& call) override;
  Result<std::int64_t> answerRule(const SeccompListener& listener,
                                  const SeccompNotification& call) override;
  void callsLearned(const LearnedCalls& learned) override;

  ServiceSurroundings at_;
  ServiceSpec spec_;
  ServiceOwner& owner_;
  ServiceState state_;
  std::optional<Log> log_;
  std::optional<SandboxedChild> child_;
  UniqueFd output_;
  std::string line_;
  OutputGate gate_;
  Timer gateTimer_;
  ReadWatch outputWatch_;
  ReadWatch endWatch_;
  Timer backOffTimer_;
  std::chrono::milliseconds backOff_;
  std::chrono::steady_clock::time_point startedAt_{};
  bool wanted_ = false;
  bool immediately_ = false;
  std::string killedFor_;                   // the call, if the profile kills for it
  std::unique_ptr<Violations> violations_;  // the last: what it still tells needs the others
};

}  // namespace orrery
