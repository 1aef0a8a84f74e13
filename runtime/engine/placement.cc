#include "runtime/engine/placement.h"

#include <algorithm>

#include "netns/nic/nic.h"
#include "routers/spec/spec_json.h"
#include "runtime/control/json.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::string_view kPlacementSchema = "orrery.placement/1";

Result<std::uint32_t> freeIdSlot() {
  ORRERY_TRY_ASSIGN(const auto names, listDirectory("/run/orrery/ids"));
  std::vector<std::uint32_t> taken;
  for (const std::string& name : names)
    if (const auto slot = parseNumber<std::uint32_t>(name)) taken.push_back(*slot);
  std::ranges::sort(taken);
  std::uint32_t slot = 0;
  for (const std::uint32_t used : taken) {
    if (used != slot) break;
    ++slot;
  }
  if (slot >= kIdSlots) return error("all {} ranges of user ids are taken", kIdSlots);
  return slot;
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
  const auto leases = readFile(RouterPaths(uplink).leases);
  if (!leases && leases.error().err != ENOENT)
    return tl::unexpected<Error>(leases.error());
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
  Json json = Json::object({{"schema", kPlacementSchema}, {"idSlot", placement.idSlot},
                            {"libexec", placement.libexec}});
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
  return parsePlacement(text);
}

Result<RouterSpec> readSpec(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const std::string text, readFile(RouterPaths(router).spec));
  return specFromJson(text);
}

Result<Ipv4> chooseUplinkAddress(const RouterSpec& uplink, const std::vector<Ipv4>& taken) {
  std::vector<Ipv4> sorted = taken;
  std::ranges::sort(sorted);
  const Prefix4& lan = uplink.lan.address;
  for (Ipv4 a{lan.network().value + 2}; a < lan.broadcast(); ++a.value)
    if (a != lan.address && !std::ranges::binary_search(sorted, a)) return a;
  return error("no address is free in {} of {}; give that router a wider subnet",
               toString(lan), uplink.id.name);
}

Result<Placement> choosePlacement(const RouterSpec& spec, Rtnl& host) {
  Placement placement;
  placement.kernel = probeKernel();
  ORRERY_TRY_ASSIGN(placement.idSlot, freeIdSlot());
  if (const auto* nic = std::get_if<NicUplink>(&spec.uplink)) {
    ORRERY_TRY_ASSIGN(placement.nic, nicFacts(nic->nic, host));
    return placement;
  }
  const auto& uplink = std::get<RouterUplink>(spec.uplink);
  auto above = readSpec(RouterId{spec.id.network, uplink.router});
  if (!above && above.error().err == ENOENT)
    return error("its uplink {} does not run; spawn that first", uplink.router);
  if (!above) return tl::unexpected<Error>(std::move(above).error());
  placement.uplink = std::move(*above);
  if (uplink.address) {
    placement.uplinkAddress = uplink.address;
    return placement;
  }
  ORRERY_TRY_ASSIGN(const auto taken, takenAddresses(placement.uplink->id));
  ORRERY_TRY_ASSIGN(placement.uplinkAddress, chooseUplinkAddress(*placement.uplink, taken));
  return placement;
}

void previewPlacement(const RouterSpec& spec, const std::vector<RouterSpec>& set,
                      Placement& placement) {
  if (const auto* nic = std::get_if<NicUplink>(&spec.uplink)) {
    NicFacts facts;
    facts.hostName = toString(toFinder(nic->nic));
    if (const auto* mac = std::get_if<NicByMac>(&nic->nic)) facts.hostMac = mac->mac;
    placement.nic = facts;
    return;
  }
  const auto& uplink = std::get<RouterUplink>(spec.uplink);
  std::vector<Ipv4> taken;
  for (const RouterSpec& other : set) {
    if (other.id.network != spec.id.network) continue;
    if (other.id.name == uplink.router) placement.uplink = other;
    const auto* sibling = std::get_if<RouterUplink>(&other.uplink);
    if (sibling != nullptr && sibling->router == uplink.router && sibling->address)
      taken.push_back(*sibling->address);
  }
  if (!placement.uplink)
    if (auto running = readSpec(RouterId{spec.id.network, uplink.router}))
      placement.uplink = std::move(*running);
  if (uplink.address)
    placement.uplinkAddress = uplink.address;
  else if (placement.uplink)
    if (const auto address = chooseUplinkAddress(*placement.uplink, taken))
      placement.uplinkAddress = *address;
}

KernelFacts probeKernel() {
  return KernelFacts{pathExists("/proc/sys/net/ipv6"), pathExists("/proc/sys/net/bridge")};
}

}  // namespace orrery
