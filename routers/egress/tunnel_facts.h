// What the far side of an egress told us, checked, as values. Pure.
//
// Leases, pushes and replies are data from strangers: each parser has a size limit, takes what the
// definition needs (address, gateway, DNS, MTU) and drops the rest. Routes, which a hostile server
// could use to draw traffic out of the tunnel (DHCP options 33, 121, 249, OpenVPN's "route" and
// "redirect-gateway"), are never read at all.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/addr/ip.h"
#include "sandbox/base/result.h"

namespace orrery {

// --- DHCP on the NIC ------------------------------------------------------------------------------

struct Lease {
  Prefix4 address;
  std::optional<Ipv4> gateway;
  std::vector<Ipv4> dns;
  std::chrono::seconds duration{0};
  friend bool operator==(const Lease&, const Lease&) = default;
};
enum class LeaseEventKind { deconfig, bound, renewed, refused, failed };
struct LeaseEvent {
  LeaseEventKind kind = LeaseEventKind::deconfig;
  std::optional<Lease> lease;  // with bound and renewed
  friend bool operator==(const LeaseEvent&, const LeaseEvent&) = default;
};

inline constexpr std::size_t kMaxLeaseMessage = 8192;  // bytes

// One message of the lease helper: the event's name, then NAME=VALUE strings of udhcpc's
// environment, each ended by a NUL byte; see busybox's networking/udhcp/dhcpc.c for the names.
Result<LeaseEvent> parseLeaseEvent(std::string_view message);

// A lease that would break the router: an address inside of one of our own subnets, a mask of no
// use, a gateway off the link, loopback, multicast or class E addresses.
Status checkLease(const Lease& lease, const std::vector<Prefix4>& ownSubnets);

// --- OpenVPN --------------------------------------------------------------------------------------

struct TunnelFacts {
  Prefix4 address;              // of the tunnel device
  std::vector<Ipv4> dns;
  std::optional<std::uint16_t> mtu;
  friend bool operator==(const TunnelFacts&, const TunnelFacts&) = default;
};

// "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ifconfig 10.8.0.2 255.255.255.0,…", as the log
// shows it. See openvpn(8), "--push", and options.c of OpenVPN 2.6.
Result<TunnelFacts> parsePushReply(std::string_view reply);
Status checkTunnel(const TunnelFacts& facts, const std::vector<Prefix4>& ownSubnets);

// One line of OpenVPN's management interface (doc/management-notes.txt).
struct ManagementEvent {
  enum class Kind { hold, passwordWanted, pushReply, state, fatal, authFailed, log, other };
  Kind kind = Kind::other;
  std::string text;  // state: its name ("CONNECTED"); pushReply: the reply; log, fatal: the message
  std::optional<Ipv4> remote{};  // of the state CONNECTED: the server in use
  std::uint16_t port = 0;        // host order
  friend bool operator==(const ManagementEvent&, const ManagementEvent&) = default;
};
ManagementEvent parseManagementLine(std::string_view line);

// --- Tor ------------------------------------------------------------------------------------------

struct TorProgress {
  int percent = 0;      // 0 to 100
  std::string summary;  // "Connecting to a relay"
  friend bool operator==(const TorProgress&, const TorProgress&) = default;
};
// From an asynchronous "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=… SUMMARY="…"" or the answer to
// "GETINFO status/bootstrap-phase" (control-spec.txt 4.1.10).
std::optional<TorProgress> parseTorBootstrap(std::string_view line);

}  // namespace orrery
