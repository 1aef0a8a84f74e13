// The host-side process of one router. Owns no namespace by its life: those are pinned, and survive
// it. Runs the services, applies what the egress negotiates, answers the control socket and portal.
//
// Everything happens in one libevent loop. Its only wake-ups are rtnetlink, pidfds, pipes, sockets,
// signals, and timers that have a reason (a back-off, a handshake that is awaited).
#pragma once

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/control/portal.h"
#include "runtime/control/server.h"
#include "runtime/control/state.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/programs.h"
#include "runtime/log/log.h"
#include "runtime/supervisor/client_flows.h"
#include "runtime/supervisor/egress.h"
#include "runtime/supervisor/keeper.h"
#include "runtime/supervisor/loop.h"

namespace orrery {

struct SupervisorOptions {
  RouterId router;
  std::string program;      // our own, for the keeper
  unsigned deaths = 0;      // of predecessors, in a row
  std::string incarnation;  // runtime/engine/incarnation.h
};

class Supervisor : public ControlHandler, public EgressHost, public ServiceOwner {
 public:
  // Writes down who supervises, makes the keeper, reads the definition and placement, opens the
  // control socket. No service runs yet. Err kSuperseded: this one is not wanted any more, its
  // router was stopped or started anew; EEXIST: another supervises it.
  static Result<std::unique_ptr<Supervisor>> create(const SupervisorOptions& options);
  ~Supervisor() override;
  // Starts the services and runs until it is told to end.
  Status run();

 private:
  Supervisor(SupervisorOptions options, RouterSpec spec, StoredPlacement placement);
  Status open();
  Status openControl();
  void tellOfRefusedCall();
  Status openKeeper();
  Status watchKeeper();
  void endKeeper();
  Status startServices();
  void tellReservations();
  void writeTold(const std::string& path, const std::string& text);
  void reloadDnsmasq();
  void dnsmasqHasRead();
  void shutDown();

  // ControlHandler
  Result<Json> handle(const ControlRequest& request, const ControlPeer& peer) override;
  Result<Json> restartService(const ControlRequest& request);
  ServiceRunner* findService(std::string_view name);

  // EgressHost
  const ServiceContext& context() const override { return *context_; }
  const ServiceSurroundings& surroundings() const override { return surroundings_; }
  void setRung(const std::string& rung, RungState state, std::string detail) override;
  void setProgress(unsigned percent, std::string text) override;
  void setWayOut(const std::optional<Prefix4>& address,
                 const std::optional<Endpoint>& server) override;
  void setResolvers(const std::vector<Ipv4>& servers) override;
  void cutFlows(const std::string& why) override;
  void tellOfCut(std::size_t flows, const std::string& why);
  void fail(const std::string& rung, std::string why) override;
  void note(Severity severity, const std::string& service, const std::string& name,
            std::vector<std::pair<std::string, std::string>> fields) override;

  // ServiceOwner: dnsmasq
  Result<std::vector<Gift>> prepareService(ServiceRunner& service) override;
  void serviceStarted(ServiceRunner& service) override;
  void serviceLine(ServiceRunner& service, std::string_view line) override;
  void serviceEnded(ServiceRunner& service, const std::string& how) override;

  void setPhase(RouterPhase phase, std::string reason);
  void judge();         // the phase that the ladder adds up to
  void losePatience();  // a start that hangs on a failed rung is called failed
  void stateChanged();  // written once the present callback is over
  void writeState();
  void publish(Event event);

  SupervisorOptions options_;
  RouterSpec spec_;
  StoredPlacement placement_;
  RouterPaths paths_;
  ProgramPaths programs_;
  std::optional<ServiceContext> context_;
  ServiceSurroundings surroundings_;
  RouterState state_;
  std::optional<CgroupTree> cgroups_;
  EventBasePtr base_;
  std::optional<Log> log_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<Portal> portal_;
  Keeper keeper_;
  ReadWatch keeperWatch_;
  std::vector<SignalWatch> signals_;
  ClientFlows flows_{spec_};
  std::unique_ptr<Egress> egress_;
  std::unique_ptr<ServiceRunner> dnsmasq_;
  Timer writeTimer_;
  Timer patienceTimer_;
  Timer stopTimer_;
  Timer readTimer_;
  // dnsmasq reads at its start and at each SIGHUP, and says so afterwards. One reading at a time,
  // so that what it says is said of the latest generation.
  std::uint64_t toldGeneration_ = 0;
  bool reading_ = false;
  bool readAgain_ = false;
  bool writePending_ = false;
  bool everReady_ = false;
};

}  // namespace orrery
