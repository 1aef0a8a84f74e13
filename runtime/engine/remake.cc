#include "runtime/engine/remake.h"

#include <algorithm>
#include <set>

#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "routers/plan/plan.h"
#include "runtime/control/paths.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/router_store.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

bool isSupervisor(const Resource& resource) {
  return std::holds_alternative<SupervisorResource>(resource);
}

// Written over in one act, whatever was there: see KernelWorld::replace.
bool isOverwritten(const Resource& resource) {
  return std::holds_alternative<RulesetResource>(resource) ||
         std::holds_alternative<SysctlsResource>(resource) ||
         std::holds_alternative<FileResource>(resource) ||
         std::holds_alternative<CgroupResource>(resource);
}

Result<bool> linkExists(KernelWorld& world, const std::string& netns, const IfName& name) {
  ORRERY_TRY_ASSIGN(KernelWorld::Place * at, world.place(netns));
  ORRERY_TRY_ASSIGN(const auto link, findLink(at->rtnl, name));
  return link.has_value();
}

// What changes if a router is brought from one list to the other, its supervisor apart.
struct Change {
  Placement placement;
  Plan plan;
};

class Remaker {
 public:
  Remaker(const RouterSpec& spec, KernelWorld& world)
      : spec_(spec), paths_(spec.id), world_(world) {}

  Status read() {
    auto old = readSpec(spec_.id);
    if (!old && old.error().err == ENOENT)
      return sysError(ESRCH, "router '{}' of {} was never spawned", spec_.id.name,
                      spec_.id.network);
    if (!old) return tl::unexpected<Error>(std::move(old).error());
    present_.spec = std::move(*old);
    ORRERY_TRY_ASSIGN(present_.stored, readPlacement(spec_.id));
    ORRERY_TRY_ASSIGN(JournalContents contents, readJournalContents(paths_.journal));
    pending_ = std::move(contents.pending);
    present_.resources = std::move(contents.present);
    return {};
  }

  const PresentPlacement& present() const { return present_; }
  const std::optional<Step>& pending() const { return pending_; }
  void settled() { pending_.reset(); }

  Result<Change> change() {
    ORRERY_TRY_ASSIGN(KernelWorld::Place * host, world_.place(""));
    Change change;
    ORRERY_TRY_ASSIGN(change.placement, keepPlacement(spec_, present_, host->rtnl));
    std::vector<Resource> want = desiredState(spec_, change.placement);
    std::erase_if(want, isSupervisor);
    ORRERY_TRY_ASSIGN(std::vector<Resource> have, stillThere(present_.resources, world_));
    std::erase_if(have, isSupervisor);
    change.plan = makePlan(want, have);
    rememberContents(change.plan, host->rtnl);
    return change;
  }

 private:
  // The plan writes every ruleset and set of sysctls anew, because a journal does not know what was
  // in them. For an undo it is told.
  void rememberContents(Plan& plan, Rtnl& host) {
    const auto placement = keepPlacement(present_.spec, present_, host);
    if (!placement) return;  // then an undo leaves the new ones
    const auto desired = desiredState(present_.spec, *placement);
    for (Step& step : plan)
      if (step.before) step.before = withContents({*step.before}, desired).front();
  }

  const RouterSpec& spec_;
  RouterPaths paths_;
  KernelWorld& world_;
  PresentPlacement present_;
  std::optional<Step> pending_;
};

// A step of a restart that was cut off: what it was about may be there, half there or gone. It is
// taken away, so that the plan makes it anew.
Status settle(const Step& pending, const RouterPaths& paths, KernelWorld& world) {
  Plan plan;
  for (const auto& resource : {pending.after, pending.before})
    if (resource && !isOverwritten(*resource) && !isSupervisor(*resource))
      plan.push_back(Step{*resource, std::nullopt});
  ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(paths.journal));
  return executeAll(plan, world, journal);
}

bool touchesClients(const Step& step, const RouterSpec& before) {
  if (!step.before) return false;
  if (const auto* bridge = std::get_if<BridgeResource>(&*step.before))
    return bridge->netns == before.id.text();
  if (const auto* netns = std::get_if<NetnsResource>(&*step.before))
    return netns->name == before.id.text();
  if (const auto* address = std::get_if<AddressResource>(&*step.before))
    return address->netns == before.id.text() && address->interface == bridgeName(before);
  return false;
}

// A bridge that goes takes the ports of clients along, and a new subnet leaves them with addresses
// of the old one.
Status refuseToDropClients(const Plan& plan, const RouterSpec& before) {
  if (std::ranges::none_of(plan, [&](const Step& s) { return touchesClients(s, before); }))
    return {};
  ORRERY_TRY_ASSIGN(const auto downstream, routersDownstream(before.id));
  if (!downstream.empty())
    return error("the new definition changes the LAN that router '{}' hangs on; destroy that first",
                 downstream.front().name);
  ORRERY_TRY_ASSIGN(const auto clients, listDirectory(RouterPaths(before.id).attachments));
  if (clients.empty()) return {};
  return error("the new definition changes the LAN that {} clients hang on; detach them first",
               clients.size());
}

Plan backwards(const Plan& plan) {
  Plan back;
  for (auto step = plan.rbegin(); step != plan.rend(); ++step) back.push_back(inverse(*step));
  return back;
}

Status writeDown(const RouterSpec& spec, const StoredPlacement& placement) {
  ORRERY_TRY(writeFileAtomic(placementPath(spec.id), toText(placement), 0600));
  return writeSpec(spec);
}

// The definition is changed when everything else is: after a crash before that, the next spawn or
// restart goes on from the journal.
Status carryOut(const RouterSpec& spec, const Change& change, const PresentPlacement& before,
                const Remake& by, FileJournal& journal) {
  ORRERY_TRY(execute(change.plan, by.world, journal));
  const StoredPlacement stored{change.placement.idSlot, change.placement.uplinkAddress, by.libexec};
  Status done = writeDown(spec, stored);
  if (done) done = by.supervisors.start(spec.id);
  if (done) return {};
  Error first = std::move(done).error();
  for (Status undone : {executeAll(backwards(change.plan), by.world, journal),
                        writeDown(before.spec, before.stored)})
    if (!undone) first.also.push_back(std::move(undone).error());
  return tl::unexpected<Error>(std::move(first));
}

}  // namespace

Result<std::vector<Resource>> stillThere(const std::vector<Resource>& journalled,
                                         KernelWorld& world) {
  std::set<std::string> lostNamespaces;
  std::set<std::pair<std::string, std::string>> lostLinks;
  for (const Resource& resource : journalled)
    if (const auto* netns = std::get_if<NetnsResource>(&resource)) {
      ORRERY_TRY_ASSIGN(const bool pinned, netnsPinned(netns->name));
      if (!pinned) lostNamespaces.insert(netns->name);
    }
  std::vector<Resource> found;
  for (const Resource& resource : journalled) {
    if (const auto* file = std::get_if<FileResource>(&resource); file && !pathExists(file->path))
      continue;
    if (const auto* netns = std::get_if<NetnsResource>(&resource);
        netns && lostNamespaces.contains(netns->name))
      continue;
    const std::string* netns = netnsOf(resource);
    const IfName* link = linkOf(resource);
    if (netns != nullptr && lostNamespaces.contains(*netns)) continue;
    if (netns != nullptr && link != nullptr) {
      ORRERY_TRY_ASSIGN(const bool there, linkExists(world, *netns, *link));
      if (!there) continue;
    }
    found.push_back(resource);
  }
  return found;
}

bool endsInSupervisor(const std::vector<Resource>& journalled) {
  return std::ranges::any_of(journalled, isSupervisor);
}

std::vector<Resource> withContents(std::vector<Resource> journalled,
                                   const std::vector<Resource>& desired) {
  for (Resource& resource : journalled) {
    if (!std::holds_alternative<RulesetResource>(resource) &&
        !std::holds_alternative<SysctlsResource>(resource))
      continue;
    const auto same = std::ranges::find_if(
        desired, [&](const Resource& other) { return key(other) == key(resource); });
    if (same != desired.end()) resource = *same;
  }
  return journalled;
}

Status remakeRouter(const RouterSpec& spec, const Remake& by) {
  const RouterPaths paths(spec.id);
  Remaker remaker(spec, by.world);
  ORRERY_TRY(remaker.read());
  {
    // Refused before anything is touched.
    ORRERY_TRY_ASSIGN(const Change planned, remaker.change());
    ORRERY_TRY(refuseToDropClients(planned.plan, remaker.present().spec));
  }
  ORRERY_TRY(by.supervisors.stop(spec.id));
  if (remaker.pending()) {
    ORRERY_TRY(settle(*remaker.pending(), paths, by.world));
    ORRERY_TRY(remaker.read());
  }
  ORRERY_TRY(rewriteJournal(paths.journal, remaker.present().resources));
  ORRERY_TRY_ASSIGN(const Change change, remaker.change());
  ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(paths.journal));
  Status done = carryOut(spec, change, remaker.present(), by, journal);
  if (done) return {};
  // As it was: that includes its services.
  Error first = std::move(done).error();
  if (Status back = by.supervisors.start(spec.id); !back)
    first.also.push_back(std::move(back).error());
  return tl::unexpected<Error>(std::move(first));
}

Result<Plan> previewRemake(const RouterSpec& spec, KernelWorld& world) {
  Remaker remaker(spec, world);
  ORRERY_TRY(remaker.read());
  ORRERY_TRY_ASSIGN(Change change, remaker.change());
  // What is written anew without being changed is none of a plan's news.
  std::erase_if(change.plan, [](const Step& step) { return step.before == step.after; });
  return std::move(change.plan);
}

}  // namespace orrery
