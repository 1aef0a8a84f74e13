// What a definition says, as values with every default filled in. Everything after the TOML reader
// works on these; nothing here knows text positions, the kernel or the clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/filter/program.h"

namespace orrery {

// "network0", "galaxy0": lower-case letters, digits and '-', first a letter. A router's name is also
// its bridge's name, so 15 bytes at most.
struct RouterId {
  std::string network;
  std::string name;
  std::string text() const { return network + "." + name; }  // also the LAN namespace's pin
  std::string egressText() const { return text() + ".egress"; }
  friend auto operator<=>(const RouterId&, const RouterId&) = default;
};

// The number at the end of a network's name (network0 -> 0), 0 if it has none.
std::uint8_t networkNumber(const std::string& network);

enum class Kind { universe, galaxy, star };
const char* toString(Kind kind);

// --- uplink ---------------------------------------------------------------------------------------

struct NicByMac { Mac mac; friend bool operator==(const NicByMac&, const NicByMac&) = default; };
struct NicByPci { std::string slot; friend bool operator==(const NicByPci&, const NicByPci&) = default; };
struct NicByName { IfName name; friend bool operator==(const NicByName&, const NicByName&) = default; };
using NicSelector = std::variant<NicByMac, NicByPci, NicByName>;

struct StaticUplink {  // in place of DHCP
  Prefix4 address;
  Ipv4 gateway;
  std::vector<Ipv4> dns;
  friend bool operator==(const StaticUplink&, const StaticUplink&) = default;
};
struct NicUplink {
  NicSelector nic;
  std::optional<StaticUplink> fixed;  // none: by DHCP
  std::optional<Mac> mac;             // worn instead of the NIC's own while the router has it
  friend bool operator==(const NicUplink&, const NicUplink&) = default;
};
struct RouterUplink {
  std::string router;           // same network
  std::optional<Ipv4> address;  // ours on its LAN; none: the planner chooses
  friend bool operator==(const RouterUplink&, const RouterUplink&) = default;
};
using Uplink = std::variant<NicUplink, RouterUplink>;

// --- lan ------------------------------------------------------------------------------------------

struct DhcpSpec {
  Ipv4 first;
  Ipv4 last;
  std::chrono::seconds lease{9000};
  friend bool operator==(const DhcpSpec&, const DhcpSpec&) = default;
};
// What the ports of clients let pass, beyond the guard: a filter can only take away.
enum class FilterDirection { fromClient, toClient };
struct FilterSpec {
  FilterDirection direction = FilterDirection::fromClient;
  bool pass = false;       // the expression says what passes; else what is dropped
  std::string expression;  // tcpdump's language, checked (filter_expression.h)
  std::string why;         // for people
  BpfProgram passes;       // says "yes" to a frame that may pass, whichever way it was written
  friend bool operator==(const FilterSpec&, const FilterSpec&) = default;
};
const char* toString(FilterDirection direction);  // "from-client", "to-client"

struct LanSpec {
  Prefix4 address;  // of the bridge
  Mac mac;          // derived from the address unless given
  std::optional<DhcpSpec> dhcp;
  bool clientsTalk = false;
  std::uint16_t mtu = 1500;  // bytes
  std::vector<FilterSpec> filters = {};  // a frame must pass every one of its direction
  friend bool operator==(const LanSpec&, const LanSpec&) = default;
};

// --- dns ------------------------------------------------------------------------------------------

struct DnsSpec {
  std::vector<Ipv4> servers;  // empty: what the egress supplies (lease, push, Tor)
  // star and socks5: addresses from here stand for names, so that the exit resolves them.
  Prefix4 names{Ipv4{0x0ac00000}, 10};  // 10.192.0.0/10
  friend bool operator==(const DnsSpec&, const DnsSpec&) = default;
};

// --- egress ---------------------------------------------------------------------------------------

struct DirectEgress { friend bool operator==(const DirectEgress&, const DirectEgress&) = default; };

// One server of a tunnel or proxy. Host names are refused in profiles: a name would have to be
// resolved outside of the tunnel.
struct Endpoint {
  Ipv4 address;
  std::uint16_t port = 0;  // host order
  bool tcp = false;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};
struct OpenVpnEgress {
  std::string profile;               // path of the .ovpn file
  std::string text;                  // its content, checked: no directive that runs programs
  std::vector<Endpoint> remotes;     // at least one
  std::optional<std::string> auth;   // path of a user/password file (mode 0600)
  friend bool operator==(const OpenVpnEgress&, const OpenVpnEgress&) = default;
};
struct WireGuardPeer {
  std::string publicKey;                    // base64
  std::optional<std::string> presharedKey;  // base64, secret
  Endpoint endpoint;
  std::vector<Prefix4> allowedIps;
  std::uint16_t keepalive = 0;              // seconds, 0 = off
  friend bool operator==(const WireGuardPeer&, const WireGuardPeer&) = default;
};
struct WireGuardEgress {
  std::string profile;     // path of the .conf file (wg-quick's syntax)
  std::string privateKey;  // base64, secret: never printed
  Prefix4 address;
  std::vector<Ipv4> dns;
  std::uint16_t mtu = 1420;
  std::vector<WireGuardPeer> peers;
  friend bool operator==(const WireGuardEgress&, const WireGuardEgress&) = default;
};
struct TorEgress {
  std::optional<std::string> torrc;  // path of extra torrc lines (checked against an allow-list)
  std::string extra;                 // their text
  friend bool operator==(const TorEgress&, const TorEgress&) = default;
};
struct Socks5Egress {
  Endpoint server;
  std::optional<std::string> auth;  // path of a user/password file (mode 0600)
  friend bool operator==(const Socks5Egress&, const Socks5Egress&) = default;
};
using EgressSpec =
    std::variant<DirectEgress, OpenVpnEgress, WireGuardEgress, TorEgress, Socks5Egress>;
const char* egressName(const EgressSpec& egress);  // "direct", "openvpn", …

// --- limits ---------------------------------------------------------------------------------------

struct LimitsSpec {
  std::optional<std::string> cpus;     // cpuset list, "0" or "0-1,3"
  std::uint64_t memory = 256u << 20;   // bytes, all services of the router together
  std::uint32_t pids = 64;
  std::uint32_t cpuQuota = 0;  // per cent of one CPU's time, together; 0: no limit
  friend bool operator==(const LimitsSpec&, const LimitsSpec&) = default;
};

// What each client of the LAN may take; beyond it its packets are dropped and counted. 0: no limit.
// A rate has a burst of kBurstSeconds. Routers downstream count their own clients and are only held
// to the rates of frames. docs/adr/0019-limits-per-client.md weighs the defaults.
struct ClientLimits {
  std::uint32_t connections = 4096;         // in connection tracking at once, forwarded or proxied
  std::uint32_t newConnections = 200;       // a second
  std::uint32_t tunnelPackets = 10000;      // a second into a tunnel (openvpn, wireguard)
  std::uint32_t dnsQueries = 100;           // a second
  std::uint32_t arpFrames = 50;             // a second
  std::uint32_t dhcpFrames = 10;            // a second
  std::uint32_t broadcasts = 100;           // frames a second to the other clients (clients_talk)
  std::uint32_t proxiedConnections = 256;   // at once through tproxy
  std::uint64_t proxiedBuffers = 16u << 20;  // bytes in flight in tproxy
  bool given = false;  // the definition names some: not to be left out where the kernel lacks them
  friend bool operator==(const ClientLimits&, const ClientLimits&) = default;
};
inline constexpr std::uint32_t kBurstSeconds = 10;

// --- seccomp --------------------------------------------------------------------------------------

struct OwnSeccompProfile {  // used in place of the shipped one
  std::string service;  // "openvpn"
  std::string path;     // of the file, for people
  std::string text;     // its content, checked
  friend bool operator==(const OwnSeccompProfile&, const OwnSeccompProfile&) = default;
};
struct SeccompSpec {
  bool learn = false;  // lets pass what profiles refuse by default, and proposes profiles
  std::vector<OwnSeccompProfile> profiles;
  friend bool operator==(const SeccompSpec&, const SeccompSpec&) = default;
};
// Null if the service has the shipped one; `spec` may be null.
const OwnSeccompProfile* ownProfile(const SeccompSpec* spec, std::string_view service);

struct RouterSpec {
  RouterId id;
  Kind kind = Kind::galaxy;
  Uplink uplink;
  LanSpec lan;
  DnsSpec dns;
  EgressSpec egress;
  LimitsSpec limits;
  ClientLimits clientLimits;
  SeccompSpec seccomp;
  friend bool operator==(const RouterSpec&, const RouterSpec&) = default;
};

// True if the router keeps its uplink in a namespace of its own (tunnels and proxies). A direct
// router has one namespace.
bool hasEgressNamespace(const RouterSpec& spec);
// Its clients' connections end at tproxy: tor, socks5.
bool isProxied(const EgressSpec& egress);

}  // namespace orrery
