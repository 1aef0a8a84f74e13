#include "tests/system/netns_nft/lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "tests/system/netns_fixture.h"

namespace orrery::lab {
namespace {

sockaddr_in endpoint(const std::string& address, std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(address.empty() ? 0 : parseIpv4(address).value().value);
  return at;
}

void bindTo(const UniqueFd& fd, const std::string& address, std::uint16_t port, bool transparent) {
  const int on = 1;
  EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  if (transparent) {
    EXPECT_EQ(::setsockopt(fd.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on), 0);
  }
  const sockaddr_in at = endpoint(address, port);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0)
      << address << ":" << port << " " << std::strerror(errno);
}

bool waitFor(int fd, short events, int milliseconds) {
  pollfd item{fd, events, 0};
  return ::poll(&item, 1, milliseconds) == 1;
}

int socketError(int fd) {
  int err = 0;
  socklen_t size = sizeof err;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
  return err;
}

}  // namespace

NetnsFd makeNetns() {
  auto netns = createNetns();
  EXPECT_TRUE(netns) << netns.error().message;
  EXPECT_TRUE(setSysctls(*netns, {{"ipv6/conf/all/disable_ipv6", "1"},
                                  {"ipv6/conf/default/disable_ipv6", "1"},
                                  {"ipv4/ip_forward", "0"}}));
  test::bridgeNetfilterOff(*netns);
  run(*netns, "ip link set lo up");
  return *std::move(netns);
}

NftSocket nftIn(const NetnsFd& netns) {
  auto socket = NftSocket::open(netns);
  EXPECT_TRUE(socket) << socket.error().message;
  return *std::move(socket);
}

Outcome tryRun(const NetnsFd& netns, const std::string& command) {
  Outcome outcome;
  const auto ran = inNetns(netns, [&]() -> Status {
    FILE* pipe = ::popen(("exec 2>&1; " + command).c_str(), "re");
    if (pipe == nullptr) return sysError(errno, "popen");
    char part[4096];
    std::size_t got = 0;
    while ((got = std::fread(part, 1, sizeof part, pipe)) > 0) outcome.output.append(part, got);
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return {};
  });
  EXPECT_TRUE(ran);
  return outcome;
}

std::string run(const NetnsFd& netns, const std::string& command) {
  Outcome outcome = tryRun(netns, command);
  EXPECT_EQ(outcome.status, 0) << command << "\n" << outcome.output;
  return std::move(outcome.output);
}

void connect(const NetnsFd& netns, const std::string& name, const NetnsFd& peer,
             const std::string& peerName) {
  run(netns, "ip link add " + name + " type veth peer name " + peerName + " netns /proc/" +
                 std::to_string(::getpid()) + "/fd/" + std::to_string(peer.get()));
  run(netns, "ip link set " + name + " up");
  run(peer, "ip link set " + peerName + " up");
}

UniqueFd tcpListener(const NetnsFd& netns, std::uint16_t port, bool transparent) {
  auto fd = socketIn(netns, AF_INET, SOCK_STREAM, 0);
  EXPECT_TRUE(fd);
  bindTo(*fd, "", port, transparent);
  EXPECT_EQ(::listen(fd->get(), 8), 0);
  return *std::move(fd);
}

int tcpConnect(const NetnsFd& netns, const std::string& address, std::uint16_t port,
               int milliseconds, const std::string& source) {
  auto fd = socketIn(netns, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  EXPECT_TRUE(fd);
  if (!source.empty()) bindTo(*fd, source, 0, false);
  const sockaddr_in at = endpoint(address, port);
  if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  return waitFor(fd->get(), POLLOUT, milliseconds) ? socketError(fd->get()) : ETIMEDOUT;
}

UniqueFd tcpConnection(const NetnsFd& netns, const std::string& address, std::uint16_t port) {
  auto fd = socketIn(netns, AF_INET, SOCK_STREAM, 0);
  EXPECT_TRUE(fd);
  const sockaddr_in at = endpoint(address, port);
  EXPECT_EQ(::connect(fd->get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0) << errno;
  return *std::move(fd);
}

int tcpError(const UniqueFd& socket, int milliseconds) {
  // POLLERR is told without asking, and not what the other side says.
  return waitFor(socket.get(), 0, milliseconds) ? socketError(socket.get()) : 0;
}

UniqueFd udpSocket(const NetnsFd& netns, const std::string& address, std::uint16_t port,
                   bool transparent) {
  auto fd = socketIn(netns, AF_INET, SOCK_DGRAM, 0);
  EXPECT_TRUE(fd);
  bindTo(*fd, address, port, transparent);
  return *std::move(fd);
}

void udpSend(const UniqueFd& socket, const std::string& address, std::uint16_t port,
             const std::string& text) {
  const sockaddr_in at = endpoint(address, port);
  // EPERM is how a policy of our own output chain shows: a result, not a fault of the test.
  (void)::sendto(socket.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&at),
                 sizeof at);
}

std::string udpReceive(const UniqueFd& socket, int milliseconds) {
  if (!waitFor(socket.get(), POLLIN, milliseconds)) return "";
  char text[512];
  sockaddr_in sender{};
  socklen_t size = sizeof sender;
  const ssize_t got = ::recvfrom(socket.get(), text, sizeof text, MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&sender), &size);
  if (got < 0) return "";
  return toString(Ipv4{ntohl(sender.sin_addr.s_addr)}) + " " +
         std::string(text, static_cast<std::size_t>(got));
}

UniqueFd connectedUdp(const NetnsFd& netns, const std::string& address, std::uint16_t port) {
  UniqueFd fd = udpSocket(netns, "", 0);
  const sockaddr_in at = endpoint(address, port);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  return fd;
}

std::string localAddress(const UniqueFd& socket) {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  return toString(Ipv4{ntohl(at.sin_addr.s_addr)}) + ":" + std::to_string(ntohs(at.sin_port));
}

int udpError(const UniqueFd& socket, int milliseconds) {
  return waitFor(socket.get(), POLLERR, milliseconds) ? socketError(socket.get()) : 0;
}

std::uint64_t counted(NftSocket& nft, const std::string& name) {
  const auto dump = dumpCountedRuleset(nft);
  EXPECT_TRUE(dump) << dump.error().message;
  std::uint64_t packets = 0;
  for (const auto& each : nft::namedCounts(*dump))
    if (each.name == name) packets += each.count.packets;
  return packets;
}

bool grows(NftSocket& nft, const std::string& name, std::uint64_t before) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    if (counted(nft, name) > before) return true;
    std::this_thread::yield();
  }
  return false;
}

}  // namespace orrery::lab
