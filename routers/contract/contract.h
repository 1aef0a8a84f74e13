// The leak contract: what may appear on each link of a router, in each state, as data. Pure.
//
// The ruleset of an egress namespace is made of it (routers/firewall/egress.cc), the auditor judges
// frames by it (judge.h), `routerctl verify` fills in a live router's facts, the table in
// SECURITY.md is printed from it (table.h), and a test holds the rulesets of LANs against it. It is
// an upper bound: what is not listed is a leak, what is listed need not be seen.
//
// A line (Allowance) names its parties by a word ("own address", "server") and carries the
// addresses that the word stands for here. Directions are as the router sees them: `out` leaves it.
// What others send to the router is listed too; other frames that come in are strays, not leaks:
// nobody can promise what strangers send.
//
// States in which no process of the router runs are stricter where all traffic is a process's: the
// kernel alone may still end connections that are open, and opens none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "routers/spec/router_spec.h"

namespace orrery {

enum class ContractState {
  absent,          // never spawned
  starting,        // between the first resource and ready
  ready,           //
  egressDown,      // carrier, lease, VPN or Tor is lost; the daemon tries again
  restarting,      // a service has ended and waits for its next start
  paused,          // every process is stopped (SIGSTOP, a suspended host)
  supervisorDead,  // supervisor and keeper are gone, the services with them
  stopping,        // destroy has begun
  destroyed,
};
inline constexpr std::array kContractStates = {
    ContractState::absent,         ContractState::starting,   ContractState::ready,
    ContractState::egressDown,     ContractState::restarting, ContractState::paused,
    ContractState::supervisorDead, ContractState::stopping,   ContractState::destroyed};
const char* toString(ContractState state);  // "ready", "egress down", …

enum class LinkSide { uplink, tunnel, lan };  // NIC or veth; tun0 or wg0; the bridge
inline constexpr std::array kLinkSides = {LinkSide::uplink, LinkSide::tunnel, LinkSide::lan};
const char* toString(LinkSide side);
std::optional<LinkSide> parseLinkSide(std::string_view text);

enum class Way { out, in };
enum class FrameForm { arpRequest, arpReply, ipv4 };
const char* toString(FrameForm form);

// Some addresses: those of `among` that are not in `except`.
struct Party {
  std::string word;
  std::vector<Prefix4> among;  // none: nobody
  std::vector<Prefix4> except;
  bool contains(Ipv4 address) const;
  friend bool operator==(const Party&, const Party&) = default;
};

struct Allowance {
  std::string name;  // "server", "arp", …
  Way way = Way::out;
  FrameForm form = FrameForm::ipv4;
  Party source;       // ARP: the sender's protocol address
  Party destination;  // ARP: the target's
  // The rest is for IPv4. A later fragment has no ports: it is judged by addresses and protocol.
  std::vector<std::uint8_t> protocols;           // IANA numbers; none: any
  std::optional<std::uint16_t> sourcePort;       // TCP and UDP
  std::optional<std::uint16_t> destinationPort;  //
  std::vector<std::uint16_t> exceptPorts;        // TCP and UDP destinations that are not meant
  std::vector<std::uint8_t> icmpTypes;           // none: any
  bool openOnly = false;   // TCP connections that are open: no SYN without ACK
  bool options = false;    // IP options, but no source route (RFC 791)
  bool broadcast = false;  // the frame may be addressed to all
  friend bool operator==(const Allowance&, const Allowance&) = default;
};

struct LinkContract {
  LinkSide side = LinkSide::uplink;
  bool ethernet = true;    // false: bare IP packets (tun, WireGuard)
  std::optional<Mac> mac;  // the only source of frames that go out; none: not known
  std::vector<Allowance> allowed;
  friend bool operator==(const LinkContract&, const LinkContract&) = default;
};

struct Contract {
  RouterId router;
  ContractState state = ContractState::absent;
  std::vector<LinkContract> links;
  const LinkContract* link(LinkSide side) const;  // null: nothing may appear there
  friend bool operator==(const Contract&, const Contract&) = default;
};

// What only the placement knows about the uplink of an egress namespace.
struct UplinkFacts {
  Ipv4 address;                // ours on the uplink: the only source that may leave
  Ipv4 gateway;                // next hop; traffic to it itself is refused
  std::optional<Prefix4> lan;  // the uplink's subnet: Tor may not reach its other members
  friend bool operator==(const UplinkFacts&, const UplinkFacts&) = default;
};

// What only the host can tell. An address of 0.0.0.0 is none: nothing may come from it.
struct ContractFacts {
  UplinkFacts uplink;
  std::optional<Mac> mac;      // worn on the uplink
  std::optional<Ipv4> tunnel;  // ours in the tunnel; WireGuard's is in the definition
};

Contract contractOf(const RouterSpec& spec, const ContractFacts& facts, ContractState state);

// A link on which nothing at all may leave: one that no model has.
LinkContract closedLink();

// Destinations that only a local network has, and no Tor relay: RFC 1918, shared address space, and
// what no router forwards to (netns/addr/special.h).
std::vector<Prefix4> privateNetworks();

}  // namespace orrery
