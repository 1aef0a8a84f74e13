// operations.h: destroy and gc.
#include <algorithm>
#include <set>

#include "netns/namespace/netns.h"
#include "routers/plan/plan.h"
#include "runtime/control/paths.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/kernel_world.h"
#include "runtime/engine/operations.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/programs.h"
#include "runtime/engine/router_store.h"
#include "runtime/engine/supervisor_process.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

void collect(std::optional<Error>& first, Status status) {
  if (status) return;
  if (first)
    first->also.push_back(std::move(status).error());
  else
    first = std::move(status).error();
}

// Leaves first: a router goes before the one that it leaves by.
Result<std::vector<RouterId>> inStopOrder(const std::vector<RouterId>& routers) {
  std::vector<RouterSpec> known;
  std::vector<RouterId> order;
  for (const RouterId& id : routers) {
    auto spec = readSpec(id);
    if (spec)
      known.push_back(std::move(*spec));
    else
      order.push_back(id);  // half-made: nobody can depend on it
  }
  const auto start = inStartOrder(std::move(known));
  for (auto it = start.rbegin(); it != start.rend(); ++it) order.push_back(it->id);
  return order;
}

Status refuseOrphans(const std::vector<RouterId>& routers) {
  for (const RouterId& id : routers) {
    ORRERY_TRY_ASSIGN(const auto downstream, routersDownstream(id));
    for (const RouterId& other : downstream)
      if (std::ranges::find(routers, other) == routers.end())
        return error("router '{}' is the uplink of '{}'; destroy that too, or use --force",
                     id.name, other.name);
  }
  return {};
}

class Destroyer {
 public:
  Destroyer(const CgroupTree* cgroups, std::string supervisor)
      : supervisors_(std::move(supervisor)), world_(supervisors_, cgroups) {}

  Result<DestroyReport> run(const std::vector<RouterId>& order, ProgressSink& progress) {
    std::optional<Error> first;
    // All are told to end before the first is waited for.
    for (const RouterId& id : order) collect(first, supervisors_.signalStop(id));
    DestroyReport report;
    for (const RouterId& id : order) {
      Status removed = removeOne(id);
      if (removed) {
        report.destroyed.push_back(id);
        progress.report(Progress{id, "destroyed", 100, "destroyed"});
      } else {
        collect(first, wrap(std::move(removed).error(), "router '{}'", id.name));
      }
    }
    collect(first, removeEmptyNetnsDirectory());
    if (first) return tl::unexpected<Error>(std::move(*first));
    return report;
  }

 private:
  Status removeOne(const RouterId& id) {
    const RouterPaths paths(id);
    ORRERY_TRY_ASSIGN(const auto present, readJournal(paths.journal));
    ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(paths.journal));
    ORRERY_TRY(executeAll(makePlan({}, present), world_, journal));
    return forgetRouter(id, true);
  }

  SupervisorProcesses supervisors_;
  KernelWorld world_;
};

}  // namespace

Result<DestroyReport> destroy(const std::vector<RouterId>& routers, const DestroyOptions& options,
                              ProgressSink& progress) {
  ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
  for (const RouterId& id : routers)
    if (!pathExists(RouterPaths(id).runDir))
      return sysError(ESRCH, "router '{}' of {} does not run", id.name, id.network);
  if (!options.force) ORRERY_TRY(refuseOrphans(routers));
  ORRERY_TRY_ASSIGN(const auto order, inStopOrder(routers));
  ORRERY_TRY_ASSIGN(const std::string libexec, libexecDirectory());
  const auto cgroups = CgroupTree::probe();
  Destroyer destroyer(cgroups ? &*cgroups : nullptr, libexec + "/orrery-supervisor");
  return destroyer.run(order, progress);
}

namespace {

class Silent : public ProgressSink {
 public:
  void report(const Progress&) override {}
};

// A router whose supervisor is gone and whose journal does not end in one, or has no definition.
Result<bool> isRemains(const RouterId& id, SupervisorProcesses& supervisors) {
  ORRERY_TRY_ASSIGN(const bool running, supervisors.running(id));
  if (running) return false;
  const auto present = readJournal(RouterPaths(id).journal);
  if (!present) return false;  // unreadable: not ours to guess at
  return std::ranges::none_of(*present, [](const Resource& resource) {
    return std::holds_alternative<SupervisorResource>(resource);
  });
}

}  // namespace

Result<GcReport> gc() {
  ORRERY_TRY_ASSIGN(const std::string libexec, libexecDirectory());
  SupervisorProcesses supervisors(libexec + "/orrery-supervisor");
  ORRERY_TRY_ASSIGN(const auto routers, listRouters());
  std::vector<RouterId> remains;
  GcReport report;
  {
    ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
    for (const RouterId& id : routers) {
      ORRERY_TRY_ASSIGN(const bool left, isRemains(id, supervisors));
      if (!left) continue;
      remains.push_back(id);
      ORRERY_TRY_ASSIGN(const auto present, readJournal(RouterPaths(id).journal));
      for (const Resource& resource : present) report.removed.push_back(toText(resource));
    }
  }
  if (remains.empty()) return report;
  Silent silent;
  ORRERY_TRY(destroy(remains, DestroyOptions{.force = true}, silent));
  return report;
}

}  // namespace orrery
