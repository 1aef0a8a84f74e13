#include "netns/nic/nic.h"

#include <algorithm>

#include "netns/namespace/netns.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::size_t kMostListed = 16;  // NICs named in an error

bool canBeNic(const Link& link) {
  return !link.loopback && (link.kind.empty() || link.kind == "veth");
}

std::string describe(const Link& link) {
  std::string text =
      fmt::format("{} ({}", link.name, toString(link.permanentMac.value_or(link.mac)));
  if (!link.parentDevice.empty()) text += fmt::format(", {} {}", link.parentBus, link.parentDevice);
  if (!link.kind.empty()) text += ", " + link.kind;
  return text + ")";
}

std::string listNics(const std::vector<Link>& links) {
  std::vector<std::string> texts;
  for (const bool physical : {true, false})
    for (const Link& link : links)
      if (canBeNic(link) && link.kind.empty() == physical) texts.push_back(describe(link));
  if (texts.empty()) return "there is none";
  const std::size_t hidden = texts.size() > kMostListed ? texts.size() - kMostListed : 0;
  texts.resize(texts.size() - hidden);
  if (hidden != 0) texts.push_back(fmt::format("{} more", hidden));
  return "there are: " + join(texts, ", ");
}

template <class Predicate>
std::vector<const Link*> nicsThat(const std::vector<Link>& links, const Predicate& fits) {
  std::vector<const Link*> found;
  for (const Link& link : links)
    if (canBeNic(link) && fits(link)) found.push_back(&link);
  return found;
}

std::vector<const Link*> candidates(const std::vector<Link>& links, const FindNicBy& by) {
  if (const auto* name = std::get_if<FindByName>(&by))
    return nicsThat(links, [&](const Link& l) { return l.name == name->name.str(); });
  if (const auto* pci = std::get_if<FindByPci>(&by)) {
    return nicsThat(
        links, [&](const Link& l) { return l.parentBus == "pci" && l.parentDevice == pci->slot; });
  }
  const Mac mac = std::get<FindByMac>(by).mac;
  // A burnt-in MAC cannot be worn by another by mistake, so it decides.
  auto found = nicsThat(links, [&](const Link& l) { return l.permanentMac == mac; });
  if (found.empty()) found = nicsThat(links, [&](const Link& l) { return l.mac == mac; });
  return found;
}

// The NIC of the note wherever it is; none if it is not here.
Result<std::optional<Link>> findNoted(Rtnl& rtnl, const NicNote& note, const NicWear& wear) {
  ORRERY_TRY_ASSIGN(const auto links, listLinks(rtnl));
  if (note.permanentMac) {
    for (const Link& link : links)
      if (canBeNic(link) && link.permanentMac == note.permanentMac) return std::optional(link);
    return std::optional<Link>{};
  }
  // Nothing is burnt in: name and MAC together, as it was or as it is worn; then the MAC alone, as
  // it may have come home as devN.
  const auto is = [](const Link& l, const std::string& name, const Mac& mac) {
    return canBeNic(l) && l.name == name && l.mac == mac;
  };
  for (const Link& link : links)
    if (is(link, note.name, note.mac) || is(link, wear.name.str(), wear.mac))
      return std::optional(link);
  for (const Link& link : links)
    if (canBeNic(link) && (link.mac == wear.mac || link.mac == note.mac))
      return std::optional(link);
  return std::optional<Link>{};
}

// A link that is moved or made gets the namespace's default; written all the same, because the
// moment it goes up it would speak IPv6 on the wire.
Status turnIpv6Off(Rtnl& router, const IfName& name) {
  Status s =
      setSysctls(router.netns(), {{fmt::format("ipv6/conf/{}/disable_ipv6", name.str()), "1"}});
  if (!s && s.error().err == ENOENT) return {};  // the kernel has no IPv6
  return s;
}

Status dress(Rtnl& host, Rtnl& router, const Link& nic, const NicNote& note, const NicWear& wear) {
  const std::string label = fmt::format("take NIC '{}' as '{}'", note.name, wear.name.str());
  ORRERY_TRY(changeLink(
      host, nic.index,
      {.netns = &router.netns(), .mac = wear.mac, .mtu = wear.mtu, .name = wear.name, .up = false},
      label));
  return turnIpv6Off(router, wear.name);
}

Result<LinkChange> asNoted(const NicNote& note) {
  ORRERY_TRY_ASSIGN(const IfName name, IfName::parse(note.name));
  return LinkChange{.mac = note.mac, .mtu = note.mtu, .name = name, .up = note.up};
}

Status restoreAtHome(Rtnl& host, const Link& nic, const NicNote& note, const std::string& label) {
  if (nic.name == note.name && nic.mac == note.mac && nic.mtu == note.mtu && nic.up == note.up)
    return {};
  ORRERY_TRY_ASSIGN(LinkChange change, asNoted(note));
  if (nic.name == note.name) change.name.reset();
  // Many drivers refuse a new MAC, older kernels a new name, while a link is up.
  if (nic.up && (nic.name != note.name || nic.mac != note.mac))
    ORRERY_TRY(changeLink(host, nic.index, {.up = false}, label));
  return changeLink(host, nic.index, change, label);
}

}  // namespace

std::string toString(const FindNicBy& by) {
  if (const auto* mac = std::get_if<FindByMac>(&by)) return "NIC with MAC " + toString(mac->mac);
  if (const auto* pci = std::get_if<FindByPci>(&by)) return "NIC at PCI slot " + pci->slot;
  return fmt::format("NIC named '{}'", std::get<FindByName>(by).name.str());
}

Result<Link> chooseNic(const std::vector<Link>& links, const FindNicBy& by) {
  const auto found = candidates(links, by);
  if (found.size() == 1) return *found.front();
  const int err = found.empty() ? ENODEV : ENOTUNIQ;
  const char* text = found.empty() ? "no" : "more than one";
  return tl::unexpected<Error>(
      Error{err, fmt::format("{} {}; {}", text, toString(by), listNics(links)), Where{}, {}});
}

Result<Link> findNic(Rtnl& rtnl, const FindNicBy& by) {
  ORRERY_TRY_ASSIGN(const auto links, listLinks(rtnl));
  return chooseNic(links, by);
}

NicNote noteOf(const Link& nic) {
  return {nic.name, nic.mac, nic.mtu, nic.up, nic.permanentMac};
}

Status takeNic(Rtnl& host, Rtnl& router, const NicNote& note, const NicWear& wear) {
  ORRERY_TRY_ASSIGN(const auto there, findNoted(router, note, wear));
  if (there && there->name == wear.name.str() && there->mac == wear.mac)
    return turnIpv6Off(router, wear.name);
  ORRERY_TRY_ASSIGN(const auto nic, findNoted(host, note, wear));
  if (!nic) {
    ORRERY_TRY_ASSIGN(const auto links, listLinks(host));
    return sysError(ENODEV, "take NIC '{}': it is not here; {}", note.name, listNics(links));
  }
  if (nic->master)
    return sysError(EBUSY, "take NIC '{}': it is in a bridge or bond; take it out first",
                    nic->name);
  Status taken = dress(host, router, *nic, note, wear);
  if (taken) return {};
  Error first = std::move(taken).error();
  if (Status undone = giveBackNic(host, &router, note, wear); !undone)
    first.also.push_back(std::move(undone).error());
  return tl::unexpected<Error>(std::move(first));
}

Status giveBackNic(Rtnl& host, Rtnl* router, const NicNote& note, const NicWear& wear) {
  const std::string label = fmt::format("give NIC '{}' back", note.name);
  if (router != nullptr) {
    ORRERY_TRY_ASSIGN(const auto lent, findNoted(*router, note, wear));
    if (lent) {
      ORRERY_TRY_ASSIGN(LinkChange change, asNoted(note));
      change.netns = &host.netns();
      return changeLink(*router, lent->index, change, label);
    }
  }
  ORRERY_TRY_ASSIGN(const auto home, findNoted(host, note, wear));
  if (!home) return sysError(ENODEV, "{}: neither with the router nor on the host", label);
  return restoreAtHome(host, *home, note, label);
}

}  // namespace orrery
