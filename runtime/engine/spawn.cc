// operations.h: spawn, restart and plan.
#include <chrono>
#include <set>

#include "routers/plan/plan.h"
#include "routers/spec/spec_json.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/kernel_world.h"
#include "runtime/engine/operations.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/programs.h"
#include "runtime/engine/remake.h"
#include "runtime/engine/router_store.h"
#include "runtime/engine/succession.h"
#include "runtime/engine/supervisor_process.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

using Clock = std::chrono::steady_clock;

// Tor's first bootstrap on a slow line is what takes longest.
constexpr std::chrono::minutes kDefaultWait{5};

enum class Mode { spawn, restart };

class Spawner {
 public:
  Spawner(Mode mode, const SpawnOptions& options, ProgressSink& progress, const CgroupTree* cgroups,
          std::string libexec)
      : mode_(mode),
        options_(options),
        progress_(progress),
        libexec_(std::move(libexec)),
        supervisors_(libexec_ + "/orrery-supervisor"),
        world_(supervisors_, cgroups),
        deadline_(Clock::now() + options.timeout.value_or(kDefaultWait)) {}

  Result<SpawnReport> run(const std::vector<RouterSpec>& specs) {
    SpawnReport report;
    for (const RouterSpec& spec : inStartOrder(specs)) {
      ORRERY_TRY(awaitUplink(spec));
      auto made = make(spec);
      if (!made) return wrap(std::move(made).error(), "router '{}'", spec.id.name);
      report.routers.push_back(std::move(*made));
      if (!options_.wait) continue;
      started_.insert(spec.id);
    }
    for (SpawnedRouter& router : report.routers) ORRERY_TRY(awaitReady(router));
    return report;
  }

 private:
  // What is reported never goes back: a check that passes late does not undo a bootstrap.
  void say(const RouterId& id, const char* stage, unsigned percent, std::string text) {
    unsigned& reached = reached_[id];
    reached = std::max(reached, percent);
    progress_.report(Progress{id, stage, reached, std::move(text)});
  }

  // A router is started when the one that it leaves by is ready.
  Status awaitUplink(const RouterSpec& spec) {
    const auto* uplink = std::get_if<RouterUplink>(&spec.uplink);
    if (uplink == nullptr) return {};
    const RouterId above{spec.id.network, uplink->router};
    if (!started_.contains(above)) return {};
    SpawnedRouter router;
    router.id = above;
    ORRERY_TRY(awaitReady(router));
    return {};
  }

  Result<SpawnedRouter> make(const RouterSpec& spec) {
    SpawnedRouter result;
    result.id = spec.id;
    begun_.emplace(spec.id, Clock::now());
    ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
    if (mode_ == Mode::spawn) {
      ORRERY_TRY_ASSIGN(const bool same, runsAsDefined(spec));
      if (same) return result;
    }
    result.changed = true;
    say(spec.id, "plan", 0, "planning");
    ORRERY_TRY_ASSIGN(const bool whole, isWhole(spec.id));
    if (mode_ == Mode::restart || whole) {
      ORRERY_TRY(remakeRouter(spec, Remake{world_, supervisors_, libexec_}));
      ORRERY_TRY(announceAddress(spec));
      say(spec.id, "start", 10, "services starting");
      return result;
    }
    ORRERY_TRY(clearRemains(spec.id));
    ORRERY_TRY_ASSIGN(KernelWorld::Place * host, world_.place(""));
    ORRERY_TRY_ASSIGN(const Placement placement, choosePlacement(spec, host->rtnl));
    const Plan plan = makePlan(desiredState(spec, placement), {});
    ORRERY_TRY(writeSpec(spec));
    if (Status made = carryOut(spec.id, placement, plan); !made) {
      Error first = std::move(made).error();
      if (Status forgotten = forgetRouter(spec.id, false); !forgotten)
        first.also.push_back(std::move(forgotten).error());
      return tl::unexpected<Error>(std::move(first));
    }
    ORRERY_TRY(announceAddress(spec));
    say(spec.id, "start", 10, "namespaces closed, links made, services starting");
    return result;
  }

  // The router upstream must not lease our address to a client.
  static Status announceAddress(const RouterSpec& spec) {
    const auto* uplink = std::get_if<RouterUplink>(&spec.uplink);
    if (uplink == nullptr) return {};
    return announceReservations(RouterId{spec.id.network, uplink->router});
  }

  Status carryOut(const RouterId& id, const Placement& placement, const Plan& plan) {
    const StoredPlacement stored{placement.idSlot, placement.uplinkAddress, libexec_};
    ORRERY_TRY(writeFileAtomic(placementPath(id), toText(stored), 0600));
    ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(RouterPaths(id).journal));
    return execute(plan, world_, journal);
  }

  Result<bool> runsAsDefined(const RouterSpec& spec) {
    ORRERY_TRY_ASSIGN(const bool running, supervisors_.running(spec.id));
    if (!running) return false;
    const auto present = readSpec(spec.id);
    if (present && *present == spec) return true;
    return error(
        "it runs with another definition; 'routerctl restart {} --definition FILE' applies the new "
        "one",
        spec.id.name);
  }

  // Spawned to the end once; if its supervisor is gone, then for another reason than a crash of
  // ours.
  static Result<bool> isWhole(const RouterId& id) {
    ORRERY_TRY_ASSIGN(const auto present, readJournal(RouterPaths(id).journal));
    return endsInSupervisor(present);
  }

  // What a crashed spawn left behind.
  Status clearRemains(const RouterId& id) {
    const RouterPaths paths(id);
    if (!pathExists(paths.runDir)) return {};
    ORRERY_TRY_ASSIGN(const auto present, readJournal(paths.journal));
    ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(paths.journal));
    ORRERY_TRY(executeAll(makePlan({}, present), world_, journal));
    return forgetRouter(id, false);
  }

  Status awaitReady(SpawnedRouter& router) {
    if (!options_.wait) return {};
    auto state = awaitPhase(router.id, RouterPhase::ready, deadline_,
                            [&](const Event& event) { relay(router.id, event); });
    if (!state) return wrap(std::move(state).error(), "router '{}'", router.id.name);
    if (state->phase == RouterPhase::failed)
      return error(
          "router '{}' is not ready: {}; it stays closed and tries on ('routerctl status "
          "{}', 'routerctl logs {}')",
          router.id.name, state->reason, router.id.name, router.id.name);
    router.state = std::move(*state);
    const auto begun = begun_.find(router.id);
    if (begun != begun_.end())
      router.readyMs = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun->second)
              .count());
    if (started_.erase(router.id) != 0) say(router.id, "ready", 100, "ready");
    return {};
  }

  void relay(const RouterId& id, const Event& event) {
    if (event.name == kProgressEvent) {
      const auto percent = parseNumberOr(fieldOf(event, "percent"));
      say(id, "progress", percent, std::string(fieldOf(event, "text")));
    } else if (event.name == kRungEvent) {
      say(id, "check", 0, fmt::format("{} {}", fieldOf(event, "rung"), fieldOf(event, "state")));
    }
  }

  static unsigned parseNumberOr(std::string_view text) {
    unsigned value = 0;
    for (const char c : text.substr(0, 3))
      if (c >= '0' && c <= '9') value = value * 10 + static_cast<unsigned>(c - '0');
    return value;
  }

  std::map<RouterId, unsigned> reached_;  // percent
  Mode mode_;
  const SpawnOptions& options_;
  ProgressSink& progress_;
  std::string libexec_;
  SupervisorProcesses supervisors_;
  KernelWorld world_;
  Clock::time_point deadline_;
  std::set<RouterId> started_;  // and not yet seen ready
  std::map<RouterId, Clock::time_point> begun_;
};

Result<SpawnReport> bringUp(Mode mode, const std::vector<RouterSpec>& specs,
                            const SpawnOptions& options, ProgressSink& progress) {
  ORRERY_TRY_ASSIGN(const std::string libexec, libexecDirectory());
  auto cgroups = CgroupTree::probe();
  if (!cgroups && cgroups.error().err != kNoCgroups)
    return tl::unexpected<Error>(std::move(cgroups).error());
  Spawner spawner(mode, options, progress, cgroups ? &*cgroups : nullptr, libexec);
  return spawner.run(specs);
}

// For plans that are only shown.
class NoSupervisors : public SupervisorControl {
 public:
  Status start(const RouterId&) override { return sysError(ENOSYS, "start a supervisor"); }
  Status stop(const RouterId&) override { return sysError(ENOSYS, "stop a supervisor"); }
};

}  // namespace

Result<SpawnReport> spawn(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                          ProgressSink& progress) {
  return bringUp(Mode::spawn, specs, options, progress);
}

Result<SpawnReport> restart(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                            ProgressSink& progress) {
  return bringUp(Mode::restart, specs, options, progress);
}

Result<std::vector<PlanText>> planText(const std::vector<RouterSpec>& specs) {
  NoSupervisors none;
  KernelWorld world(none, nullptr);
  const auto host = world.place("");
  PlacementPreview preview(specs, host ? &(*host)->rtnl : nullptr);
  std::vector<PlanText> plans;
  for (const RouterSpec& spec : inStartOrder(specs)) {
    PlanText text;
    text.router = spec.id;
    ORRERY_TRY_ASSIGN(const auto present, readJournal(RouterPaths(spec.id).journal));
    Plan plan;
    if (endsInSupervisor(present)) {
      ORRERY_TRY_ASSIGN(plan, previewRemake(spec, world));
    } else {
      plan = makePlan({}, present);  // what a crash left
      const Plan made = makePlan(desiredState(spec, preview.choose(spec)), {});
      plan.insert(plan.end(), made.begin(), made.end());
    }
    for (const Step& step : plan) text.steps.push_back(toText(step));
    plans.push_back(std::move(text));
  }
  return plans;
}

}  // namespace orrery
