#include "runtime/tproxy/relay/upstream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace orrery::tproxy {
namespace {

// A server that vanished answers nothing: sent bytes that are not acknowledged for so long end the
// connection, where TCP's own repetitions would take a quarter of an hour (tcp(7), tcp_retries2).
constexpr int kUnanswered = 30'000;  // ms

Result<Dial> connectTo(int fd, const sockaddr* address, socklen_t size) {
  if (::connect(fd, address, size) == 0) return Dial::connected;
  if (errno == EINPROGRESS) return Dial::underWay;
  if (errno == EAGAIN) return Dial::queueFull;  // only unix sockets say so, connect(2)
  return sysError(errno, "connect to the upstream");
}

}  // namespace

Result<UniqueFd> upstreamSocket(const Upstream& upstream) {
  const bool isUnix = std::holds_alternative<UnixUpstream>(upstream);
  UniqueFd fd(::socket(isUnix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sysError(errno, "make a socket for the upstream");
  if (!isUnix) {
    const int on = 1;
    (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnanswered, sizeof(kUnanswered));
  }
  return fd;
}

Result<Dial> dial(const Upstream& upstream, int fd) {
  if (const auto* local = std::get_if<UnixUpstream>(&upstream)) {
    sockaddr_un address{};
    if (local->path.size() >= sizeof(address.sun_path)) {
      return sysError(ENAMETOOLONG, "connect to '{}'", local->path);
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, local->path.data(), local->path.size());
    return connectTo(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  const auto& server = std::get<TcpUpstream>(upstream);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port);
  address.sin_addr.s_addr = htonl(server.address.value);
  return connectTo(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

Status connectResult(int fd) {
  int problem = 0;
  socklen_t size = sizeof(problem);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0) problem = errno;
  if (problem != 0) return sysError(problem, "connect to the upstream");
  return {};
}

}  // namespace orrery::tproxy
