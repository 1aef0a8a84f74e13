// The fastest SOCKS5 server there is: takes any request without a password, then
//   port 1    sends zero bytes without end, spliced from a pipe's reference to one page
//   port 9    throws away what comes (MSG_TRUNC: never copied)
//   port 7    keeps the connection open and does nothing
// One thread for each transfer, for few connections at a time; port 7 costs a descriptor alone.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

bool readExactly(int fd, unsigned char* to, std::size_t size) {
  return ::recv(fd, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

// The port that was asked for, -1 if the client speaks something else.
int handshake(int fd) {
  std::array<unsigned char, 262> in{};
  if (!readExactly(fd, in.data(), 2) || !readExactly(fd, in.data() + 2, in[1])) return -1;
  if (::send(fd, "\5\0", 2, MSG_NOSIGNAL) != 2) return -1;
  if (!readExactly(fd, in.data(), 10) || in[3] != 1) return -1;
  if (::send(fd, "\5\0\0\1\0\0\0\0\0\0", 10, MSG_NOSIGNAL) != 10) return -1;
  return in[8] << 8 | in[9];
}

void source(int fd) {
  std::vector<char> zeros(256 * 1024);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  ::fcntl(ends[1], F_SETPIPE_SZ, 256 * 1024);
  for (;;) {
    iovec data{zeros.data(), zeros.size()};
    ssize_t left = ::vmsplice(ends[1], &data, 1, 0);
    while (left > 0) {
      const ssize_t n =
          ::splice(ends[0], nullptr, fd, nullptr, static_cast<std::size_t>(left), SPLICE_F_MOVE);
      if (n <= 0) {
        ::close(ends[0]);
        ::close(ends[1]);
        return;
      }
      left -= n;
    }
  }
}

void serve(int fd) {
  const int port = handshake(fd);
  if (port == 7) return;  // left open
  if (port == 1) source(fd);
  if (port == 9) {
    while (::recv(fd, nullptr, 1 << 20, MSG_TRUNC) > 0) {
    }
  }
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ::signal(SIGPIPE, SIG_IGN);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[2])));
  ::inet_pton(AF_INET, argv[1], &here.sin_addr);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&here), sizeof(here)) != 0) return 1;
  if (::listen(listener, 4096) != 0) return 1;
  for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    std::thread(serve, fd).detach();
  }
  return 1;
}
