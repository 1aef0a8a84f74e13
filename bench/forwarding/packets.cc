// bench_packets ADDRESS PORT SECONDS SIZE: sends UDP datagrams of SIZE bytes as fast as the path
// takes them, and prints how many and in what time. Many datagrams per system call, so that what is
// measured is the path; what has passed it is counted on the far side's link.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kMaxSize = 1472;

double now() {
  timespec t{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

int connectTo(const char* address, const char* port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  if (::inet_pton(AF_INET, address, &to.sin_addr) != 1) return -1;
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return -1;
  return fd;
}

int send(int fd, double seconds, std::size_t size) {
  static std::array<char, kMaxSize> data;
  iovec part{data.data(), size};
  std::array<mmsghdr, kBatch> messages{};
  for (mmsghdr& message : messages) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  std::uint64_t sent = 0;
  const double begin = now();
  double end = begin;
  while ((end = now()) - begin < seconds) {
    const int n = ::sendmmsg(fd, messages.data(), kBatch, 0);
    if (n > 0) sent += static_cast<std::uint64_t>(n);
    if (n < 0 && errno != ENOBUFS) return std::perror("sendmmsg"), 1;
  }
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(sent), end - begin);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto size = argc == 5 ? static_cast<std::size_t>(std::atoi(argv[4])) : 0;
  if (size == 0 || size > kMaxSize) {
    std::fputs("usage: bench_packets ADDRESS PORT SECONDS SIZE\n", stderr);
    return 2;
  }
  const int fd = connectTo(argv[1], argv[2]);
  if (fd < 0) return std::perror("connect"), 1;
  return send(fd, std::atof(argv[3]), size);
}
