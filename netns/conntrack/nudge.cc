#include "netns/conntrack/nudge.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "netns/namespace/netns.h"

namespace orrery {
namespace {

constexpr std::size_t kTcpAt = 20;  // after the IPv4 head
constexpr std::uint8_t kTtl = 64;
constexpr std::uint8_t kAckFlag = 0x10;

void put16(NudgeSegment& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}
void put32(NudgeSegment& out, std::size_t at, std::uint32_t value) {
  put16(out, at, static_cast<std::uint16_t>(value >> 16));
  put16(out, at + 2, static_cast<std::uint16_t>(value));
}

// RFC 9293, section 3.1: over the addresses, the protocol, the length, and the TCP head.
std::uint16_t tcpChecksum(const NudgeSegment& segment) {
  std::uint32_t sum = IPPROTO_TCP + static_cast<std::uint32_t>(segment.size() - kTcpAt);
  for (std::size_t at = 12; at < segment.size(); at += 2)
    sum += static_cast<std::uint32_t>(segment[at] << 8 | segment[at + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace

NudgeSegment nudgeSegment(const TrackedFlow& flow) {
  NudgeSegment segment{};
  segment[0] = 0x45;
  put16(segment, 2, static_cast<std::uint16_t>(segment.size()));
  segment[8] = kTtl;
  segment[9] = IPPROTO_TCP;
  put32(segment, 12, flow.destination.value);
  put32(segment, 16, flow.source.value);
  put16(segment, kTcpAt, flow.destinationPort);
  put16(segment, kTcpAt + 2, flow.sourcePort);
  segment[kTcpAt + 12] = 0x50;  // five words
  segment[kTcpAt + 13] = kAckFlag;
  put16(segment, kTcpAt + 16, tcpChecksum(segment));
  return segment;
}

Result<std::size_t> nudge(const NetnsFd& netns, const std::vector<TrackedFlow>& flows) {
  ORRERY_TRY_ASSIGN(const UniqueFd fd, socketIn(netns, AF_INET, SOCK_RAW, IPPROTO_RAW));
  std::size_t sent = 0;
  for (const TrackedFlow& flow : flows) {
    if (flow.protocol != IPPROTO_TCP) continue;
    const NudgeSegment segment = nudgeSegment(flow);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(flow.source.value);
    const ssize_t rc = ::sendto(fd.get(), segment.data(), segment.size(), MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (rc == static_cast<ssize_t>(segment.size())) ++sent;
  }
  return sent;
}

}  // namespace orrery
