#include "runtime/tproxy/dns_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/tproxy/dns_connection.h"

namespace orrery::tproxy {
namespace {

constexpr int kDatagramsPerTurn = 64;
constexpr int kAcceptsPerTurn = 16;

Ipv4 addressOf(const sockaddr_in& address) {
  return Ipv4{ntohl(address.sin_addr.s_addr)};
}

// The address that a datagram was sent to, from IP_RECVORIGDSTADDR (ip(7)).
std::optional<Ipv4> originalDestination(const msghdr& message) {
  for (const cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVORIGDSTADDR) continue;
    sockaddr_in address{};
    std::memcpy(&address, CMSG_DATA(c), sizeof(address));
    return addressOf(address);
  }
  return std::nullopt;
}

// Sends with `from` as the source address, which a transparent socket may choose freely.
bool sendFrom(int fd, Ipv4 from, sockaddr_in to, std::span<const std::uint8_t> bytes) {
  iovec data{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))] = {};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof(to);
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_spec_dst.s_addr = htonl(from.value);
  std::memcpy(CMSG_DATA(c), &info, sizeof(info));
  return ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

}  // namespace

DnsServer::DnsServer(const Limits& limits, NameTable& names, Counters& counters)
    : limits_(limits),
      names_(names),
      counters_(counters),
      limiter_(limits.dnsRate, limits.dnsBurst) {}

DnsServer::~DnsServer() = default;

Status DnsServer::start(Loop& loop, DnsSockets sockets) {
  loop_ = &loop;
  sockets_ = std::move(sockets);
  ORRERY_TRY(udpWatch_.start(loop, sockets_.udp.get(), Watch::Mode::read,
                             dispatch<DnsServer, &DnsServer::onUdp>, this));
  return tcpWatch_.start(loop, sockets_.tcp.get(), Watch::Mode::read,
                         dispatch<DnsServer, &DnsServer::onTcp>, this);
}

std::span<const std::uint8_t> DnsServer::answer(Ipv4 client,
                                                std::span<const std::uint8_t> message) {
  if (!limiter_.allow(client, coarseNow().count())) {
    return refuseQuery(message, counters_, reply_);
  }
  return answerQuery(message, names_, counters_, reply_);
}

void DnsServer::onUdp(Ready) {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    if (!serveDatagram()) return;
  }
}

// False when no datagram waits.
bool DnsServer::serveDatagram() {
  std::array<std::uint8_t, dns::kMaxQuery + 1> buffer{};  // one more, to notice longer ones
  alignas(cmsghdr) char control[256];
  sockaddr_in client{};
  iovec data{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = &client;
  message.msg_namelen = sizeof(client);
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t n = ::recvmsg(sockets_.udp.get(), &message, MSG_DONTWAIT);
  if (n < 0) return false;
  const auto asked = originalDestination(message);
  if (!asked) return true;
  const auto reply = answer(addressOf(client), {buffer.data(), static_cast<std::size_t>(n)});
  if (!reply.empty() && !sendFrom(sockets_.reply.get(), *asked, client, reply)) {
    counters_.count(DnsOutcome::sendFailed);
  }
  return true;
}

void DnsServer::onTcp(Ready) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_in source{};
    socklen_t size = sizeof(source);
    UniqueFd client(::accept4(sockets_.tcp.get(), reinterpret_cast<sockaddr*>(&source), &size,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) {
      // Out of descriptors: wait for a connection of ours to end, each does within seconds.
      if ((errno == EMFILE || errno == ENFILE) && !connections_.empty()) tcpWatch_.pause();
      return;
    }
    admit(std::move(client), addressOf(source));
  }
}

void DnsServer::admit(UniqueFd client, Ipv4 address) {
  const auto own = std::count_if(connections_.begin(), connections_.end(),
                                 [&](const auto& c) { return c->client() == address; });
  const std::size_t share = std::max<std::size_t>(limits_.dnsTcp / 4, 1);
  if (connections_.size() >= limits_.dnsTcp || static_cast<std::size_t>(own) >= share) {
    const linger hard{1, 0};
    (void)::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    ++counters_.dnsTcpRefused;
    return;
  }
  connections_.push_back(std::make_unique<DnsConnection>(*this, std::move(client), address));
  if (!connections_.back()->start(*loop_)) connections_.pop_back();
}

void DnsServer::closed(DnsConnection& connection) {
  std::erase_if(connections_, [&](const auto& c) { return c.get() == &connection; });
  tcpWatch_.resume();
}

}  // namespace orrery::tproxy
