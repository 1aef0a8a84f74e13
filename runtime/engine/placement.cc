#include "runtime/engine/placement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "netns/nic/nic.h"
#include "routers/spec/spec_json.h"
#include "runtime/control/json.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/namespaces/procfs.h"

namespace orrery {
namespace {

constexpr std::string_view kPlacementSchema = "orrery.placement/1";

// For who has met none by leaps: the rest of a million.
template <class IsTaken>
Result<std::uint32_t> anyFreeIdSlot(const IsTaken& isTaken) {
  for (std::uint32_t slot = 0; slot < kIdSlots; ++slot)
    if (!isTaken(slot)) return slot;
  return error("all {} ranges of user ids are taken", kIdSlots);
}

bool isIdSlotTaken(std::uint32_t slot) {
  return pathExists(idSlotPath(slot));
}

// A free one, the lowest where there are no gaps. Asks a number of times that grows with the
// logarithm of how many are taken.
template <class IsTaken>
Result<std::uint32_t> freeIdSlot(const IsTaken& isTaken) {
  if (!isTaken(0)) return 0;
  std::uint32_t taken = 0;
  std::uint32_t free = 1;
  while (free < kIdSlots && isTaken(free)) {
    taken = free;
    free *= 2;
  }
  if (free >= kIdSlots) return anyFreeIdSlot(isTaken);
  while (free - taken > 1) {
    const std::uint32_t middle = taken + (free - taken) / 2;
    (isTaken(middle) ? taken : free) = middle;
  }
  return free;
}

FindNicBy toFinder(const NicSelector& selector) {
  if (const auto* mac = std::get_if<NicByMac>(&selector)) return FindByMac{mac->mac};
  if (const auto* pci = std::get_if<NicByPci>(&selector)) return FindByPci{pci->slot};
  return FindByName{std::get<NicByName>(selector).name};
}

Result<NicFacts> nicFacts(const NicSelector& selector, Rtnl& host) {
  ORRERY_TRY_ASSIGN(const Link link, findNic(host, toFinder(selector)));
  NicFacts facts;
  facts.hostName = link.name;
  facts.hostMac = link.mac;
  facts.permanentMac = link.permanentMac.value_or(Mac{});
  facts.up = link.up;
  facts.mtu = static_cast<std::uint16_t>(link.mtu);
  return facts;
}

// Addresses of routers downstream (their reservations) and of leases that dnsmasq gave out.
Result<std::vector<Ipv4>> takenAddresses(const RouterId& uplink) {
  std::vector<Ipv4> taken;
  ORRERY_TRY_ASSIGN(const auto reserved, listDirectory(reservationDirectory(uplink)));
  for (const std::string& name : reserved)
    if (const auto address = parseIpv4(name)) taken.push_back(*address);
  const auto leases = readForeignFile(RouterPaths(uplink).leases);
  if (!leases && leases.error().err != ENOENT) return tl::unexpected<Error>(leases.error());
  if (leases)
    for (const std::string_view line : split(*leases, '\n')) {
      const auto words = splitWords(line);  // expiry, MAC, address, name, client id
      if (words.size() < 3) continue;
      if (const auto address = parseIpv4(words[2])) taken.push_back(*address);
    }
  return taken;
}

}  // namespace

std::string placementPath(const RouterId& router) {
  return runDirectory(router) + "/placement.json";
}

std::string toText(const StoredPlacement& placement) {
  Json json = Json::object(
      {{"schema", kPlacementSchema}, {"idSlot", placement.idSlot}, {"libexec", placement.libexec}});
  if (placement.uplinkAddress) json.set("uplinkAddress", toString(*placement.uplinkAddress));
  return json.dump() + "\n";
}

Result<StoredPlacement> parsePlacement(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Json json, parseJson(trim(text)));
  if (json.text("schema") != kPlacementSchema) return error("no placement: another schema");
  StoredPlacement placement;
  const std::int64_t slot = json.integer("idSlot", -1);
  if (slot < 0 || slot >= kIdSlots) return error("id slot {} is out of range", slot);
  placement.idSlot = static_cast<std::uint32_t>(slot);
  placement.libexec = json.text("libexec");
  if (!json["uplinkAddress"].isNull()) {
    ORRERY_TRY_ASSIGN(placement.uplinkAddress, parseIpv4(json.text("uplinkAddress")));
  }
  return placement;
}

Result<StoredPlacement> readPlacement(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const std::string text, readFile(placementPath(router)));
  auto placement = parsePlacement(text);
  if (!placement) return wrap(std::move(placement).error(), "'{}'", placementPath(router));
  return placement;
}

Result<RouterSpec> readSpec(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const std::string text, readFile(RouterPaths(router).spec));
  auto spec = specFromJson(text);
  if (!spec) return wrap(std::move(spec).error(), "'{}'", RouterPaths(router).spec);
  return spec;
}

Result<Ipv4> chooseUplinkAddress(const RouterSpec& uplink, const std::vector<Ipv4>& taken) {
  std::vector<Ipv4> sorted = taken;
  std::ranges::sort(sorted);
  const Prefix4& lan = uplink.lan.address;
  for (Ipv4 a{lan.network().value + 2}; a < lan.broadcast(); ++a.value)
    if (a != lan.address && !std::ranges::binary_search(sorted, a)) return a;
  return error("no address is free in {} of {}; give that router a wider subnet", toString(lan),
               uplink.id.name);
}

namespace {

Result<RouterSpec> uplinkOf(const RouterId& id, const RouterUplink& uplink) {
  auto above = readSpec(RouterId{id.network, uplink.router});
  if (!above && above.error().err == ENOENT)
    return error("its uplink {} does not run; spawn that first", uplink.router);
  return above;
}

Status chooseNew(const RouterSpec& spec, Rtnl& host, Placement& placement) {
  if (const auto* nic = std::get_if<NicUplink>(&spec.uplink)) {
    ORRERY_TRY_ASSIGN(placement.nic, nicFacts(nic->nic, host));
    return {};
  }
  const auto& uplink = std::get<RouterUplink>(spec.uplink);
  ORRERY_TRY_ASSIGN(placement.uplink, uplinkOf(spec.id, uplink));
  placement.uplinkAddress = uplink.address;
  if (uplink.address) return {};
  ORRERY_TRY_ASSIGN(const auto taken, takenAddresses(placement.uplink->id));
  ORRERY_TRY_ASSIGN(placement.uplinkAddress, chooseUplinkAddress(*placement.uplink, taken));
  return {};
}

std::optional<NicFacts> keptNic(const RouterSpec& spec, const PresentPlacement& present) {
  const auto* now = std::get_if<NicUplink>(&spec.uplink);
  const auto* before = std::get_if<NicUplink>(&present.spec.uplink);
  if (now == nullptr || before == nullptr || now->nic != before->nic) return std::nullopt;
  for (const Resource& resource : present.resources)
    if (const auto* nic = std::get_if<NicResource>(&resource))
      return NicFacts{nic->hostName, nic->hostMac, nic->permanentMac, nic->hostUp, nic->hostMtu};
  return std::nullopt;
}

// Our address on the uplink's LAN, if the uplink is the same and still has that LAN.
std::optional<Ipv4> keptAddress(const RouterSpec& spec, const PresentPlacement& present,
                                const RouterSpec& above) {
  const auto* now = std::get_if<RouterUplink>(&spec.uplink);
  const auto* before = std::get_if<RouterUplink>(&present.spec.uplink);
  if (now == nullptr || before == nullptr || now->router != before->router) return std::nullopt;
  const auto address = present.stored.uplinkAddress;
  if (!address || !above.lan.address.contains(*address)) return std::nullopt;
  if (now->address && now->address != address) return std::nullopt;
  return address;
}

}  // namespace

Result<Placement> choosePlacement(const RouterSpec& spec, Rtnl& host) {
  Placement placement;
  placement.kernel = probeKernel();
  ORRERY_TRY_ASSIGN(placement.idSlot, freeIdSlot(isIdSlotTaken));
  ORRERY_TRY(chooseNew(spec, host, placement));
  return placement;
}

Result<Placement> keepPlacement(const RouterSpec& spec, const PresentPlacement& present,
                                Rtnl& host) {
  Placement placement;
  placement.kernel = probeKernel();
  placement.idSlot = present.stored.idSlot;
  placement.nic = keptNic(spec, present);
  if (placement.nic) return placement;
  if (const auto* uplink = std::get_if<RouterUplink>(&spec.uplink)) {
    ORRERY_TRY_ASSIGN(placement.uplink, uplinkOf(spec.id, *uplink));
    placement.uplinkAddress = keptAddress(spec, present, *placement.uplink);
    if (placement.uplinkAddress) return placement;
  }
  ORRERY_TRY(chooseNew(spec, host, placement));
  return placement;
}

Placement PlacementPreview::choose(const RouterSpec& spec) {
  Placement placement;
  placement.kernel = probeKernel();
  const auto isTaken = [&](std::uint32_t slot) {
    return isIdSlotTaken(slot) || std::ranges::find(slots_, slot) != slots_.end();
  };
  placement.idSlot = freeIdSlot(isTaken).value_or(0);
  slots_.push_back(placement.idSlot);
  if (const auto* nic = std::get_if<NicUplink>(&spec.uplink))
    chooseNic(*nic, placement);
  else
    chooseAddress(spec.id, std::get<RouterUplink>(spec.uplink), placement);
  return placement;
}

void PlacementPreview::chooseNic(const NicUplink& uplink, Placement& placement) const {
  if (host_ != nullptr)
    if (auto facts = nicFacts(uplink.nic, *host_)) {
      placement.nic = std::move(*facts);
      return;
    }
  NicFacts facts;
  if (const auto* mac = std::get_if<NicByMac>(&uplink.nic)) facts.hostMac = mac->mac;
  if (const auto* pci = std::get_if<NicByPci>(&uplink.nic)) facts.hostName = "at PCI " + pci->slot;
  if (const auto* name = std::get_if<NicByName>(&uplink.nic)) facts.hostName = name->name.str();
  placement.nic = facts;
}

void PlacementPreview::chooseAddress(const RouterId& id, const RouterUplink& uplink,
                                     Placement& placement) {
  const RouterId above{id.network, uplink.router};
  const auto inSet = std::ranges::find(set_, above, &RouterSpec::id);
  if (inSet != set_.end())
    placement.uplink = *inSet;
  else if (auto running = readSpec(above))
    placement.uplink = std::move(*running);
  if (!placement.uplink) return;
  placement.uplinkAddress = uplink.address;
  if (uplink.address) return;
  std::vector<Ipv4>& given = addresses_[above];
  std::vector<Ipv4> taken = given;
  for (const RouterSpec& other : set_)
    if (const auto* sibling = std::get_if<RouterUplink>(&other.uplink))
      if (other.id.network == id.network && sibling->router == above.name && sibling->address)
        taken.push_back(*sibling->address);
  if (const auto present = takenAddresses(above))
    taken.insert(taken.end(), present->begin(), present->end());
  if (const auto address = chooseUplinkAddress(*placement.uplink, taken)) {
    placement.uplinkAddress = *address;
    given.push_back(*address);
  }
}

KernelFacts probeKernel() {
  const auto proc = openProcfs();
  const auto has = [&proc](const char* path) {
    return proc && ::faccessat(proc->get(), path, F_OK, 0) == 0;
  };
  return KernelFacts{has("sys/net/ipv6"), has("sys/net/bridge")};
}

}  // namespace orrery
