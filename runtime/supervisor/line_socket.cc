#include "runtime/supervisor/line_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "runtime/control/paths.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr std::size_t kChunk = 8192;        // bytes of one read
constexpr std::size_t kMaxLine = 64 << 10;  // bytes; a peer that sends more is cut off

Result<sockaddr_un> addressOf(const std::string& path) {
  ORRERY_TRY(checkSocketPath(path));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Result<UniqueFd> unixSocket(int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) return sysError(errno, "make a unix socket");
  return fd;
}

// Who connected, or who listened when we connected (unix(7), SO_PEERCRED).
Status requirePeer(int socket, uid_t uid) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return sysError(errno, "ask who the peer is");
  if (peer.uid != uid) return sysError(EACCES, "the peer is user {}, not {}", peer.uid, uid);
  return {};
}

}  // namespace

Result<UniqueFd> connectTo(const std::string& path, uid_t uid) {
  // By descriptor, so that what was looked at is what is connected to.
  ORRERY_TRY_ASSIGN(const UniqueFd place, openFile(path, O_PATH | O_NOFOLLOW));
  ORRERY_TRY_ASSIGN(const sockaddr_un address,
                    addressOf(fmt::format("/proc/self/fd/{}", place.get())));
  ORRERY_TRY_ASSIGN(UniqueFd fd, unixSocket(0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sysError(errno, "connect to '{}'", path);
  ORRERY_TRY(requirePeer(fd.get(), uid));
  return fd;
}

Result<UniqueFd> listenUnix(const std::string& path, mode_t mode) {
  ORRERY_TRY_ASSIGN(const sockaddr_un address, addressOf(path));
  ORRERY_TRY(removeFile(path));
  ORRERY_TRY_ASSIGN(UniqueFd fd, unixSocket(SOCK_NONBLOCK));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sysError(errno, "bind '{}'", path);
  if (::chmod(path.c_str(), mode) != 0) return sysError(errno, "set mode of '{}'", path);
  if (::listen(fd.get(), 4) != 0) return sysError(errno, "listen on '{}'", path);
  return fd;
}

Result<UniqueFd> acceptFrom(int listener, uid_t uid) {
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) return sysError(errno, "accept");
  ORRERY_TRY(requirePeer(fd.get(), uid));
  return fd;
}

Status LineSocket::start(event_base* base, UniqueFd fd, OnLine onLine, OnClose onClose) {
  base_ = base;
  fd_ = std::move(fd);
  buffer_.clear();
  onLine_ = std::move(onLine);
  onClose_ = std::move(onClose);
  return watch();
}

Status LineSocket::watch() {
  ORRERY_TRY_ASSIGN(watch_, ReadWatch::start(base_, fd_.get(), [this] { readable(); }));
  return {};
}

// Whether it has said too much of late.
bool LineSocket::pause() {
  const auto now = std::chrono::steady_clock::now();
  if (budget_.left(now) >= kChunk) return false;
  watch_.stop();
  const Status later =
      pauseTimer_.start(base_, budget_.until(kPerSecond / 4, now), [this] { (void)watch(); });
  if (!later) (void)watch();  // never heard again is worse than heard too often
  return true;
}

Status LineSocket::send(std::string_view text) {
  while (!text.empty()) {
    // A peer that asks and asks and reads no answer must not stop us (FloodsStopNobody).
    const ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int err = errno;
      if (err == EAGAIN) close();  // half a message is no message
      return sysError(err, "send");
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

void LineSocket::close() {
  watch_.stop();
  pauseTimer_.stop();
  fd_.reset();
  buffer_.clear();
}

void LineSocket::readable() {
  if (pause()) return;
  std::array<char, kChunk> chunk{};
  const ssize_t got = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) {
    budget_.take(static_cast<std::uint64_t>(got));
    buffer_.append(chunk.data(), static_cast<std::size_t>(got));
  }
  std::size_t end = 0;
  while (fd_ && (end = buffer_.find('\n')) != std::string::npos) {
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    onLine_(line);
  }
  if (!fd_) return;
  if (got > 0 && buffer_.size() <= kMaxLine) return;
  const OnClose closed = onClose_;
  close();
  closed();
}

}  // namespace orrery
