#include "runtime/tproxy/dns_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "runtime/tproxy/dns_server.h"

namespace orrery::tproxy {
namespace {

constexpr std::chrono::seconds kIdle{10};      // RFC 7766 §6.2.3: seconds
constexpr std::size_t kMaxQueued = 16 * 1024;  // bytes of answers before reading stops

}  // namespace

Status DnsConnection::start(Loop& loop) {
  ORRERY_TRY(timer_.start(loop, dispatch<DnsConnection, &DnsConnection::onTimer>, this));
  timer_.arm(kIdle);
  return watch_.start(loop, fd_.get(), Watch::Mode::edge,
                      dispatch<DnsConnection, &DnsConnection::onReady>, this);
}

void DnsConnection::onTimer(Ready) {
  server_.closed(*this);
}

void DnsConnection::onReady(Ready ready) {
  readable_ |= ready.readable();
  writable_ |= ready.writable();
  Turn next = Turn::again;
  while (next == Turn::again) next = turn();
  if (next == Turn::close) server_.closed(*this);
}

DnsConnection::Turn DnsConnection::turn() {
  if (!out_.empty() && flush() == Turn::close) return Turn::close;
  if (eof_) return out_.empty() ? Turn::close : Turn::wait;
  if (out_.size() >= kMaxQueued || !readable_) return Turn::wait;
  return receive();
}

DnsConnection::Turn DnsConnection::flush() {
  while (writable_ && !out_.empty()) {
    const ssize_t n = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      out_.erase(0, static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      writable_ = false;
    } else {
      return Turn::close;
    }
  }
  return Turn::again;
}

DnsConnection::Turn DnsConnection::receive() {
  const ssize_t n = ::recv(fd_.get(), in_.data() + inSize_, in_.size() - inSize_, 0);
  if (n < 0) {
    readable_ = false;
    return errno == EAGAIN ? Turn::wait : Turn::close;
  }
  if (n == 0) eof_ = true;
  inSize_ += static_cast<std::size_t>(n);
  return takeMessages() ? Turn::again : Turn::close;
}

// False if the client sends what is no DNS message.
bool DnsConnection::takeMessages() {
  std::size_t begin = 0;
  while (inSize_ - begin >= 2) {
    const std::size_t size = static_cast<std::size_t>(in_[begin]) << 8 | in_[begin + 1];
    if (size < dns::kHeaderSize || size > dns::kMaxQuery) return false;
    if (inSize_ - begin < 2 + size) break;
    const auto reply = server_.answer(client_, {in_.data() + begin + 2, size});
    if (reply.empty()) return false;
    out_ += static_cast<char>(reply.size() >> 8);
    out_ += static_cast<char>(reply.size() & 0xff);
    out_.append(reinterpret_cast<const char*>(reply.data()), reply.size());
    begin += 2 + size;
    timer_.arm(kIdle);
  }
  std::copy(in_.begin() + static_cast<std::ptrdiff_t>(begin),
            in_.begin() + static_cast<std::ptrdiff_t>(inSize_), in_.begin());
  inSize_ -= begin;
  return true;
}

}  // namespace orrery::tproxy
