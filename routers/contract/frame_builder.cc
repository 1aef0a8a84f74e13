#include "routers/contract/frame_builder.h"

#include <algorithm>

namespace orrery::frame {
namespace {

void put16(Bytes& out, std::uint32_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value);
}
void put(Bytes& out, const Mac& mac) {
  out.insert(out.end(), mac.bytes.begin(), mac.bytes.end());
}
template <class Range>
void append(Bytes& out, const Range& more) {
  out.insert(out.end(), more.begin(), more.end());
}
void set16(Bytes& out, std::size_t at, std::uint32_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

// RFC 1071, over any number of parts that are even in length but the last.
std::uint32_t checksum(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

// Pseudo header (RFC 9293, 3.1) and segment.
std::uint32_t transportChecksum(const Ipv4Header& header, std::uint8_t protocol,
                                const Bytes& segment) {
  Bytes all;
  put32(all, header.source.value);
  put32(all, header.destination.value);
  put16(all, protocol);
  put16(all, static_cast<std::uint32_t>(segment.size()));
  append(all, segment);
  const std::uint32_t sum = checksum(all);
  return protocol == kUdp && sum == 0 ? 0xffff : sum;  // UDP: 0 says "none"
}

std::uint32_t transportChecksum(const Ipv6& source, const Ipv6& destination, std::uint8_t next,
                                const Bytes& segment) {
  Bytes all;
  append(all, source);
  append(all, destination);
  put32(all, static_cast<std::uint32_t>(segment.size()));
  put32(all, next);
  append(all, segment);
  return checksum(all);
}

Bytes udpHeader(std::uint16_t from, std::uint16_t to, std::string_view data) {
  Bytes out;
  put16(out, from);
  put16(out, to);
  put16(out, static_cast<std::uint32_t>(8 + data.size()));
  put16(out, 0);
  append(out, data);
  return out;
}

}  // namespace

Bytes ethernet(const Mac& destination, const Mac& source, std::uint16_t type,
               const Bytes& payload) {
  Bytes out;
  put(out, destination);
  put(out, source);
  put16(out, type);
  append(out, payload);
  return out;
}

Bytes tagged(const Mac& destination, const Mac& source, std::uint16_t vlan, std::uint16_t type,
             const Bytes& payload) {
  Bytes inner;
  put16(inner, vlan);
  put16(inner, type);
  append(inner, payload);
  return ethernet(destination, source, kVlan, inner);
}

Bytes arp(std::uint16_t operation, const Mac& senderMac, Ipv4 sender, const Mac& targetMac,
          Ipv4 target) {
  Bytes out;
  put16(out, 1);  // Ethernet
  put16(out, kIpv4);
  put16(out, 0x0604);  // lengths of the addresses
  put16(out, operation);
  put(out, senderMac);
  put32(out, sender.value);
  put(out, targetMac);
  put32(out, target.value);
  return out;
}

Bytes ipv4(const Ipv4Header& header, const Bytes& payload) {
  Bytes options = header.options;
  options.resize((options.size() + 3) / 4 * 4);
  const std::size_t length = 20 + options.size();
  Bytes out;
  out.push_back(static_cast<std::uint8_t>(0x40 | length / 4));
  out.push_back(0);
  put16(out, static_cast<std::uint32_t>(length + payload.size()));
  put16(out, header.id);
  put16(out, header.fragment);
  out.push_back(header.ttl);
  out.push_back(header.protocol);
  put16(out, 0);
  put32(out, header.source.value);
  put32(out, header.destination.value);
  append(out, options);
  set16(out, 10, checksum(out));
  append(out, payload);
  return out;
}

Bytes udpDatagram(const Ipv4Header& header, std::uint16_t from, std::uint16_t to,
                  std::string_view data) {
  Bytes segment = udpHeader(from, to, data);
  set16(segment, 6, transportChecksum(header, kUdp, segment));
  return segment;
}

Bytes udp(const Ipv4Header& header, std::uint16_t from, std::uint16_t to, std::string_view data) {
  Ipv4Header own = header;
  own.protocol = kUdp;
  return ipv4(own, udpDatagram(own, from, to, data));
}

Bytes tcp(const Ipv4Header& header, std::uint16_t from, std::uint16_t to, std::uint8_t flags,
          std::string_view data) {
  Ipv4Header own = header;
  own.protocol = kTcp;
  Bytes segment;
  put16(segment, from);
  put16(segment, to);
  put32(segment, 1000);  // sequence number
  put32(segment, (flags & kAck) != 0 ? 1 : 0);
  segment.push_back(0x50);  // five words of header
  segment.push_back(flags);
  put16(segment, 0xffff);
  put32(segment, 0);
  append(segment, data);
  set16(segment, 16, transportChecksum(own, kTcp, segment));
  return ipv4(own, segment);
}

Bytes icmp(const Ipv4Header& header, std::uint8_t type, std::uint8_t code, std::string_view data) {
  Ipv4Header own = header;
  own.protocol = kIcmp;
  Bytes message = {type, code, 0, 0, 0x4f, 0x52, 0, 1};  // identifier and sequence number
  append(message, data);
  set16(message, 2, checksum(message));
  return ipv4(own, message);
}

Bytes ipv6(const Ipv6& source, const Ipv6& destination, std::uint8_t next, const Bytes& payload,
           std::uint8_t hopLimit) {
  Bytes out;
  put32(out, 0x60000000);
  put16(out, static_cast<std::uint32_t>(payload.size()));
  out.push_back(next);
  out.push_back(hopLimit);
  append(out, source);
  append(out, destination);
  append(out, payload);
  return out;
}

Bytes udp6(const Ipv6& source, const Ipv6& destination, std::uint16_t from, std::uint16_t to,
           std::string_view data) {
  Bytes segment = udpHeader(from, to, data);
  set16(segment, 6, transportChecksum(source, destination, kUdp, segment));
  return ipv6(source, destination, kUdp, segment);
}

Bytes icmp6(const Ipv6& source, const Ipv6& destination, std::uint8_t type, const Bytes& body) {
  Bytes message = {type, 0, 0, 0};
  append(message, body);
  set16(message, 2, transportChecksum(source, destination, kIcmp6, message));
  return ipv6(source, destination, kIcmp6, message);
}

Bytes dnsQuery(std::uint16_t id, std::string_view name) {
  Bytes out;
  put16(out, id);
  put16(out, 0x0100);  // recursion desired
  for (const std::uint32_t count : {1u, 0u, 0u, 0u}) put16(out, count);
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<std::uint8_t>(std::min<std::size_t>(label.size(), 63)));
    append(out, label.substr(0, 63));
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  out.push_back(0);
  put32(out, 0x00010001);  // A, IN
  return out;
}

}  // namespace orrery::frame
