#include "runtime/audit/live.h"

#include <sys/random.h>

#include <algorithm>

#include "netns/namespace/netns.h"
#include "runtime/audit/ring.h"
#include "runtime/control/paths.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/router_store.h"

namespace orrery::audit {
namespace {

constexpr std::uint32_t kAuditorIds = 250;  // in the router's range, behind its services'

ContractState contractState(const std::optional<RouterState>& state) {
  if (!state) return ContractState::supervisorDead;
  switch (state->phase) {
    case RouterPhase::starting:
      return ContractState::starting;
    case RouterPhase::ready:
      return ContractState::ready;
    case RouterPhase::degraded:
      return ContractState::egressDown;
    case RouterPhase::stopping:
      return ContractState::stopping;
    case RouterPhase::failed:
      return ContractState::egressDown;
  }
  return ContractState::supervisorDead;
}

std::optional<Prefix4> addressOf(const Snapshot& snapshot, const std::string& name) {
  const Link* link = snapshot.link(name);
  if (link == nullptr) return std::nullopt;
  const auto addresses = snapshot.addressesOf(link->index);
  if (addresses.empty()) return std::nullopt;
  return addresses.front();
}

std::optional<Ipv4> gatewayOf(const Snapshot& snapshot, const std::string& name) {
  const Link* link = snapshot.link(name);
  for (const Route& route : snapshot.routes)
    if (link != nullptr && route.index == link->index && route.destination.length == 0)
      return route.gateway;
  return std::nullopt;
}

// The address that the supervisor has put on the NIC or the tunnel; without one, what is there.
std::optional<Prefix4> wayOut(const LiveRouter& router, const std::optional<RouterState>& state,
                              const Snapshot& lan) {
  if (state && state->egress.tunnelAddress) return state->egress.tunnelAddress;
  if (const auto tunnel = tunnelName(router.spec)) return addressOf(lan, tunnel->str());
  return addressOf(lan, nicName().str());
}

ContractFacts factsOf(const LiveRouter& router, const std::optional<RouterState>& state,
                      const Snapshot& lan) {
  ContractFacts facts;
  const auto way = wayOut(router, state, lan);
  if (tunnelName(router.spec) && way) facts.tunnel = way->address;
  if (const auto& above = router.placement.uplink) {
    facts.uplink.gateway = above->lan.address.address;
    facts.uplink.lan = above->lan.address;
    if (const auto own = router.placement.uplinkAddress) {
      facts.uplink.address = *own;
      facts.mac = uplinkMac(router.spec, *own);
    }
    return facts;
  }
  if (const auto* nic = std::get_if<NicUplink>(&router.spec.uplink)) {
    if (nic->fixed)
      facts.uplink = {nic->fixed->address.address, nic->fixed->gateway, nic->fixed->address};
    else if (way)
      facts.uplink = {way->address, gatewayOf(lan, nicName().str()).value_or(Ipv4{}), *way};
    if (router.placement.nic) facts.mac = nic->mac.value_or(router.placement.nic->hostMac);
  }
  return facts;
}

Result<Watch> watchIn(const std::string& netns, const std::string& link, WatchedLink what) {
  ORRERY_TRY_ASSIGN(const NetnsFd fd, openNetns(netns));
  ORRERY_TRY_ASSIGN(const IfName name, IfName::parse(link));
  ORRERY_TRY_ASSIGN(UniqueFd ring, inNetns(fd, [&] { return openRing(name); }));
  return Watch{std::move(what), std::move(ring)};
}

Result<int> indexIn(const std::string& netns, const std::string& link) {
  ORRERY_TRY_ASSIGN(const NetnsFd fd, openNetns(netns));
  ORRERY_TRY_ASSIGN(const Rtnl rtnl, Rtnl::open(fd));
  ORRERY_TRY_ASSIGN(const IfName name, IfName::parse(link));
  return rtnl.indexOf(name);
}

LinkContract linkContract(const LiveRouter& router, LinkSide side) {
  const LinkContract* link = router.contract.link(side);
  return link != nullptr ? *link : closedLink();
}

// Nothing if it is gone by now, or has no place there.
Result<std::optional<PortOwner>> ownerDownstream(const RouterId& id) {
  const auto spec = readSpec(id);
  const auto placement = spec ? readPlacement(id) : tl::unexpected<Error>(spec.error());
  if (!placement && placement.error().err == ENOENT) return std::nullopt;
  if (!placement) return tl::unexpected<Error>(placement.error());
  if (!placement->uplinkAddress) return std::nullopt;
  const Ipv4 address = *placement->uplinkAddress;
  return PortOwner{bridgeName(*spec), uplinkMac(*spec, address), address, true};
}

bool isPartOf(const NamespaceModel& model, const std::string& name) {
  return std::any_of(model.links.begin(), model.links.end(),
                     [&](const ModelLink& link) { return link.name == name; });
}

}  // namespace

Result<LiveRouter> lookAt(const LiveQuery& query) {
  LiveRouter router;
  ORRERY_TRY_ASSIGN(router.spec, readSpec(query.id));
  PresentPlacement present;
  present.spec = router.spec;
  ORRERY_TRY_ASSIGN(present.stored, readPlacement(query.id));
  ORRERY_TRY_ASSIGN(present.resources, readJournal(RouterPaths(query.id).journal));
  router.libexec = present.stored.libexec;
  ORRERY_TRY_ASSIGN(const NetnsFd host, openNetns(""));
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(host));
  ORRERY_TRY_ASSIGN(router.placement, keepPlacement(router.spec, present, rtnl));
  const std::vector<Resource> plan = desiredState(router.spec, router.placement);

  const auto bare = modelOf(router.spec, plan, {});
  const Snapshot* lan = nullptr;
  for (const NamespaceModel& model : bare) {
    ORRERY_TRY_ASSIGN(NamespaceSeen seen, observeNamespace(model));
    router.seen.push_back(std::move(seen));
  }
  for (std::size_t i = 0; i < bare.size(); ++i)
    if (bare[i].name == router.spec.id.text()) lan = &router.seen[i].snapshot;
  if (lan == nullptr) return error("router '{}' has no LAN namespace", query.id.text());

  Surroundings around;
  ORRERY_TRY_ASSIGN(around.ports, query.ports(query.id, query.root));
  ORRERY_TRY_ASSIGN(const auto downstream, routersDownstream(query.id));
  for (const RouterId& each : downstream) {
    ORRERY_TRY_ASSIGN(auto owner, ownerDownstream(each));
    if (owner) around.ports.push_back(*std::move(owner));
  }
  around.users = UserSpan{idBase(router.placement), kIdsPerRouter};
  around.wayOut = wayOut(router, query.state, *lan);
  router.models = modelOf(router.spec, plan, around);
  router.facts = factsOf(router, query.state, *lan);
  router.contract = contractOf(router.spec, router.facts, contractState(query.state));
  return router;
}

Result<std::vector<PlannedWatch>> planWatches(const LiveRouter& router) {
  std::vector<PlannedWatch> watches;
  const bool direct = std::holds_alternative<DirectEgress>(router.spec.egress);
  const bool farEnd = router.placement.uplink.has_value();
  WatchedLink uplink{"uplink", linkContract(router, LinkSide::uplink), farEnd, direct};
  const std::string at = farEnd ? router.placement.uplink->id.text() : uplinkNetns(router.spec);
  const std::string device = farEnd ? router.spec.id.name : nicName().str();
  ORRERY_TRY_ASSIGN(const int index, indexIn(at, device));
  watches.push_back({at, device, index, std::move(uplink)});
  const auto tunnel = tunnelName(router.spec);
  for (std::size_t i = 0; i < router.models.size(); ++i) {
    const NamespaceModel& model = router.models[i];
    for (const Link& link : router.seen[i].snapshot.links) {
      const bool isTunnel =
          tunnel && link.name == tunnel->str() && model.name == router.spec.id.text();
      if (!isTunnel && isPartOf(model, link.name)) continue;
      WatchedLink what{fmt::format("{}, {}", link.name, model.name), closedLink(), false, false};
      if (isTunnel) what = {"tunnel", linkContract(router, LinkSide::tunnel), false, true};
      watches.push_back({model.name, link.name, link.index, std::move(what)});
    }
  }
  return watches;
}

Result<std::vector<std::string>> foreignTraffic(const std::string& netns) {
  ORRERY_TRY_ASSIGN(const NetnsFd fd, openNetns(netns));
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(fd));
  ORRERY_TRY_ASSIGN(const TrafficControl traffic, observeTrafficControl(rtnl));
  ORRERY_TRY_ASSIGN(const auto links, listLinks(rtnl));
  std::vector<std::string> found = compareTraffic(traffic, [&](int index) {
    const auto at = std::ranges::find(links, index, &Link::index);
    return at != links.end() ? at->name : fmt::format("if{}", index);
  });
  for (std::string& each : found) each = netns + ": " + each;
  return found;
}

Result<std::vector<Watch>> openWatches(const std::vector<PlannedWatch>& planned) {
  std::vector<Watch> watches;
  for (const PlannedWatch& each : planned) {
    ORRERY_TRY_ASSIGN(Watch watch, watchIn(each.netns, each.device, each.link));
    watches.push_back(std::move(watch));
  }
  return watches;
}

AuditorHome auditorHome(const LiveRouter& router) {
  return {router.libexec, IdRange{idBase(router.placement) + kAuditorIds, 2}};
}

ProbeGround probeGround(const LiveRouter& router, const Mac& client, Ipv4 address) {
  ProbeGround ground;
  ground.client = client;
  ground.address = address;
  ground.router = router.spec.lan.mac;
  ground.lan = router.spec.lan;
  ground.uplink = router.facts.uplink;
  ground.servers = serversOf(router.spec.egress);
  ground.tunnel = router.facts.tunnel;
  return ground;
}

Result<std::string> newSession() {
  std::array<std::uint8_t, kSessionBytes / 2> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return sysError(errno, "take random bytes");
  std::string session;
  for (const std::uint8_t byte : random) session += fmt::format("{:02x}", byte);
  return session;
}

}  // namespace orrery::audit
