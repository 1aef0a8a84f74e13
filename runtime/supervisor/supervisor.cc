#include "runtime/supervisor/supervisor.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "netns/namespace/netns.h"
#include "runtime/engine/incarnation.h"
#include "runtime/supervisor/refused_call.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr std::uint64_t kMaxEventLog = 1 << 20;  // bytes, then it becomes .1

// A rung that has failed for so long after the start is worth telling whoever waits. It is tried
// on, and may still come good.
constexpr std::chrono::seconds kPatience{15};

// Said after a reading (reread_dhcp(), dnsmasq's option.c), of the file that dnsmasq.cc of
// routers/services names.
constexpr std::string_view kHaveRead = "read /run/told/hosts";
constexpr std::chrono::seconds kReadLimit{2};

bool needsDnsmasq(const RouterSpec& spec) {
  // tproxy answers DNS on a proxied LAN; there dnsmasq is for DHCP alone.
  return spec.lan.dhcp.has_value() || !isProxied(spec.egress);
}

std::vector<std::string> seccompWarnings(const SeccompSpec& seccomp) {
  std::vector<std::string> out;
  if (seccomp.learn)
    out.emplace_back("seccomp learns: calls that the profiles refuse are let pass");
  for (const OwnSeccompProfile& own : seccomp.profiles)
    out.push_back(fmt::format("{} runs under the profile '{}', not under the shipped one",
                              own.service, own.path));
  return out;
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options, RouterSpec spec, StoredPlacement placement)
    : options_(std::move(options)),
      spec_(std::move(spec)),
      placement_(std::move(placement)),
      paths_(spec_.id),
      programs_(programPaths(placement_.libexec)) {
  const std::uint32_t base = kFirstId + placement_.idSlot * kIdsPerRouter;
  context_.emplace(ServiceContext{spec_, programs_, base});
  surroundings_.idBase = base;
  surroundings_.router = spec_.id;
  surroundings_.seccomp = &spec_.seccomp;
  surroundings_.publish = [this](Event event) { publish(std::move(event)); };
  state_.warnings = seccompWarnings(spec_.seccomp);
  state_.id = spec_.id;
  state_.kind = spec_.kind;
  state_.supervisorPid = ::getpid();
  state_.started = Timestamp::now();
  state_.since = state_.started;
  state_.egress.type = egressName(spec_.egress);
}

Supervisor::~Supervisor() = default;

Result<std::unique_ptr<Supervisor>> Supervisor::create(const SupervisorOptions& options) {
  const RouterId& router = options.router;
  ORRERY_TRY_ASSIGN(const ProcessMark self, markOf(::getpid()));
  ORRERY_TRY_ASSIGN(const bool taken, supervisedByOther(router, options.incarnation, self));
  if (taken) return sysError(EEXIST, "supervise {}", router.text());
  ORRERY_TRY(markSupervisor(router, options.incarnation, self));
  ORRERY_TRY_ASSIGN(RouterSpec spec, readSpec(router));
  ORRERY_TRY_ASSIGN(StoredPlacement placement, readPlacement(router));
  std::unique_ptr<Supervisor> supervisor(
      new Supervisor(options, std::move(spec), std::move(placement)));
  ORRERY_TRY(supervisor->open());
  return supervisor;
}

Status Supervisor::open() {
  ORRERY_TRY_ASSIGN(base_, makeEventBase());
  surroundings_.base = base_.get();
  // Before all that takes time: until there is a keeper, a single kill ends the supervision.
  ORRERY_TRY(openKeeper());
  Status opened = openControl();
  if (!opened) endKeeper();
  return opened;
}

Status Supervisor::openControl() {
  auto cgroups = CgroupTree::probe();
  if (cgroups) cgroups_.emplace(std::move(*cgroups));
  surroundings_.cgroups = cgroups_ ? &*cgroups_ : nullptr;

  ORRERY_TRY(makeDirectories(paths_.logDir));
  LogOptions options;
  options.maxBytes = kMaxEventLog;
  ORRERY_TRY_ASSIGN(log_, Log::toFile(paths_.events, options));

  ControlServerOptions control;
  control.path = paths_.control;
  ORRERY_TRY_ASSIGN(control_, ControlServer::create(base_.get(), std::move(control), *this));
  ORRERY_TRY_ASSIGN(portal_, Portal::create(base_.get(), paths_, PortalOptions{}, *this));
  for (const int number : {SIGTERM, SIGINT}) {
    ORRERY_TRY_ASSIGN(SignalWatch watch, SignalWatch::start(base_.get(), number, [this] {
                        (void)event_base_loopbreak(base_.get());
                      }));
    signals_.push_back(std::move(watch));
  }
  // announceReservations() (runtime/engine/supervisor_process.h).
  ORRERY_TRY_ASSIGN(SignalWatch news,
                    SignalWatch::start(base_.get(), SIGHUP, [this] { tellReservations(); }));
  signals_.push_back(std::move(news));
  tellOfRefusedCall();
  return {};
}

// Of a predecessor or a keeper, whom their own filter has ended.
void Supervisor::tellOfRefusedCall() {
  const auto call = takeRefusedCallOf(spec_.id);
  if (!call) return;
  state_.warnings.push_back(fmt::format(
      "seccomp: process {} of the supervision was killed for {}({}), which it never makes: it may "
      "have been taken over",
      call->pid, call->name, call->arguments));
  note(Severity::error, "supervisor", std::string(kBlockedEvent),
       {{"call", call->name},
        {"arguments", call->arguments},
        {"answer", call->answer},
        {"pid", std::to_string(call->pid)},
        {"count", "1"},
        {"total", "1"}});
}

Status Supervisor::openKeeper() {
  KeeperOptions options;
  options.program = options_.program;
  options.deaths = options_.deaths + 1;
  options.arguments = {options_.program, spec_.id.network, spec_.id.name, options_.incarnation,
                       std::to_string(options.deaths)};
  options.calmArguments = options.arguments;
  options.calmArguments.back() = "0";
  ORRERY_TRY_ASSIGN(keeper_, startKeeper(options));
  Status watched = watchKeeper();
  // One that is not written down would be found by nobody.
  if (!watched) endKeeper();
  return watched;
}

void Supervisor::endKeeper() {
  keeperWatch_.stop();
  if (sendSignal(keeper_.pidfd, SIGKILL)) (void)waitExit(keeper_.pidfd);
}

Status Supervisor::watchKeeper() {
  ORRERY_TRY_ASSIGN(const ProcessMark mark, markOf(keeper_.pid));
  ORRERY_TRY(markKeeper(spec_.id, options_.incarnation, mark));
  ORRERY_TRY_ASSIGN(keeperWatch_, ReadWatch::start(base_.get(), keeper_.pidfd.get(), [this] {
                      keeperWatch_.stop();
                      (void)waitExitTimeout(keeper_.pidfd, std::chrono::milliseconds(0));
                      tellOfRefusedCall();
                      if (Status made = openKeeper(); !made)
                        note(Severity::error, "", "keeper", {{"why", made.error().message}});
                    }));
  return {};
}

Status Supervisor::run() {
  ORRERY_TRY(startServices());
  if (event_base_dispatch(base_.get()) < 0) return error("the event loop failed");
  shutDown();
  return {};
}

Status Supervisor::startServices() {
  ORRERY_TRY(patienceTimer_.start(base_.get(), kPatience, [this] { losePatience(); }));
  egress_ = makeEgress(*this);
  if (needsDnsmasq(spec_)) {
    state_.ladder.push_back({"lan", RungState::pending, "dnsmasq is starting"});
    setResolvers({});
    tellReservations();
    dnsmasq_ = std::make_unique<ServiceRunner>(surroundings_, dnsmasqService(*context_), *this);
    dnsmasq_->start();
  }
  for (const std::string& rung : egress_->rungs())
    state_.ladder.push_back({rung, RungState::pending, ""});
  if (Status watched = flows_.watch(
          base_.get(),
          [this](std::size_t told) { tellOfCut(told, "the kernel has forgotten them"); });
      !watched)
    note(Severity::warning, "", "flows-not-watched", {{"why", watched.error().message}});
  if (Status started = egress_->start(); !started) fail("egress", started.error().message);
  judge();
  stateChanged();
  return {};
}

// Its timer is set as long as the first start is under way, and never again: idle means asleep.
void Supervisor::losePatience() {
  if (state_.phase != RouterPhase::starting) return;
  const auto failed = std::ranges::find(state_.ladder, RungState::failed, &Rung::state);
  if (failed != state_.ladder.end())
    setPhase(RouterPhase::failed, failed->rung + ": " + failed->detail);
  else
    (void)patienceTimer_.start(base_.get(), kPatience, [this] { losePatience(); });
}

void Supervisor::shutDown() {
  setPhase(RouterPhase::stopping, "told to end");
  endKeeper();
  if (egress_) egress_->stop();
  if (dnsmasq_) dnsmasq_->stop(std::chrono::milliseconds(0));
  writeState();
}

// --- control
// --------------------------------------------------------------------------------------

Result<Json> Supervisor::handle(const ControlRequest& request, const ControlPeer&) {
  if (request.verb == verb::kStatus) {
    state_.services.clear();
    if (dnsmasq_) state_.services.push_back(dnsmasq_->state());
    for (const ServiceRunner* service : egress_->services())
      state_.services.push_back(service->state());
    return toJson(state_);
  }
  if (request.verb == verb::kStop) {
    // In the loop's next round, in which the reply goes out.
    ORRERY_TRY(stopTimer_.start(base_.get(), std::chrono::milliseconds(0),
                                [this] { (void)event_base_loopbreak(base_.get()); }));
    return Json::object();
  }
  if (request.verb == verb::kRestartService) return restartService(request);
  if (request.verb == verb::kReservations) {
    tellReservations();
    return Json::object({{"generation", toldGeneration_}, {"reading", reading_}});
  }
  if (request.verb == verb::kReset) {
    for (const ServiceRunner* service : egress_->services())
      egress_->find(service->state().name)->restart();
    if (dnsmasq_) dnsmasq_->restart();
    return Json::object();
  }
  if (request.verb == verb::kNewnym || request.verb == verb::kEgress) {
    ORRERY_TRY(egress_->renew());
    note(Severity::info, "", "egress-renewed", {});
    return Json::object();
  }
  return sysError(ENOSYS, "request '{}'", request.verb);
}

ServiceRunner* Supervisor::findService(std::string_view name) {
  if (dnsmasq_ && dnsmasq_->state().name == name) return dnsmasq_.get();
  return egress_->find(name);
}

Result<Json> Supervisor::restartService(const ControlRequest& request) {
  const std::string name = request.args.text("service");
  ServiceRunner* service = findService(name);
  if (service == nullptr) return sysError(ESRCH, "no service '{}'", name);
  service->restart();
  return Json::object();
}

// --- what drivers report
// --------------------------------------------------------------------------

void Supervisor::setRung(const std::string& rung, RungState state, std::string detail) {
  auto found = std::ranges::find(state_.ladder, rung, &Rung::rung);
  if (found == state_.ladder.end()) {
    state_.ladder.push_back({rung, RungState::pending, ""});
    found = std::prev(state_.ladder.end());
  }
  if (found->state == state && found->detail == detail) return;
  const bool turned = found->state != state;
  found->state = state;
  found->detail = detail;
  if (turned)
    note(state == RungState::failed ? Severity::warning : Severity::info, "",
         std::string(kRungEvent), {{"rung", rung}, {"state", toString(state)}, {"detail", detail}});
  judge();
  stateChanged();
}

void Supervisor::setProgress(unsigned percent, std::string text) {
  state_.progress = StartProgress{percent, text};
  note(Severity::info, "", std::string(kProgressEvent),
       {{"percent", std::to_string(percent)}, {"text", std::move(text)}});
  stateChanged();
}

void Supervisor::setWayOut(const std::optional<Prefix4>& address,
                           const std::optional<Endpoint>& server) {
  state_.egress.tunnelAddress = address;
  state_.egress.endpoint = server;
  stateChanged();
}

void Supervisor::setResolvers(const std::vector<Ipv4>& servers) {
  std::vector<Ipv4> all = spec_.dns.servers;
  if (all.empty()) all = servers;
  if (const auto* uplink = std::get_if<RouterUplink>(&spec_.uplink);
      all.empty() && uplink != nullptr && std::holds_alternative<DirectEgress>(spec_.egress)) {
    // The router upstream answers DNS on its LAN.
    if (const auto above = readSpec(RouterId{spec_.id.network, uplink->router}))
      all.push_back(above->lan.address.address);
  }
  state_.egress.dns = all;
  writeTold(dnsmasqServersPath(spec_.id), serversText(all));
  stateChanged();
}

// Of routers downstream and of clients, one file each, made by whoever chose the address.
void Supervisor::tellReservations() {
  if (!needsDnsmasq(spec_)) return;
  const std::string directory = reservationDirectory(spec_.id);
  std::string text;
  for (const std::string& name : listDirectory(directory).value_or(std::vector<std::string>{})) {
    if (name.starts_with('.')) continue;  // not yet whole
    // Ignoring a failure: one that has just gone.
    text += readForeignFile(fmt::format("{}/{}", directory, name)).value_or("");
  }
  writeTold(dnsmasqHostsPath(spec_.id), text);
}

void Supervisor::writeTold(const std::string& path, const std::string& text) {
  Status written = makeDirectories(path.substr(0, path.rfind('/')));
  if (written) written = writeFileAtomic(path, text);
  ++toldGeneration_;
  if (!written) note(Severity::error, "dnsmasq", "not-told", {{"why", written.error().message}});
  reloadDnsmasq();
}

void Supervisor::reloadDnsmasq() {
  if (!dnsmasq_ || !dnsmasq_->running()) return;  // all is read at its start
  if (reading_) {
    readAgain_ = true;
    // Should it say nothing, it is told all the same.
    (void)readTimer_.start(base_.get(), kReadLimit, [this] { dnsmasqHasRead(); });
    return;
  }
  reading_ = spec_.lan.dhcp.has_value();  // without DHCP there are no reservations to speak of
  // ignoring: it has just ended, and reads when it starts anew
  (void)dnsmasq_->signal(SIGHUP);
}

void Supervisor::dnsmasqHasRead() {
  readTimer_.stop();
  reading_ = false;
  if (std::exchange(readAgain_, false)) {
    reloadDnsmasq();
    return;
  }
  Event event;
  event.router = spec_.id;
  event.service = "dnsmasq";
  event.name = std::string(kReservationsEvent);
  event.fields = {{"generation", std::to_string(toldGeneration_)}};
  event.time = Timestamp::now();
  if (control_) control_->publish(event);
}

void Supervisor::cutFlows(const std::string& why) {
  const auto flows = flows_.cut();
  if (!flows)
    note(Severity::error, "", "flows-not-cut", {{"why", flows.error().message}});
  else
    tellOfCut(*flows, why);
}

void Supervisor::tellOfCut(std::size_t flows, const std::string& why) {
  if (flows == 0) return;
  note(Severity::info, "", "flows-cut", {{"flows", std::to_string(flows)}, {"why", why}});
}

void Supervisor::fail(const std::string& rung, std::string why) {
  setRung(rung, RungState::failed, why);
  setPhase(RouterPhase::failed, rung + ": " + why);
}

void Supervisor::note(Severity severity, const std::string& service, const std::string& name,
                      std::vector<std::pair<std::string, std::string>> fields) {
  Event event;
  event.router = spec_.id;
  event.service = service;
  event.name = name;
  event.severity = severity;
  event.fields = std::move(fields);
  event.time = Timestamp::now();
  publish(std::move(event));
}

// --- dnsmasq
// --------------------------------------------------------------------------------------

Result<std::vector<ServiceOwner::Gift>> Supervisor::prepareService(ServiceRunner&) {
  return std::vector<Gift>{};
}
void Supervisor::serviceStarted(ServiceRunner&) {
  reading_ = spec_.lan.dhcp.has_value();
  readAgain_ = false;
}

void Supervisor::serviceLine(ServiceRunner&, std::string_view line) {
  // Said once its sockets are bound (dnsmasq.c).
  if (line.find("started, version") != std::string_view::npos)
    setRung("lan", RungState::ok, "dnsmasq serves");
  if (line.find(kHaveRead) != std::string_view::npos) dnsmasqHasRead();
}

void Supervisor::serviceEnded(ServiceRunner&, const std::string& how) {
  reading_ = readAgain_ = false;
  readTimer_.stop();
  setRung("lan", RungState::failed, "dnsmasq ended: " + how);
}

// --- state
// ----------------------------------------------------------------------------------------

void Supervisor::judge() {
  if (state_.phase == RouterPhase::stopping) return;
  const Rung* unsettled = firstUnsettled(state_);
  if (unsettled == nullptr) {
    everReady_ = true;
    patienceTimer_.stop();
    state_.progress.reset();
    setPhase(RouterPhase::ready, "");
  } else if (everReady_) {
    setPhase(RouterPhase::degraded, unsettled->rung + ": " + unsettled->detail);
  }
}

void Supervisor::setPhase(RouterPhase phase, std::string reason) {
  if (state_.phase == phase && state_.reason == reason) return;
  state_.phase = phase;
  state_.reason = std::move(reason);
  state_.since = Timestamp::now();
  publish(phaseEvent(state_));
  stateChanged();
}

void Supervisor::stateChanged() {
  // Several changes of one callback are written once.
  if (writePending_) return;
  writePending_ = true;
  (void)writeTimer_.start(base_.get(), std::chrono::milliseconds(0), [this] { writeState(); });
}

void Supervisor::writeState() {
  writePending_ = false;
  state_.services.clear();
  if (dnsmasq_) state_.services.push_back(dnsmasq_->state());
  if (egress_)
    for (const ServiceRunner* service : egress_->services())
      state_.services.push_back(service->state());
  if (Status written = writeFileAtomic(paths_.state, toJson(state_).dump() + "\n"); !written)
    note(Severity::error, "", "state-not-written", {{"why", written.error().message}});
}

void Supervisor::publish(Event event) {
  if (log_) log_->write(event);
  if (control_) control_->publish(event);
  if (portal_) (void)portal_->record(event);  // ignoring: the portal's reader loses a line
}

}  // namespace orrery
