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
#include "runtime/engine/port_owners.h"
#include "runtime/engine/programs.h"
#include "runtime/engine/remake.h"
#include "runtime/engine/router_store.h"
#include "runtime/engine/supervisor_process.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

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

// Whoever hangs on a router has a reservation there: without one nobody has to be looked for.
bool mayHaveOthersBehind(const RouterId& router) {
  const auto reserved = listDirectory(reservationDirectory(router));
  return !reserved || !reserved->empty();
}

Status refuseOrphans(const std::vector<RouterId>& routers) {
  if (std::ranges::none_of(routers, mayHaveOthersBehind)) return {};
  const std::set<RouterId> going(routers.begin(), routers.end());
  ORRERY_TRY_ASSIGN(const auto all, listRouters());
  for (const RouterId& other : all) {
    if (going.contains(other)) continue;
    const auto spec = readSpec(other);
    if (!spec) continue;  // half-made: nobody can depend on what it depends on
    const auto* uplink = std::get_if<RouterUplink>(&spec->uplink);
    if (uplink != nullptr && going.contains(RouterId{other.network, uplink->router}))
      return error("router '{}' is the uplink of '{}'; destroy that too, or use --force",
                   uplink->router, other.name);
  }
  return {};
}

// What of a router survives a reboot (tor's guards) goes with a router that is destroyed, and stays
// for the next spawn of one that was only half made.
enum class Kept { nothing, state };

// Routers that these leave by, and that stay.
std::set<RouterId> uplinksOutside(const std::vector<RouterId>& routers) {
  std::set<RouterId> uplinks;
  for (const RouterId& id : routers) {
    const auto spec = readSpec(id);
    const auto* uplink = spec ? std::get_if<RouterUplink>(&spec->uplink) : nullptr;
    if (uplink != nullptr) uplinks.insert(RouterId{id.network, uplink->router});
  }
  for (const RouterId& id : routers) uplinks.erase(id);
  return uplinks;
}

class Destroyer {
 public:
  Destroyer(const CgroupTree* cgroups, std::string supervisor, Kept kept)
      : supervisors_(std::move(supervisor)), world_(supervisors_, cgroups), kept_(kept) {}

  Result<DestroyReport> run(const std::vector<RouterId>& order, ProgressSink& progress) {
    std::optional<Error> first;
    // All are told to end before the first is waited for.
    for (const RouterId& id : order) collect(first, supervisors_.signalStop(id));
    const std::set<RouterId> staying = uplinksOutside(order);
    std::vector<Status> removed = removeAll(order);
    for (const RouterId& id : staying) collect(first, announceReservations(id));
    DestroyReport report;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const RouterId& id = order[i];
      if (removed[i]) removed[i] = forgetRouter(id, kept_ == Kept::nothing);
      if (removed[i]) {
        report.destroyed.push_back(id);
        progress.report(Progress{id, "destroyed", 100, "destroyed"});
      } else {
        collect(first, wrap(std::move(removed[i]).error(), "router '{}'", id.name));
      }
    }
    collect(first, removeEmptyStore());
    collect(first, removeEmptyNetnsDirectory());
    if (first) return tl::unexpected<Error>(std::move(*first));
    return report;
  }

 private:
  // One outcome for each router. A step that fails stops neither the rest of its router nor others.
  std::vector<Status> removeAll(const std::vector<RouterId>& order) {
    std::vector<Status> outcomes(order.size());
    std::vector<std::vector<Resource>> present(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      auto journalled = readJournal(RouterPaths(order[i]).journal);
      if (journalled)
        present[i] = std::move(*journalled);
      else
        outcomes[i] = tl::unexpected<Error>(std::move(journalled).error());
    }
    for (const SetStep& step : makeRemoval(present)) {
      Status done = removeStep(order[step.router], step.step);
      Status& outcome = outcomes[step.router];
      if (done) continue;
      if (outcome)
        outcome = std::move(done);
      else
        outcome.error().also.push_back(std::move(done).error());
    }
    return outcomes;
  }

  // The journal is opened for each step: a thousand at once are too many descriptors.
  Status removeStep(const RouterId& id, const Step& step) {
    ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(RouterPaths(id).journal));
    return executeStep(step, world_, journal);
  }

  SupervisorProcesses supervisors_;
  KernelWorld world_;
  Kept kept_;
};

Result<std::optional<CgroupTree>> cgroupsIfAny() {
  auto cgroups = CgroupTree::probe();
  if (cgroups) return std::optional<CgroupTree>(std::move(*cgroups));
  if (cgroups.error().err == kNoCgroups) return std::optional<CgroupTree>{};
  return tl::unexpected<Error>(std::move(cgroups).error());
}

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
  ORRERY_TRY_ASSIGN(const auto cgroups, cgroupsIfAny());
  Destroyer destroyer(cgroups ? &*cgroups : nullptr, libexec + "/orrery-supervisor",
                      options.keepState ? Kept::state : Kept::nothing);
  return destroyer.run(order, progress);
}

namespace {

class Silent : public ProgressSink {
 public:
  void report(const Progress&) override {}
};

// A router that was never whole, and is not being made at the moment: we hold the lock.
Result<bool> isRemains(const RouterId& id, SupervisorProcesses& supervisors) {
  ORRERY_TRY_ASSIGN(const bool running, supervisors.running(id));
  if (running) return false;
  const auto present = readJournal(RouterPaths(id).journal);
  if (!present) return false;  // unreadable: not ours to guess at
  return !endsInSupervisor(*present);
}

Status removeHalfMade(const std::vector<RouterId>& routers, Destroyer& destroyer,
                      GcReport& report) {
  if (routers.empty()) return {};
  for (const RouterId& id : routers) {
    ORRERY_TRY_ASSIGN(const auto present, readJournal(RouterPaths(id).journal));
    for (const Resource& resource : present) report.removed.push_back(toText(resource));
    if (present.empty()) report.removed.push_back("directory " + RouterPaths(id).runDir);
  }
  ORRERY_TRY_ASSIGN(const auto order, inStopOrder(routers));
  Silent silent;
  ORRERY_TRY(destroyer.run(order, silent));
  return {};
}

Status forgetDeparted(const RouterId& router) {
  if (!hasDepartures(router)) return {};
  const auto lan = openNetns(router.text());
  if (!lan && lan.error().err == ENOENT) return {};
  if (!lan) return tl::unexpected<Error>(lan.error());
  ORRERY_TRY_ASSIGN(NftSocket rules, NftSocket::open(*lan));
  return sweepDepartures(rules, router);
}

Status removeIdSlots(const std::set<std::string>& owners, GcReport& report) {
  const std::string directory = "/run/orrery/ids";
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory));
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    ORRERY_TRY_ASSIGN(const std::string owner, readFile(path));
    if (owners.contains(std::string(trim(owner)))) continue;
    ORRERY_TRY(removeFile(path));
    report.removed.push_back("file " + path);
  }
  return {};
}

// Groups with somebody in them are left: who made them, and why, is not known.
Status removeCgroups(const CgroupTree& cgroups, const std::vector<RouterId>& routers,
                     GcReport& report) {
  ORRERY_TRY_ASSIGN(const auto groups, cgroups.list());
  for (const std::string& group : groups) {
    if (std::ranges::any_of(routers, [&](const RouterId& id) {
          const std::string own = id.network + "/" + id.name;
          return group == own || group.starts_with(own + "/");
        }))
      continue;
    ORRERY_TRY_ASSIGN(const auto members, cgroups.members(group));
    if (!members.empty()) continue;
    Status removed = cgroups.remove(group);
    if (!removed && removed.error().err == EBUSY) continue;
    ORRERY_TRY(std::move(removed));
    report.removed.push_back("cgroup " + group);
  }
  return {};
}

}  // namespace

Result<GcReport> gc() {
  ORRERY_TRY_ASSIGN(const std::string libexec, libexecDirectory());
  ORRERY_TRY_ASSIGN(const auto cgroups, cgroupsIfAny());
  SupervisorProcesses supervisors(libexec + "/orrery-supervisor");
  GcReport report;
  ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
  ORRERY_TRY_ASSIGN(const auto routers, listRouters());
  std::vector<RouterId> remains;
  for (const RouterId& id : routers) {
    ORRERY_TRY_ASSIGN(const bool left, isRemains(id, supervisors));
    if (left) remains.push_back(id);
  }
  Destroyer destroyer(cgroups ? &*cgroups : nullptr, libexec + "/orrery-supervisor", Kept::state);
  ORRERY_TRY(removeHalfMade(remains, destroyer, report));
  ORRERY_TRY_ASSIGN(const auto living, listRouters());
  std::set<std::string> owners;
  for (const RouterId& id : living) {
    owners.insert(id.text());
    ORRERY_TRY(forgetDeparted(id));
  }
  ORRERY_TRY(removeIdSlots(owners, report));
  if (cgroups) ORRERY_TRY(removeCgroups(*cgroups, living, report));
  ORRERY_TRY(removeEmptyStore());
  return report;
}

}  // namespace orrery
