// What the netns system tests share. Every test makes namespaces of its own; nothing is done in the
// machine's.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <stdexcept>
#include <string>

#include "netns/addr/address.h"
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/netlink/rtnl.h"
#include "sandbox/base/file.h"

namespace orrery::test {

// The value, or a failed test with the error's text.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline IfName ifName(const std::string& text) {
  return must(IfName::parse(text));
}
inline Mac mac(const std::string& text) {
  return must(parseMac(text));
}
inline Ipv4 ip(const std::string& text) {
  return must(parseIpv4(text));
}
inline Prefix4 prefix(const std::string& text) {
  return must(parsePrefix4(text));
}

// A namespace with its socket.
struct Place {
  NetnsFd netns = must(createNetns());
  Rtnl rtnl = must(Rtnl::open(netns));

  Link link(const std::string& name) {
    auto found = must(findLink(rtnl, ifName(name)));
    if (!found) throw std::runtime_error("no link " + name);
    return *found;
  }
  bool has(const std::string& name) { return must(findLink(rtnl, ifName(name))).has_value(); }
};

// Else a bridge's frames pass the ip hooks as well, and a socket that tproxy has found there is
// lost on the way up. Only where the module is there: built in, or loaded.
inline void bridgeNetfilterOff(const NetnsFd& netns) {
  if (!pathExists("/proc/sys/net/bridge")) return;
  must(setSysctls(netns, {{"bridge/bridge-nf-call-iptables", "0"},
                          {"bridge/bridge-nf-call-ip6tables", "0"},
                          {"bridge/bridge-nf-call-arptables", "0"}}));
}

// A mount namespace whose /run is empty and ours alone. Before threads: once per test process.
inline void hideRun() {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") != 0)
    throw std::runtime_error("cannot hide /run; the system tests need root");
}

inline sockaddr_in endpoint(const std::string& address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(ip(address).value);
  return out;
}

// A UDP socket in a namespace, bound to the address.
class Udp {
 public:
  Udp(const NetnsFd& netns, const std::string& address, std::uint16_t port)
      : fd_(must(socketIn(netns, AF_INET, SOCK_DGRAM, 0))) {
    const sockaddr_in own = endpoint(address, port);
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
      throw std::runtime_error("bind " + address);
  }
  bool send(const std::string& text, const std::string& address, std::uint16_t port) {
    const sockaddr_in to = endpoint(address, port);
    return ::sendto(fd_.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                    sizeof to) == static_cast<ssize_t>(text.size());
  }
  // The next datagram; "" if none comes in the time.
  std::string receive(int milliseconds = 3000) {
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, milliseconds) != 1) return "";
    char buffer[256];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    return n < 0 ? "" : std::string(buffer, static_cast<std::size_t>(n));
  }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace orrery::test
