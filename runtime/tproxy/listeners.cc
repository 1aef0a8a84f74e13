#include "runtime/tproxy/listeners.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>

namespace orrery::tproxy {
namespace {

constexpr int kBacklog = 4096;
constexpr int kKeepAliveSeconds = 600;
// What is not on the wire yet may wait in a socket (tcp(7)): all that a client costs us who takes
// nothing, beside its pipes. On a local link it is far more than is ever under way.
constexpr int kUnsentBytes = 256 * 1024;

Status setInt(int fd, int level, int option, int value, const char* what) {
  if (::setsockopt(fd, level, option, &value, sizeof(value)) != 0) {
    return sysError(errno, "set {}", what);
  }
  return {};
}

Result<UniqueFd> transparent(int type, std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sysError(errno, "make a socket");
  ORRERY_TRY(setInt(fd.get(), IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT"));
  // A restarted proxy must not wait for the old one's connections (TIME_WAIT).
  ORRERY_TRY(setInt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0) {
    return sysError(errno, "bind to port {}", port);
  }
  return fd;
}

// A client's link is local: a wire or two, no long queue to share. A host whose default is BBR
// would pace what we send there by a timer, which costs more than all the relaying itself
// (docs/PERFORMANCE.md). Reno is in every kernel and needs no privilege; without it we are only
// slower. The way to the upstream may be long: that one keeps the host's choice.
void setCongestionControl(int fd) {
  constexpr std::string_view kAlgorithm = "reno";
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kAlgorithm.data(), kAlgorithm.size());
}

// Accepted sockets inherit the options of the listening one, so that a connection costs no call.
Result<UniqueFd> listenOn(std::uint16_t port) {
  ORRERY_TRY_ASSIGN(UniqueFd fd, transparent(SOCK_STREAM, port));
  ORRERY_TRY(setInt(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"));
  ORRERY_TRY(setInt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"));
  ORRERY_TRY(setInt(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveSeconds, "TCP_KEEPIDLE"));
  ORRERY_TRY(setInt(fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytes, "TCP_NOTSENT_LOWAT"));
  setCongestionControl(fd.get());
  if (::listen(fd.get(), kBacklog) != 0) return sysError(errno, "listen on port {}", port);
  return fd;
}

Result<UniqueFd> receiver() {
  ORRERY_TRY_ASSIGN(UniqueFd fd, transparent(SOCK_DGRAM, kDnsUdpPort));
  ORRERY_TRY(setInt(fd.get(), IPPROTO_IP, IP_RECVORIGDSTADDR, 1, "IP_RECVORIGDSTADDR"));
  return fd;
}

Result<UniqueFd> sender() {
  ORRERY_TRY_ASSIGN(UniqueFd fd, transparent(SOCK_DGRAM, kDnsReplyPort));
  sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program{1, drop};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
    return sysError(errno, "set SO_ATTACH_FILTER");
  }
  return fd;
}

Result<Listeners> openHere() {
  Listeners made;
  ORRERY_TRY_ASSIGN(made.tcp, listenOn(kTcpPort));
  ORRERY_TRY_ASSIGN(made.dnsUdp, receiver());
  ORRERY_TRY_ASSIGN(made.dnsReply, sender());
  ORRERY_TRY_ASSIGN(made.dnsTcp, listenOn(kDnsTcpPort));
  return made;
}

}  // namespace

Result<Listeners> openListeners(const NetnsFd& lan) {
  auto made = inNetns(lan, openHere);
  if (!made) return wrap(std::move(made).error(), "transparent proxy's sockets");
  return made;
}

}  // namespace orrery::tproxy
