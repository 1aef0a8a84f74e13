// What a service can do to those who listen to it, and to itself.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

void fill(char* text, std::size_t size, const char* pattern) {
  const std::size_t length = std::strlen(pattern);
  for (std::size_t i = 0; i < size; ++i) text[i] = pattern[i % length];
}

// Never reads what it is answered.
[[noreturn]] void pester(int fd, const char* pattern) {
  static char text[1 << 16];
  fill(text, sizeof text, pattern);
  for (;;) {
    if (::write(fd, text, sizeof text) < 0 && errno != EINTR && errno != EAGAIN) break;
  }
  for (;;) (void)::pause();
}

int connectTo(const char* path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? fd : -1;
}

int listenAt(const char* path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  (void)::unlink(path);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  (void)::listen(fd, 4);
  return fd;
}

}  // namespace

void flood() {
  const char* slash = std::strrchr(ownPath(), '/');
  const char* name = slash != nullptr ? slash + 1 : ownPath();
  if (std::strcmp(name, "openvpn") == 0) {
    // Each of these lines has an answer.
    const int fd = connectTo("/run/openvpn/socket");
    if (fd >= 0) pester(fd, ">HOLD:Waiting for hold release:0\n");
  }
  if (std::strcmp(name, "wireguard-go") == 0) {
    const int fd = ::accept(4, nullptr, nullptr);
    if (fd >= 0) pester(fd, "errno=0\n");
  }
  if (std::strcmp(name, "tor") == 0) {
    const int listener = listenAt("/run/tor/control/control");
    (void)!::write(STDOUT_FILENO, "Opened Control listener connection (ready)\n", 43);
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd >= 0) pester(fd, "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=7\r\n250 OK\r\n");
  }
  if (std::strcmp(name, "orrery-tproxy") == 0) pester(6, "{\"event\":\"ready\"}\n");
  if (std::strcmp(name, "busybox") == 0) {
    const int fd = ::open("/run/udhcpc/lease", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) pester(fd, "bound");  // never an end of the message
  }
  pester(STDOUT_FILENO, "evil\n");
}

Outcome bombMemory() {
  constexpr std::size_t kChunk = 1 << 20;
  for (int i = 0; i < 4096; ++i) {
    void* chunk = std::malloc(kChunk);
    if (chunk == nullptr) return ENOMEM;
    std::memset(chunk, 1, kChunk);
  }
  return kDone;
}

Outcome bombForks() {
  constexpr int kMany = 10'000;
  for (int i = 0; i < kMany; ++i) {
    const pid_t child = ::fork();
    if (child == 0)
      for (;;) (void)::pause();
    if (child < 0) return errno;
  }
  return kDone;
}

Outcome bombDescriptors() {
  constexpr int kMany = 200'000;
  for (int i = 0; i < kMany; ++i)
    if (::dup(STDOUT_FILENO) < 0) return errno;
  return kDone;
}

// As much as it may into one file, then as many files as it may.
Outcome bombDisk() {
  constexpr int kMany = 4096;  // MiB
  static char block[1 << 20];
  char path[300];
  (void)::signal(SIGXFSZ, SIG_IGN);
  (void)std::snprintf(path, sizeof path, "%s/big", writableDirectory());
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  for (int i = 0; i < kMany; ++i)
    if (::write(fd, block, sizeof block) < 0) return errno;
  return kDone;
}

// File after file; every other one is removed and held open, so that nobody finds it.
Outcome bombFiles() {
  constexpr int kMany = 4096;
  static char block[1 << 20];
  char path[300];
  for (int i = 0; i < kMany; ++i) {
    (void)std::snprintf(path, sizeof path, "%s/many%d", writableDirectory(), i);
    const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    if (i % 2 != 0) (void)::unlink(path);
    if (::write(fd, block, sizeof block) < 0) return errno;
    if (i % 2 == 0) (void)::close(fd);
  }
  return kDone;
}

// Work and no call: not every filter lets a process ask for the time that it has used.
Outcome bombCpu(int processes) {
  constexpr long kWork = 1L << 28;  // additions to memory: 80 ms and more
  pid_t child = -1;
  for (int i = 1; i < processes && child != 0; ++i)
    if (child = ::fork(); child < 0) return errno;
  for (volatile long i = 0; i < kWork / processes;) i = i + 1;
  if (child == 0) ::_exit(0);
  while (child > 0 && ::waitpid(-1, nullptr, 0) > 0) {
  }
  return kDone;
}

}  // namespace hostile
