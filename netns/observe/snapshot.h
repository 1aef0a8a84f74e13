// All that rtnetlink knows about a namespace, as one value.
#pragma once

#include <string>
#include <vector>

#include "netns/addr/address.h"
#include "netns/link/link.h"
#include "netns/neigh/neigh.h"
#include "netns/route/route.h"

namespace orrery {

struct Snapshot {
  std::vector<Link> links;
  std::vector<Address> addresses;
  std::vector<Route> routes;  // all tables; interface names filled in
  std::vector<Rule> rules;
  std::vector<Neighbour> neighbours;

  const Link* link(const std::string& name) const;  // null if there is none
  const Link* link(int index) const;
  std::vector<Prefix4> addressesOf(int index) const;
};

// Five dumps: not one atomic picture, as the kernel has no such call.
Result<Snapshot> observe(Rtnl& rtnl);

}  // namespace orrery
