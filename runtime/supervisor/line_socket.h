// A local conversation by lines over a unix socket: tor's control port, openvpn's management.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/supervisor/loop.h"
#include "runtime/supervisor/output_gate.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// Connects to a socket that `uid` listens on, in a directory that may be `uid`'s own: a link is not
// followed (ECONNREFUSED), and another listener is refused (EACCES). Blocks only as connect(2)
// does.
Result<UniqueFd> connectTo(const std::string& path, uid_t uid);
// Listens; a stale socket is replaced. `mode` is the file's.
Result<UniqueFd> listenUnix(const std::string& path, mode_t mode);
// accept4(2); the peer must be `uid` by SO_PEERCRED, else EACCES.
Result<UniqueFd> acceptFrom(int listener, uid_t uid);

// A peer that sends more than kPerSecond is read from more slowly, and has to wait.
class LineSocket {
 public:
  static constexpr std::uint64_t kPerSecond = 256 << 10;  // bytes
  static constexpr std::uint64_t kAtOnce = 1 << 20;
  using OnLine = std::function<void(std::string_view)>;
  using OnClose = std::function<void()>;
  LineSocket() = default;
  Status start(event_base* base, UniqueFd fd, OnLine onLine, OnClose onClose);
  Status send(std::string_view text);
  void close();
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  Status watch();
  void readable();
  bool pause();

  event_base* base_ = nullptr;
  UniqueFd fd_;
  std::string buffer_;
  OnLine onLine_;
  OnClose onClose_;
  Budget budget_{kPerSecond, kAtOnce};
  ReadWatch watch_;
  Timer pauseTimer_;
};

}  // namespace orrery
