// A machine's own NIC: found, lent to a router's namespace, given back as it was.
//
// A physical NIC comes home by itself when its namespace ends, but down, under the name and with
// the MAC that it wore, or as devN if that name is taken (N its index). So what it had is noted
// before it is taken, and giving back works from the note alone, wherever the NIC is by then. The
// note is to be kept on disk before takeNic() is called.
//
// A veth stands in for a NIC in tests: it has no permanent MAC and is found by what it wears.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "netns/link/link.h"

namespace orrery {

struct FindByMac {
  Mac mac;
};  // permanent MAC, else the one that it wears
struct FindByPci {
  std::string slot;
};  // "0000:02:01.0"
struct FindByName {
  IfName name;
};
using FindNicBy = std::variant<FindByMac, FindByPci, FindByName>;
std::string toString(const FindNicBy& by);  // "NIC with MAC 52:54:00:ab:cd:01"

// What can be a NIC: not lo, a bridge, or a virtual link of a kind other than veth. Err ENODEV if
// none fits, ENOTUNIQ if several do; the text lists the NICs that there are.
Result<Link> findNic(Rtnl& rtnl, const FindNicBy& by);
// The same on a list that was read before. Pure.
Result<Link> chooseNic(const std::vector<Link>& links, const FindNicBy& by);

struct NicNote {  // what it has on the host
  std::string name;
  Mac mac;
  unsigned mtu = 1500;
  bool up = false;
  std::optional<Mac> permanentMac;  // by which it is found again
  friend bool operator==(const NicNote&, const NicNote&) = default;
};
NicNote noteOf(const Link& nic);

struct NicWear {  // what it has in the router
  IfName name;
  Mac mac;
  std::optional<unsigned> mtu{};
};

// Takes the NIC down, moves it, renames it and sets its MAC, by one message; then turns IPv6 off
// on it. It is left down: setLinkUp() when the ruleset is in place. Done before is fine. On a
// failure it is given back.
Status takeNic(Rtnl& host, Rtnl& router, const NicNote& note, const NicWear& wear);

// Puts back name, MAC, MTU and state, from the router's namespace (null if it is gone), or at home
// under whatever name it came back. Already given back is fine. Err ENODEV if it is nowhere: when
// the namespace has just ended, wait for the link event and call again.
Status giveBackNic(Rtnl& host, Rtnl* router, const NicNote& note, const NicWear& wear);

}  // namespace orrery
