#include "netns/observe/snapshot.h"

#include <algorithm>

namespace orrery {

const Link* Snapshot::link(const std::string& name) const {
  const auto it = std::ranges::find(links, name, &Link::name);
  return it == links.end() ? nullptr : &*it;
}

const Link* Snapshot::link(int index) const {
  const auto it = std::ranges::find(links, index, &Link::index);
  return it == links.end() ? nullptr : &*it;
}

std::vector<Prefix4> Snapshot::addressesOf(int index) const {
  std::vector<Prefix4> out;
  for (const Address& address : addresses)
    if (address.index == index) out.push_back(address.address);
  return out;
}

Result<Snapshot> observe(Rtnl& rtnl) {
  Snapshot all;
  ORRERY_TRY_ASSIGN(all.links, listLinks(rtnl));
  ORRERY_TRY_ASSIGN(all.addresses, listAddresses(rtnl));
  ORRERY_TRY_ASSIGN(all.routes, listRoutes(rtnl));
  ORRERY_TRY_ASSIGN(all.rules, listRules(rtnl));
  ORRERY_TRY_ASSIGN(all.neighbours, listNeighbours(rtnl));
  for (Route& route : all.routes) {
    const Link* link = all.link(route.index);
    if (link == nullptr) continue;
    if (Result<IfName> name = IfName::parse(link->name)) route.interface = *std::move(name);
  }
  return all;
}

}  // namespace orrery
