// Words that the rulesets are written in. Private to routers/firewall.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netns/nft/ruleset.h"
#include "routers/spec/router_spec.h"

namespace orrery::firewall {

inline constexpr std::uint32_t kMostPorts = 1024;  // of a bridge: BR_MAX_PORTS

inline constexpr const char* kClients = "clients";  // the bridge's set of port, MAC, address

inline constexpr const char* kUplink = "uplink";  // the veth to the router upstream
inline constexpr const char* kNic = "ens1";       // a universe's NIC
inline constexpr const char* kOpenVpnDevice = "tun0";
inline constexpr const char* kWireGuardDevice = "wg0";

inline constexpr std::uint16_t kDnsPort = 53;
inline constexpr std::uint16_t kDnsOverTlsPort = 853;
inline constexpr std::uint16_t kDhcpServerPort = 67;
inline constexpr std::uint16_t kDhcpClientPort = 68;

inline constexpr std::uint8_t kEchoRequest = 8;
inline constexpr std::uint8_t kUnreachable = 3;
inline constexpr std::uint8_t kTimeExceeded = 11;
inline constexpr std::uint8_t kParameterProblem = 12;

using Exprs = std::vector<nft::Expr>;

Exprs operator+(Exprs a, const Exprs& b);

// --- matches -------------------------------------------------------------------------------------
nft::Expr in(std::string name);
nft::Expr out(std::string name);
nft::Expr from(std::vector<Prefix4> prefixes);
nft::Expr notFrom(std::vector<Prefix4> prefixes);
nft::Expr to(std::vector<Prefix4> prefixes);
nft::Expr notTo(std::vector<Prefix4> prefixes);
Prefix4 only(Ipv4 address);  // a /32
nft::Expr l4(std::vector<std::uint8_t> protocols);
nft::Expr tcp();
nft::Expr udp();
nft::Expr fromPort(std::uint16_t port);
nft::Expr toPort(std::uint16_t port);
nft::Expr toPorts(std::initializer_list<std::uint16_t> ports);
Exprs icmp(std::vector<std::uint8_t> types);
nft::Expr established();         // established, related
nft::Expr freshOrEstablished();  // and new
nft::Expr invalid();
nft::Expr syn();            // the first segment of either side
nft::Expr notBeginning();   // any but the first segment of whoever opens the connection
nft::Expr closing();        // FIN
nft::Expr resetting();      // RST
nft::Expr acknowledging();  // ACK alone
nft::Expr bytesAt(nft::PayloadBase base, std::uint16_t offset, std::vector<std::uint8_t> bytes);
// RFC 826: hardware Ethernet, protocol IPv4, with addresses of six and four bytes.
nft::Expr arpHead();
nft::Expr arpSender(Ipv4 address);
nft::Expr arpTarget(Ipv4 address);

// --- rules ---------------------------------------------------------------------------------------
nft::Rule accept(std::string comment, Exprs matches);
nft::Rule drop(std::string reason, Exprs matches);    // counted
nft::Rule reject(std::string reason, Exprs matches);  // counted; ICMP "administratively prohibited"
nft::Rule reset(std::string reason, Exprs matches);   // counted; TCP RST
nft::Rule act(std::string comment, Exprs exprs, bool counter = false);

// A base chain of type filter; `policy` drop as everywhere.
nft::Chain chain(std::string name, nft::Hook hook, std::int32_t priority,
                 std::vector<nft::Rule> rules);
nft::Chain natChain(std::string name, nft::Hook hook, std::int32_t priority,
                    std::vector<nft::Rule> rules);

// --- shared pieces -------------------------------------------------------------------------------
// Flag combinations that no TCP sends: everything but SYN, SYN+ACK, ACK, FIN+ACK, RST and RST+ACK
// (each with or without PSH, URG and the ECN bits). RFC 9293, section 3.
nft::Rule impossibleTcp();
// What no router forwards, refused. RFC 3927, RFC 6890 (netns/addr/special.h).
nft::Rule neverForwarded(const std::string& lan);
// Sources that cannot come by an uplink: this network, loopback, multicast and above (RFC 6890).
std::vector<Prefix4> impossibleSources();

// IPv6 in every hook: dropped and counted.
nft::Table noIpv6();
// Frames on the router's bridge: of each port what its client may send (port_guard.cc); between
// clients nothing unless they may talk.
nft::Table bridgeTable(const RouterSpec& spec);

// The filters of the definition (lan_filter.cc); nothing if it has none of the direction.
std::optional<nft::Chain> filterChain(const RouterSpec& spec, FilterDirection direction);

nft::Ruleset forwardingRuleset(const RouterSpec& spec);  // direct, openvpn, wireguard

bool isTunnel(const EgressSpec& egress);  // openvpn, wireguard

}  // namespace orrery::firewall
