// The table [router.NAME.client_limits], read and written: one list of its numbers for all.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "routers/spec/field_reader.h"
#include "routers/spec/router_spec.h"

namespace orrery {

struct ClientLimitField {
  const char* key;
  std::uint32_t ClientLimits::*value;
  std::uint32_t most;
};

// A walk over more connections than this would itself be what a flood costs the others.
inline constexpr std::uint32_t kMostConnections = 65536;
inline constexpr std::uint32_t kMostRate = 1'000'000;  // a second

inline constexpr std::array kClientLimitFields = {
    ClientLimitField{"connections", &ClientLimits::connections, kMostConnections},
    ClientLimitField{"new_connections", &ClientLimits::newConnections, kMostRate},
    ClientLimitField{"tunnel_packets", &ClientLimits::tunnelPackets, 100 * kMostRate},
    ClientLimitField{"dns_queries", &ClientLimits::dnsQueries, kMostRate},
    ClientLimitField{"arp_frames", &ClientLimits::arpFrames, kMostRate},
    ClientLimitField{"dhcp_frames", &ClientLimits::dhcpFrames, kMostRate},
    ClientLimitField{"broadcasts", &ClientLimits::broadcasts, kMostRate},
    ClientLimitField{"proxied_connections", &ClientLimits::proxiedConnections, 16384},
};

// Reports what is wrong into `reporter`.
ClientLimits readClientLimits(const Node& table, const std::string& title, Reporter& reporter);
// The lines of the table, or nothing where all is as by default.
std::string clientLimitsText(const std::string& router, const ClientLimits& limits);

}  // namespace orrery
