// Sockets of a namespace by NETLINK_SOCK_DIAG (sock_diag(7)): who listens, who talks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netns/netlink/message.h"
#include "sandbox/base/fd.h"

namespace orrery {

enum class SocketProtocol { tcp, udp };
const char* toString(SocketProtocol protocol);

struct SocketInfo {
  SocketProtocol protocol = SocketProtocol::tcp;
  bool ipv6 = false;            // an AF_INET6 socket, which may serve IPv4 as well
  std::string localAddress;     // "10.0.0.1", "0.0.0.0", "::"
  std::uint16_t localPort = 0;  // host order
  std::string remoteAddress;
  std::uint16_t remotePort = 0;
  std::string state;  // "LISTEN", "ESTABLISHED", …; unconnected UDP: "UNCONNECTED"
  std::uint32_t uid = 0;
  std::uint32_t inode = 0;                        // as in /proc/PID/fd: socket:[inode]
  std::uint32_t interface = 0;                    // SO_BINDTODEVICE, 0: none
  std::uint32_t receiveQueue = 0, sendQueue = 0;  // bytes; a TCP listener: waiting, backlog
};
Result<SocketInfo> parseSocket(SocketProtocol protocol, Bytes payload);  // err EBADMSG

// TCP and UDP, IPv4 and IPv6, every state.
Result<std::vector<SocketInfo>> listSockets(const NetnsFd& netns);

}  // namespace orrery
