// The sockets that orrery-tproxy serves clients by, made by the supervisor inside the LAN namespace
// and handed over as descriptors: the proxy itself never sees that namespace.
//
// All are IP_TRANSPARENT and bound to 0.0.0.0, so that nft's `tproxy` can steer packets for any
// destination to them (Documentation/networking/tproxy.rst). The firewall sends
//   tcp dport 53 -> kDnsTcpPort, other tcp -> kTcpPort, udp dport 53 -> kDnsUdpPort.
// A datagram's answer must carry source port 53, which only a socket bound to that port can send:
// dnsReply is that socket. It receives nothing (a filter refuses every packet).
#pragma once

#include <cstdint>

#include "netns/namespace/netns.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

inline constexpr std::uint16_t kTcpPort = 9040;
inline constexpr std::uint16_t kDnsUdpPort = 5353;
inline constexpr std::uint16_t kDnsTcpPort = 5354;
inline constexpr std::uint16_t kDnsReplyPort = 53;

struct Listeners {
  UniqueFd tcp;       // --listen-tcp
  UniqueFd dnsUdp;    // --dns-udp
  UniqueFd dnsReply;  // --dns-reply
  UniqueFd dnsTcp;    // --dns-tcp
};

// Needs CAP_NET_ADMIN over the namespace (IP_TRANSPARENT), and CAP_NET_BIND_SERVICE there or
// net.ipv4.ip_unprivileged_port_start = 0 (port 53). The sockets are non-blocking and CLOEXEC.
Result<Listeners> openListeners(const NetnsFd& lan);

}  // namespace orrery::tproxy
