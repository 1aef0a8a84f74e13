#include "runtime/engine/kernel_world.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "netns/addr/address.h"
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/route/route.h"
#include "routers/kinds/desired.h"
#include "runtime/engine/nic_note.h"
#include "runtime/engine/port_owners.h"
#include "sandbox/base/file.h"
#include "sandbox/process/process.h"

namespace orrery {
namespace {

std::string parentOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool isGone(const Error& error) {
  return error.err == ENOENT || error.err == ENODEV || error.err == EINVAL;
}

// Removing what is gone already succeeds.
Status unlessGone(Status status) {
  if (!status && isGone(status.error())) return {};
  return status;
}

Route toRoute(const RouteResource& r) {
  Route route;
  route.destination = r.destination;
  route.gateway = r.gateway;
  route.interface = r.interface;
  route.table = r.table;
  route.type = r.local ? RouteType::local : RouteType::unicast;
  return route;
}

constexpr std::chrono::seconds kNicHomecoming{1};

// Open at once. A step uses three; a descriptor limit of 1024 is usual, and each takes four.
constexpr std::size_t kMostPlaces = 32;

CgroupLimits toLimits(const LimitsSpec& limits) {
  return CgroupLimits{limits.cpus, limits.memory, limits.pids, limits.cpuQuota};
}

constexpr std::chrono::seconds kCgroupPatience{5};

// Ends what is left in a group: services whose supervisor was killed, and whose own end by
// PDEATHSIG is still under way, or that have outlived it.
Status emptyCgroup(const CgroupTree& cgroups, const std::string& path) {
  constexpr int kRounds = 16;  // a process may fork between the look and its end
  const auto deadline = std::chrono::steady_clock::now() + kCgroupPatience;
  for (int round = 0; round < kRounds; ++round) {
    ORRERY_TRY_ASSIGN(const auto members, cgroups.members(path));
    if (members.empty()) return {};
    std::vector<std::pair<pid_t, PidFd>> held;
    for (const pid_t pid : members)
      if (auto process = openPidfd(pid)) held.emplace_back(pid, std::move(*process));
    // Whoever is a member now, while its descriptor is held, is whom the number meant.
    ORRERY_TRY_ASSIGN(const auto still, cgroups.members(path));
    for (const auto& [pid, process] : held)
      if (std::ranges::binary_search(still, pid)) ORRERY_TRY(sendSignal(process, SIGKILL));
    for (const auto& [pid, process] : held) {
      if (!std::ranges::binary_search(still, pid)) continue;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      ORRERY_TRY_ASSIGN(const bool gone,
                        waitGone(process, std::max(left, std::chrono::milliseconds(0))));
      if (!gone) return sysError(EBUSY, "process {} of cgroup '{}' does not end", pid, path);
    }
  }
  return sysError(EBUSY, "processes of cgroup '{}' do not end", path);
}

// The router with this LAN namespace: RouterId::text(), and no name has a point in it.
RouterId routerOfLan(const std::string& netns) {
  const std::size_t point = netns.find('.');
  return RouterId{netns.substr(0, point), netns.substr(point + 1)};
}

Status forget(const VethResource& r) {
  if (!r.address) return {};
  return noteDeparture(routerOfLan(r.portNetns), {r.portName, r.mac, *r.address});
}

// What we wrote, or the beginning of it (a write that was cut off).
bool holdsOurs(const std::string& path, const std::string& text) {
  const auto present = readFile(path, text.size() + 1);
  return !present ? present.error().err != EFBIG : text.starts_with(*present);
}

}  // namespace

Result<KernelWorld::Place*> KernelWorld::place(const std::string& netns) {
  ++uses_;
  const auto found = places_.find(netns);
  if (found != places_.end()) {
    found->second->lastUse = uses_;
    return found->second.get();
  }
  closeOldPlaces();
  ORRERY_TRY_ASSIGN(NetnsFd fd, openNetns(netns));
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(fd));
  auto place = std::make_unique<Place>(Place{std::move(fd), std::move(rtnl), std::nullopt, uses_});
  return places_.emplace(netns, std::move(place)).first->second.get();
}

void KernelWorld::closeOldPlaces() {
  if (places_.size() < kMostPlaces) return;
  const std::uint64_t recent = uses_ - kMostPlaces / 2;
  std::erase_if(places_, [&](const auto& entry) {
    return !entry.first.empty() && entry.second->lastUse < recent;
  });
}

Result<KernelWorld::Place*> KernelWorld::placeIfAny(const std::string& netns) {
  auto at = place(netns);
  if (!at && isGone(at.error())) return nullptr;
  return at;
}

Status KernelWorld::admit(const Step& step) {
  // It is removed by its name alone. (A link is removed from our own namespace, a file only if it
  // holds what we wrote.)
  if (!step.after || step.before) return {};
  if (const auto* netns = std::get_if<NetnsResource>(&*step.after)) {
    const std::string path = fmt::format("{}/{}", kNetnsDirectory, netns->name);
    if (pathExists(path)) return sysError(EEXIST, "'{}'", path);
  }
  return {};
}

Status KernelWorld::apply(const Step& step) {
  if (step.before && step.after) return replace(*step.before, *step.after);
  if (step.after) return create(*step.after);
  if (step.before && step.goesAlong) return release(*step.before);
  if (step.before) return remove(*step.before);
  return {};
}

Status KernelWorld::create(const Resource& resource) {
  return std::visit([this](const auto& r) { return createIn(r); }, resource);
}

Status KernelWorld::remove(const Resource& resource) {
  return std::visit([this](const auto& r) { return removeFrom(r); }, resource);
}

Status KernelWorld::release(const Resource& resource) {
  const auto* veth = std::get_if<VethResource>(&resource);
  if (veth == nullptr) return remove(resource);
  ORRERY_TRY_ASSIGN(Place * outer, placeIfAny(veth->portNetns));
  if (outer == nullptr) return {};
  ORRERY_TRY(shutPort(outer->rtnl, veth->portName, portMac(veth->mac)));
  return forget(*veth);
}

Status KernelWorld::replace(const Resource& before, const Resource& after) {
  // An undo to rules that nobody remembers would be an undo to none.
  if (const auto* ruleset = std::get_if<RulesetResource>(&after);
      ruleset != nullptr && ruleset->ruleset.tables.empty())
    return error("the former rules of '{}' are not known; the present ones stay", ruleset->netns);
  // These replace their old contents in one atomic act; the rest goes and comes anew.
  if (const auto* file = std::get_if<FileResource>(&after))
    return writeFileAtomic(file->path, file->text, file->mode);
  if (std::holds_alternative<RulesetResource>(after) ||
      std::holds_alternative<SysctlsResource>(after) ||
      std::holds_alternative<CgroupResource>(after))
    return create(after);
  ORRERY_TRY(remove(before));
  Status created = create(after);
  if (created) return {};
  Error first = std::move(created).error();
  if (Status back = create(before); !back) first.also.push_back(std::move(back).error());
  return tl::unexpected<Error>(std::move(first));
}

// --- files
// ----------------------------------------------------------------------------------------

Status KernelWorld::createIn(const FileResource& r) {
  ORRERY_TRY(makeDirectories(parentOf(r.path)));
  ORRERY_TRY_ASSIGN(const UniqueFd fd,
                    openFile(r.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, r.mode));
  if (Status written = writeAll(fd.get(), r.text); !written) {
    (void)removeFile(r.path);
    return wrap(std::move(written).error(), "'{}'", r.path);
  }
  return {};
}
Status KernelWorld::removeFrom(const FileResource& r) {
  // A step that was begun and cut off may not have come to make it; then it is somebody else's.
  return holdsOurs(r.path, r.text) ? removeFile(r.path) : Status{};
}

// --- namespaces
// -----------------------------------------------------------------------------------

Status KernelWorld::createIn(const NetnsResource& r) {
  ORRERY_TRY_ASSIGN(const NetnsFd netns, createNetns());
  return pinNetns(netns, r.name);
}
Status KernelWorld::removeFrom(const NetnsResource& r) {
  places_.erase(r.name);  // our own descriptors would keep it alive
  return unpinNetns(r.name);
}

Status KernelWorld::createIn(const SysctlsResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  return setSysctls(at->netns, r.values);
}
Status KernelWorld::removeFrom(const SysctlsResource&) {
  return {};
}  // they go with the namespace

Status KernelWorld::createIn(const RulesetResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  if (!at->nft) {
    ORRERY_TRY_ASSIGN(at->nft, NftSocket::open(at->netns));
  }
  const Status replaced = replaceRuleset(*at->nft, r.ruleset);
  if (replaced || replaced.error().err != ENOENT) return replaced;
  // An expression that the kernel does not have: of ours only nft_connlimit is not needed.
  const nft::Ruleset lesser = nft::withoutCounts(r.ruleset);
  if (lesser == r.ruleset) return replaced;
  if (!r.countsIfPossible)
    return wrap(Error(replaced.error()),
                "this kernel may lack nft_connlimit; with 'connections = 0' in client_limits "
                "connections are not counted");
  return replaceRuleset(*at->nft, lesser);
}
Status KernelWorld::removeFrom(const RulesetResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, placeIfAny(r.netns));
  if (at == nullptr) return {};
  if (!at->nft) {
    ORRERY_TRY_ASSIGN(at->nft, NftSocket::open(at->netns));
  }
  return deleteRuleset(*at->nft);
}

// --- links
// ----------------------------------------------------------------------------------------

Status KernelWorld::createIn(const BridgeResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  return createBridge(at->rtnl, r.name, r.mac, r.mtu);
}
Status KernelWorld::removeFrom(const BridgeResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, placeIfAny(r.netns));
  return at == nullptr ? Status{} : deleteLink(at->rtnl, r.name);
}

Result<NftSocket*> KernelWorld::rulesOf(Place& at) {
  if (!at.nft) {
    ORRERY_TRY_ASSIGN(at.nft, NftSocket::open(at.netns));
  }
  return &*at.nft;
}

Status KernelWorld::admitPort(Place& outer, const VethResource& r) {
  if (!r.address) return {};
  ORRERY_TRY_ASSIGN(NftSocket * rules, rulesOf(outer));
  return admitOwner(*rules, routerOfLan(r.portNetns), {r.portName, r.mac, *r.address, true});
}

// For a port that did not come to be: nothing is left to be swept later.
Status KernelWorld::dismissPort(Place& outer, const VethResource& r) {
  if (!r.address) return {};
  ORRERY_TRY_ASSIGN(NftSocket * rules, rulesOf(outer));
  ORRERY_TRY(forget(r));
  return sweepDepartures(*rules, routerOfLan(r.portNetns));
}

Status KernelWorld::createIn(const VethResource& r) {
  ORRERY_TRY_ASSIGN(Place * outer, place(r.portNetns));
  ORRERY_TRY_ASSIGN(Place * inner, place(r.netns));
  ORRERY_TRY(admitPort(*outer, r));
  VethEnd port;
  port.name = r.portName;
  port.mac = portMac(r.mac);
  port.bridge = r.portBridge;
  port.isolated = r.portIsolated;
  port.up = true;
  VethEnd peer;
  peer.name = r.name;
  peer.mac = r.mac;
  peer.netns = &inner->netns;
  Status created = createVeth(outer->rtnl, port, peer, r.mtu);
  if (created) return created;
  // One of ours that is there already is guarded rightly; behind another's link nobody is let in.
  if (created.error().err == EEXIST) {
    ORRERY_TRY_ASSIGN(const auto present, findLink(outer->rtnl, r.portName));
    if (present && present->mac == port.mac) return created;
  }
  Error first = std::move(created).error();
  if (Status undone = dismissPort(*outer, r); !undone)
    first.also.push_back(std::move(undone).error());
  return tl::unexpected<Error>(std::move(first));
}
Status KernelWorld::removeFrom(const VethResource& r) {
  ORRERY_TRY_ASSIGN(Place * inner, placeIfAny(r.netns));
  ORRERY_TRY_ASSIGN(Place * outer, placeIfAny(r.portNetns));
  if (inner != nullptr)
    ORRERY_TRY(deleteLink(inner->rtnl, r.name));
  else if (outer != nullptr)
    ORRERY_TRY(deleteLink(outer->rtnl, r.portName));
  return outer == nullptr ? Status{} : forget(r);
}

Status KernelWorld::createIn(const NicResource& r) {
  ORRERY_TRY_ASSIGN(Place * host, place(""));
  ORRERY_TRY_ASSIGN(Place * router, place(r.netns));
  return takeNic(host->rtnl, router->rtnl, nicNoteOf(r), NicWear{r.name, r.mac});
}
Status KernelWorld::removeFrom(const NicResource& r) {
  ORRERY_TRY_ASSIGN(Place * host, place(""));
  ORRERY_TRY_ASSIGN(Place * router, placeIfAny(r.netns));
  // A NIC comes home a moment after its namespace has ended, so it is waited for. One that is
  // nowhere after that was pulled out, and there is nothing to give back.
  ORRERY_TRY_ASSIGN(RtnlMonitor arrivals, RtnlMonitor::openForLinks(host->netns));
  const auto deadline = std::chrono::steady_clock::now() + kNicHomecoming;
  for (;;) {
    Status given = giveBackNic(host->rtnl, router == nullptr ? nullptr : &router->rtnl,
                               nicNoteOf(r), NicWear{r.name, r.mac});
    if (given || given.error().err != ENODEV) return given;
    if (router != nullptr) return {};
    ORRERY_TRY_ASSIGN(const bool told, arrivals.await(deadline));
    if (!told) return {};
    ORRERY_TRY(arrivals.read());
  }
}

Status KernelWorld::createIn(const LinkUpResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  return setLinkUp(at->rtnl, r.name);
}
Status KernelWorld::removeFrom(const LinkUpResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, placeIfAny(r.netns));
  return at == nullptr ? Status{} : unlessGone(setLinkDown(at->rtnl, r.name));
}

// --- addresses and routes
// -------------------------------------------------------------------------

Status KernelWorld::createIn(const AddressResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  AddressOptions options;
  if (r.ofLink) options.scope = RT_SCOPE_LINK;
  return addAddress(at->rtnl, r.interface, r.address, options);
}
Status KernelWorld::removeFrom(const AddressResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, placeIfAny(r.netns));
  return at == nullptr ? Status{} : unlessGone(deleteAddress(at->rtnl, r.interface, r.address));
}

Status KernelWorld::createIn(const RouteResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  return addRoute(at->rtnl, toRoute(r));
}
Status KernelWorld::removeFrom(const RouteResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, placeIfAny(r.netns));
  return at == nullptr ? Status{} : unlessGone(deleteRoute(at->rtnl, toRoute(r)));
}

Status KernelWorld::createIn(const MarkRuleResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, place(r.netns));
  return addMarkRule(at->rtnl, r.mark, r.table);
}
Status KernelWorld::removeFrom(const MarkRuleResource& r) {
  ORRERY_TRY_ASSIGN(Place * at, placeIfAny(r.netns));
  return at == nullptr ? Status{} : deleteMarkRule(at->rtnl, r.mark, r.table);
}

// --- processes
// ------------------------------------------------------------------------------------

Status KernelWorld::createIn(const CgroupResource& r) {
  return cgroups_ == nullptr ? Status{} : cgroups_->create(r.path, toLimits(r.limits));
}
Status KernelWorld::removeFrom(const CgroupResource& r) {
  if (cgroups_ == nullptr) return {};
  Status removed = cgroups_->remove(r.path);
  if (removed || removed.error().err != EBUSY) return removed;
  ORRERY_TRY(emptyCgroup(*cgroups_, r.path));
  return cgroups_->remove(r.path);
}

Status KernelWorld::createIn(const SupervisorResource& r) {
  return supervisors_.start(r.router);
}
Status KernelWorld::removeFrom(const SupervisorResource& r) {
  return supervisors_.stop(r.router);
}

}  // namespace orrery
