#include "fake_tor.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace orrery::tproxy::testing {
namespace {

bool readExactly(int fd, void* to, std::size_t size) {
  return ::recv(fd, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

bool readField(int fd, std::string& out) {
  unsigned char size = 0;
  if (!readExactly(fd, &size, 1)) return false;
  out.resize(size);
  return size == 0 || readExactly(fd, out.data(), size);
}

bool sendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void echo(int fd) {
  std::array<char, 65536> buffer;
  for (ssize_t n; (n = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
    if (!sendAll(fd, {buffer.data(), static_cast<std::size_t>(n)})) return;
  }
  ::shutdown(fd, SHUT_WR);
}

void sink(int fd) {
  std::array<char, 65536> buffer;
  std::uint64_t at = 0;
  bool good = true;
  for (ssize_t n; (n = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
    for (ssize_t i = 0; i < n; ++i) {
      good = good && buffer[static_cast<std::size_t>(i)] == patternByte(at++);
    }
  }
  sendAll(fd, good ? std::to_string(at) : "bad");
}

void source(int fd) {
  std::string chunk;
  for (std::uint64_t at = 0; at < kSourceBytes;) {
    chunk.resize(std::min<std::uint64_t>(65536, kSourceBytes - at));
    for (char& c : chunk) c = patternByte(at++);
    if (!sendAll(fd, chunk)) return;
  }
}

void http(int fd, const std::string& host) {
  std::string request;
  std::array<char, 4096> buffer;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return;
    request.append(buffer.data(), static_cast<std::size_t>(n));
  }
  const std::string page = "page of " + host + "\n";
  sendAll(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " +
                  std::to_string(page.size()) + "\r\n\r\n" + page);
}

}  // namespace

FakeTor::FakeTor(std::string path)
    : path_(std::move(path)), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), std::min(path_.size(), sizeof(address.sun_path) - 1));
  ::unlink(path_.c_str());
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_.get(), 64) != 0) {
    std::abort();
  }
  acceptor_ = std::thread([this] { acceptLoop(); });
}

void FakeTor::stop() {
  if (!listener_) return;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  listener_.reset();
}

std::vector<FakeTor::Seen> FakeTor::seen() {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void FakeTor::acceptLoop() {
  for (int fd; (fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    workers_.emplace_back([this, fd] {
      serve(fd);
      const std::lock_guard inner(mutex_);
      std::erase(open_, fd);
      ::close(fd);
    });
  }
}

bool FakeTor::handshake(int fd, Seen& who) {
  std::array<unsigned char, 4> head{};
  if (!readExactly(fd, head.data(), 3) || head[0] != 5 || head[1] != 1) return false;
  if (head[2] == 2) {
    if (!sendAll(fd, {"\5\2", 2}) || !readExactly(fd, head.data(), 1)) return false;
    if (!readField(fd, who.user) || !readField(fd, who.password)) return false;
    if (!sendAll(fd, {"\1\0", 2})) return false;
  } else if (!sendAll(fd, {"\5\0", 2})) {
    return false;
  }
  if (!readExactly(fd, head.data(), 4) || head[1] != 1) return false;
  if (head[3] == 3) {
    if (!readField(fd, who.host)) return false;
  } else {
    std::array<unsigned char, 4> a{};
    if (head[3] != 1 || !readExactly(fd, a.data(), 4)) return false;
    who.host = std::to_string(a[0]) + "." + std::to_string(a[1]) + "." + std::to_string(a[2]) +
               "." + std::to_string(a[3]);
  }
  std::array<unsigned char, 2> port{};
  if (!readExactly(fd, port.data(), 2)) return false;
  who.port = static_cast<std::uint16_t>(port[0] << 8 | port[1]);
  const std::lock_guard lock(mutex_);
  seen_.push_back(who);
  return true;
}

void FakeTor::serve(int fd) {
  Seen who;
  if (!handshake(fd, who)) return;
  if (who.port == kRefused) {
    sendAll(fd, {"\5\5\0\1\0\0\0\0\0\0", 10});
    return;
  }
  if (who.port == kGarbage) {
    sendAll(fd, "HTTP/1.0 400 Bad\r\n\r\n");
    return;
  }
  if (who.port == kSilent) {
    char byte = 0;
    (void)!::recv(fd, &byte, 1, 0);
    return;
  }
  // The reply and the first bytes in one piece: none may be lost.
  if (who.port == kBanner) {
    sendAll(fd, {"\5\0\0\1\0\0\0\0\0\0banner", 16});
    return echo(fd);
  }
  if (!sendAll(fd, {"\5\0\0\1\0\0\0\0\0\0", 10})) return;
  if (who.port == kEcho) echo(fd);
  if (who.port == kSink) sink(fd);
  if (who.port == kSource) source(fd);
  if (who.port == kHttp) http(fd, who.host);
}

}  // namespace orrery::tproxy::testing
