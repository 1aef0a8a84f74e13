// Who may be behind each port of a router's LAN, as the guard in its ruleset knows it
// (guardEntries, routers/firewall): made known before the port exists, forgotten after it has gone.
//
// To forget takes two steps. Who takes a port away only writes down, in <runDir>/departed, that its
// owner has departed; he is removed from the guard's sets together with many others, by whoever
// makes a port when kMostDepartures are written down, or by gc. The kernel closes a netfilter
// socket only after what was removed in its namespace has been freed, an RCU grace period later
// (nft_rcv_nl_event(), net/netfilter/nf_tables_api.c; 14 ms measured), and no destroy or detach
// shall wait for that. (The supervisor cannot do it: it is a static program, and libmnl is a shared
// library only.)
//
// Until then the sets still name him, which harms nobody:
// - an element counts for the port of one name, and at that moment no port has this name: it was
//   taken from the dying one (shutPort, netns/link), or the port has been deleted;
// - who makes a port of that name again removes from the sets, before the port exists, whom the
//   name's record tells of (admitOwner).
// So no port ever has a guard that knows anybody but its present owner. And nobody is removed who
// is there: to be admitted strikes the record out, and all of this is done under the StoreLock.
//
// All need root; the elements are removed by a socket in the router's LAN namespace.
#pragma once

#include <string>

#include "netns/nft/nft.h"
#include "routers/firewall/firewall.h"

namespace orrery {

inline constexpr std::size_t kMostDepartures = 64;  // ports, before all are swept

// `lan` is the router whose LAN it is; `root` is "" outside of tests.
//
// Before the port is made.
Status admitOwner(NftSocket& rules, const RouterId& lan, const PortOwner& owner,
                  const std::string& root = "");
// After the port has gone or has lost its name. A router that is gone has nothing to forget.
Status noteDeparture(const RouterId& lan, const PortOwner& owner, const std::string& root = "");

bool hasDepartures(const RouterId& lan, const std::string& root = "");
// Removes the departed from the sets, then the records.
Status sweepDepartures(NftSocket& rules, const RouterId& lan, const std::string& root = "");

}  // namespace orrery
