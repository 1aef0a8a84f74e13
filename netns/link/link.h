// Links: bridges, veth pairs, and what any link can be told.
//
// A link is named by its interface name in the namespace of the Rtnl. A name that does not exist is
// err ENODEV, except where the text says that absence is fine.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

struct LinkCounters {
  std::uint64_t rxPackets = 0, rxBytes = 0, rxErrors = 0, rxDropped = 0;
  std::uint64_t txPackets = 0, txBytes = 0, txErrors = 0, txDropped = 0;
};

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  // "veth", "bridge", "tun", "wireguard"; "" for a physical NIC and lo
  Mac mac;           // zero where a link has none (tun)
  std::optional<Mac> permanentMac;  // burnt in; physical NICs (IFLA_PERM_ADDRESS, Linux 5.6)
  unsigned mtu = 0;                 // bytes
  bool up = false;                  // IFF_UP: the administrator's wish
  bool carrier = false;             // IFF_LOWER_UP
  bool loopback = false;
  std::optional<int> master;     // index of the bridge that it is a port of
  std::optional<int> peerIndex;  // veth: of the other end, in its namespace
  std::optional<int> peerNsid;   // veth: the other end's namespace as seen from here; none: ours
  std::optional<bool> isolated;  // bridge ports only
  std::string parentBus;         // "pci"; "" if there is none (Linux 5.14)
  std::string parentDevice;      // "0000:02:01.0"
  unsigned queueLength = 0;      // packets (IFLA_TXQLEN)
  LinkCounters counters;
};

Result<Link> parseLink(Bytes payload);  // of an RTM_NEWLINK; err EBADMSG

Result<std::vector<Link>> listLinks(Rtnl& rtnl);  // by index
Result<std::optional<Link>> findLink(Rtnl& rtnl, const IfName& name);

// A bridge that forwards at once and nothing special: no STP, forward delay 0, no VLAN filter, no
// multicast snooping, link-local frames (01:80:c2:…) for the bridge family's rules to judge and
// never learned from. Err EEXIST.
Status createBridge(Rtnl& rtnl, const IfName& name, const Mac& mac, unsigned mtu, bool up = false);

struct VethEnd {
  IfName name;
  Mac mac;
  const NetnsFd* netns = nullptr;  // null: the Rtnl's namespace
  std::optional<IfName> bridge;    // in the end's namespace
  bool isolated = false;           // a bridge port that talks only to ports that are not
  bool up = false;
  Rtnl* rtnl = nullptr;  // a socket in `netns`, if the caller has one: saves opening another
};

// One RTM_NEWLINK makes both ends in their namespaces with final name, MAC, MTU, master and the
// port's flags. Then come, as separate messages, because the kernel carries out the rest of a batch
// after a failure, and would do it to another link that has the name:
// - for an isolated port: its owner (setPortOwner) and its isolation together with IFF_UP, so that
// it
//   never forwards without;
// - for a peer that shall be up, or in a bridge: in its namespace (veth_open() refuses an end whose
//   other end is not made yet).
// The port lives in the Rtnl's namespace; after a failure there is no pair.
//
// A namespace's end is asynchronous: a port of that name may be left for a moment by a peer whose
// namespace is ending. It is deleted if that can be seen, waited for (kDyingPatience) if it cannot
// yet, and the creation tried once more. Err EEXIST if either name is rightly taken.
inline constexpr std::chrono::milliseconds kDyingPatience{2000};
Status createVeth(Rtnl& rtnl, const VethEnd& port, const VethEnd& peer, unsigned mtu);

// For a port whose pair is about to go with the namespace of its other end: it is set down, so that
// nothing passes any more, and loses its name ("gone~INDEX", which nobody else wants), so that a
// new one can have it at once. Absent is fine; a link of that name that is no veth with this MAC is
// somebody else's, and left alone.
Status shutPort(Rtnl& rtnl, const IfName& name, const Mac& mac);
// One that was shut, and that the kernel has not yet cleared away. It is down.
bool isShutPort(const Link& link);

struct BridgePort {  // what is not said stays as it is
  std::optional<bool> isolated;
  std::optional<bool> learning;
  std::optional<bool> unicastFlood;
  std::optional<bool> multicastFlood;
  std::optional<bool> broadcastFlood;
  std::optional<bool> hairpin;
};
Status setBridgePort(Rtnl& rtnl, const IfName& port, const BridgePort& settings);
// The address behind a port, known to its bridge for as long as the port is in it, also while it
// has no carrier: frames for it go there alone, and no other port may claim it. With `unicastFlood`
// off at every port nobody is handed what is for somebody else.
Status setPortOwner(Rtnl& rtnl, const IfName& port, const Mac& mac);
// No bridge: takes the link out of the one that it is in.
Status setLinkMaster(Rtnl& rtnl, const IfName& name, const std::optional<IfName>& bridge);

Status deleteLink(Rtnl& rtnl, const IfName& name);  // absent is fine

Status setLinkUp(Rtnl& rtnl, const IfName& name);
Status setLinkDown(Rtnl& rtnl, const IfName& name);
// Throws away what waits to be sent: of a tun what no program has read yet (tun_queue_resize()).
Status emptyLinkQueue(Rtnl& rtnl, const Link& link);
Status setLinkMtu(Rtnl& rtnl, const IfName& name, unsigned mtu);
Status setLinkMac(Rtnl& rtnl, const IfName& name, const Mac& mac);
// A link that is up cannot be renamed before Linux 6.2: err EBUSY.
Status setLinkName(Rtnl& rtnl, const IfName& name, const IfName& newName);

// What a link is told in one message. The kernel applies it in this order: namespace (which takes
// it down), MAC, MTU, name, up or down.
struct LinkChange {
  const NetnsFd* netns = nullptr;
  std::optional<Mac> mac;
  std::optional<unsigned> mtu;
  std::optional<IfName> name;
  std::optional<bool> up;
};
Status changeLink(Rtnl& rtnl, int index, const LinkChange& change, const std::string& label);

// The link arrives down and without addresses. Err EEXIST if the name is taken there.
// (The kernel moves first and renames then, so the name is looked up in the target before.)
Status moveLink(Rtnl& rtnl, const IfName& name, const NetnsFd& to,
                const std::optional<IfName>& newName = std::nullopt);

}  // namespace orrery
