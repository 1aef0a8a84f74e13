// A local conversation by lines over a unix socket: tor's control port, openvpn's management.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/supervisor/loop.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// Connects to a socket that `uid` listens on, in a directory that may be `uid`'s own: a link is not
// followed (ECONNREFUSED), and another listener is refused (EACCES). Blocks only as connect(2) does.
Result<UniqueFd> connectTo(const std::string& path, uid_t uid);
// Listens; a stale socket is replaced. `mode` is the file's.
Result<UniqueFd> listenUnix(const std::string& path, mode_t mode);
// accept4(2); the peer must be `uid` by SO_PEERCRED, else EACCES.
Result<UniqueFd> acceptFrom(int listener, uid_t uid);

class LineSocket {
 public:
  using OnLine = std::function<void(std::string_view)>;
  using OnClose = std::function<void()>;
  LineSocket() = default;
  Status start(event_base* base, UniqueFd fd, OnLine onLine, OnClose onClose);
  Status send(std::string_view text);
  void close();
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  void readable();

  UniqueFd fd_;
  std::string buffer_;
  OnLine onLine_;
  OnClose onClose_;
  ReadWatch watch_;
};

}  // namespace orrery
