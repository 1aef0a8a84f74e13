// Frames as bytes, checksums included: what probes and tests send. Pure.
//
// Formats as in judge.h, and IPv6 (RFC 8200) with ICMPv6 (RFC 4443). Ports are in host order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "netns/addr/ip.h"

namespace orrery::frame {

using Bytes = std::vector<std::uint8_t>;
using Ipv6 = std::array<std::uint8_t, 16>;

inline constexpr std::uint16_t kIpv4 = 0x0800, kArp = 0x0806, kVlan = 0x8100, kIpv6 = 0x86dd;
inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;  // TCP flags
inline constexpr Mac kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

Bytes ethernet(const Mac& destination, const Mac& source, std::uint16_t type, const Bytes& payload);
// The same with an 802.1Q tag in front of the type.
Bytes tagged(const Mac& destination, const Mac& source, std::uint16_t vlan, std::uint16_t type,
             const Bytes& payload);

// Operation 1: request, 2: reply.
Bytes arp(std::uint16_t operation, const Mac& senderMac, Ipv4 sender, const Mac& targetMac,
          Ipv4 target);

struct Ipv4Header {
  Ipv4 source, destination;
  std::uint8_t protocol = kUdp;
  std::uint16_t fragment = 0;  // flags and offset as on the wire: 0x2000 more, 0x4000 don't
  std::uint16_t id = 0;
  std::uint8_t ttl = 64;
  Bytes options{};  // padded with zeros to whole words
};
Bytes ipv4(const Ipv4Header& header, const Bytes& payload);
Bytes udp(const Ipv4Header& header, std::uint16_t from, std::uint16_t to, std::string_view data);
Bytes tcp(const Ipv4Header& header, std::uint16_t from, std::uint16_t to, std::uint8_t flags,
          std::string_view data = "");
Bytes icmp(const Ipv4Header& header, std::uint8_t type, std::uint8_t code, std::string_view data);
// The UDP datagram alone, for cutting it into fragments.
Bytes udpDatagram(const Ipv4Header& header, std::uint16_t from, std::uint16_t to,
                  std::string_view data);

Bytes ipv6(const Ipv6& source, const Ipv6& destination, std::uint8_t next, const Bytes& payload,
           std::uint8_t hopLimit = 255);
Bytes udp6(const Ipv6& source, const Ipv6& destination, std::uint16_t from, std::uint16_t to,
           std::string_view data);
Bytes icmp6(const Ipv6& source, const Ipv6& destination, std::uint8_t type, const Bytes& body);

// A query for an A record; `name` in dotted form, labels of at most 63 bytes.
Bytes dnsQuery(std::uint16_t id, std::string_view name);

}  // namespace orrery::frame
