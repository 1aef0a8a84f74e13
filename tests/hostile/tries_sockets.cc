// Sockets of other families, other options of a socket, other people's sockets.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

template <int Family, int Type, int Protocol>
Outcome openSocket() {
  const int fd = ::socket(Family, Type | SOCK_CLOEXEC, Protocol);
  if (fd < 0) return errno;
  (void)::close(fd);
  return kDone;
}

// Whichever kind of IPv4 socket this service may have.
int anySocket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

template <class T>
Outcome option(int level, int name, const T& value) {
  const int fd = anySocket();
  if (fd < 0) return errno;
  const Outcome result = outcome(::setsockopt(fd, level, name, &value, sizeof value));
  (void)::close(fd);
  return result;
}
Outcome attachFilter() {
  sock_filter accept{BPF_RET | BPF_K, 0, 0, 0xffff};
  return option(SOL_SOCKET, SO_ATTACH_FILTER, sock_fprog{1, &accept});
}
Outcome attachBpf() {
  const Outcome result = option(SOL_SOCKET, SO_ATTACH_BPF, 0);
  return result == EINVAL ? kDone : result;  // descriptor 0 is no program
}
Outcome setMark() {
  return option(SOL_SOCKET, SO_MARK, 1);
}
Outcome setPriority() {
  return option(SOL_SOCKET, SO_PRIORITY, 7);
}
Outcome bufferForce() {
  return option(SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24);
}
Outcome transparent() {
  return option(IPPROTO_IP, IP_TRANSPARENT, 1);
}
Outcome iptablesReplace() {
  const Outcome result = option(IPPROTO_IP, 64 /* IPT_SO_SET_REPLACE */, 0);
  return result == EINVAL ? kDone : result;  // nothing was to be replaced
}
Outcome kernelTls() {
  return option(IPPROTO_TCP, TCP_ULP, "tls");
}
Outcome repair() {
  return option(IPPROTO_TCP, TCP_REPAIR, 1);
}

Outcome onInterface(unsigned long request, short flags = 0) {
  const int fd = anySocket();
  if (fd < 0) return errno;
  ifreq about{};
  std::strcpy(about.ifr_name, "lo");
  about.ifr_flags = flags;
  const Outcome result = outcome(::ioctl(fd, request, &about));
  (void)::close(fd);
  return result;
}
Outcome ioctlFlags() {
  return onInterface(SIOCSIFFLAGS, IFF_UP | IFF_PROMISC);
}
Outcome ioctlMtu() {
  const int fd = anySocket();
  if (fd < 0) return errno;
  ifreq about{};
  std::strcpy(about.ifr_name, "lo");
  about.ifr_mtu = 1280;
  return outcome(::ioctl(fd, SIOCSIFMTU, &about));
}
Outcome ioctlAddress() {
  const int fd = anySocket();
  if (fd < 0) return errno;
  ifreq about{};
  std::strcpy(about.ifr_name, "lo");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7f000001);
  std::memcpy(&about.ifr_addr, &address, sizeof address);
  return outcome(::ioctl(fd, SIOCSIFADDR, &about));
}
Outcome ioctlRoute() {
  const int fd = anySocket();
  if (fd < 0) return errno;
  rtentry route{};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0xc0000200);
  std::memcpy(&route.rt_dst, &address, sizeof address);
  address.sin_addr.s_addr = htonl(0xffffff00);
  std::memcpy(&route.rt_genmask, &address, sizeof address);
  route.rt_flags = RTF_UP;
  char device[] = "lo";
  route.rt_dev = device;
  return outcome(::ioctl(fd, SIOCADDRT, &route));
}

Outcome newTun() {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  ifreq about{};
  std::strcpy(about.ifr_name, "evil0");
  about.ifr_flags = IFF_TUN | IFF_NO_PI;
  return outcome(::ioctl(fd, TUNSETIFF, &about));
}
Outcome foreignTun() {  // that of a neighbour in the same namespace, if there is one
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  ifreq about{};
  std::strcpy(about.ifr_name, "theirs0");
  about.ifr_flags = IFF_TUN | IFF_NO_PI;
  return outcome(::ioctl(fd, TUNSETIFF, &about));
}
Outcome tunPersist() {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  ifreq about{};
  std::strcpy(about.ifr_name, "tun0");
  about.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd, TUNSETIFF, &about) != 0) return errno;
  return outcome(::ioctl(fd, TUNSETPERSIST, 1));
}
Outcome injectTerminal() {
  char key = 'x';
  Outcome last = EBADF;
  for (int fd = 0; fd <= lastNamedDescriptor(); ++fd) {
    if (::ioctl(fd, TIOCSTI, &key) == 0) return kDone;
    last = errno;
  }
  return last;
}
Outcome terminalMagic() {
  char what = 3;
  return outcome(::ioctl(0, TIOCLINUX, &what));
}

Outcome connectPath(const char* path, std::size_t abstract = 0) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path + abstract, path, sizeof address.sun_path - 2);
  const auto length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + abstract + std::strlen(path));
  const Outcome result =
      outcome(::connect(fd, reinterpret_cast<const sockaddr*>(&address), length));
  (void)::close(fd);
  return result;
}
// The control program or the test listens there.
Outcome abstractSocket() {
  return connectPath("hostile-test", 1);
}
Outcome controlSocket() {
  return connectPath("/run/orrery/network1/universe0/control");
}
Outcome ownControlSocket() {
  return connectPath("/run/orrery/network0/universe0/control");
}
Outcome portalSocket() {
  return connectPath("/run/multiverse/portals/universe0.router.network1/virtserial-sock");
}
Outcome busSocket() {
  return connectPath("/run/dbus/system_bus_socket");
}
Outcome logSocket() {
  return connectPath("/run/systemd/journal/stdout");
}

// Nothing that a client asks for has this address.
Outcome reachOutside(unsigned address) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(address);
  const Outcome result =
      outcome(::sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to));
  (void)::close(fd);
  return result;
}
Outcome reachNeighbour() {
  return reachOutside(0x0a090001);
}  // 10.9.0.1, network1's LAN

constexpr Try kTries[] = {
    {"packet-raw", openSocket<AF_PACKET, SOCK_RAW, 0>},
    {"packet-dgram", openSocket<AF_PACKET, SOCK_DGRAM, 0>},
    {"raw-icmp", openSocket<AF_INET, SOCK_RAW, IPPROTO_ICMP>},
    {"raw-tcp", openSocket<AF_INET, SOCK_RAW, IPPROTO_TCP>},
    {"raw-ip", openSocket<AF_INET, SOCK_RAW, IPPROTO_RAW>},
    {"ping-socket", openSocket<AF_INET, SOCK_DGRAM, IPPROTO_ICMP>},
    {"sctp", openSocket<AF_INET, SOCK_STREAM, IPPROTO_SCTP>},
    {"mptcp", openSocket<AF_INET, SOCK_STREAM, 262>},
    {"inet6", openSocket<AF_INET6, SOCK_STREAM, 0>},
    {"af-alg", openSocket<AF_ALG, SOCK_SEQPACKET, 0>},
    {"af-vsock", openSocket<AF_VSOCK, SOCK_STREAM, 0>},
    {"af-key", openSocket<AF_KEY, SOCK_RAW, 2>},
    {"af-xdp", openSocket<AF_XDP, SOCK_RAW, 0>},
    {"af-bluetooth", openSocket<AF_BLUETOOTH, SOCK_RAW, 1>},
    {"af-can", openSocket<AF_CAN, SOCK_RAW, 1>},
    {"af-tipc", openSocket<AF_TIPC, SOCK_RDM, 0>},
    {"af-rds", openSocket<AF_RDS, SOCK_SEQPACKET, 0>},
    {"unix-seqpacket", openSocket<AF_UNIX, SOCK_SEQPACKET, 0>},
    {"attach-filter", attachFilter},
    {"attach-bpf", attachBpf},
    {"so-mark", setMark},
    {"so-priority", setPriority},
    {"so-bufferforce", bufferForce},
    {"ip-transparent", transparent},
    {"iptables", iptablesReplace},
    {"kernel-tls", kernelTls},
    {"tcp-repair", repair},
    {"ioctl-flags", ioctlFlags},
    {"ioctl-mtu", ioctlMtu},
    {"ioctl-address", ioctlAddress},
    {"ioctl-route", ioctlRoute},
    {"tun-new", newTun},
    {"tun-foreign", foreignTun},
    {"tun-persist", tunPersist},
    {"tiocsti", injectTerminal},
    {"tioclinux", terminalMagic},
    {"abstract-socket", abstractSocket},
    {"control-socket", controlSocket},
    {"own-control-socket", ownControlSocket},
    {"portal-socket", portalSocket},
    {"bus-socket", busSocket},
    {"log-socket", logSocket},
    {"reach-neighbour", reachNeighbour},
};

}  // namespace

std::span<const Try> socketTries() {
  return kTries;
}

}  // namespace hostile
