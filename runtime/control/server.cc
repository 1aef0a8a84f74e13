// A peer is one bufferevent. Its life: accepted and its uid checked → lines in, replies out →
// dropped (EOF, error, a broken limit). Dropping is in two steps, because it may be decided while
// the peer's own line is being handled or while its neighbours are being written to: first `gone`
// is set and reading stops, then sweep() frees it when no callback of ours is on the stack.
#include "runtime/control/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <list>

#include "runtime/control/paths.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

struct EventFree {
  void operator()(event* e) const noexcept { event_free(e); }
};
struct BuffereventFree {
  void operator()(bufferevent* b) const noexcept { bufferevent_free(b); }
};
using UniqueEvent = std::unique_ptr<event, EventFree>;
using UniqueBufferevent = std::unique_ptr<bufferevent, BuffereventFree>;

ControlReply refusal(std::string_view code, std::string message) {
  return {.ok = false, .result = {}, .code = std::string(code), .message = std::move(message)};
}

sockaddr_un addressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// A socket file whose server died refuses connections; one that accepts is in use.
Status removeStaleSocket(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return {};
  if (!S_ISSOCK(st.st_mode)) return sysError(EEXIST, "'{}' is there and is no socket", path);
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return sysError(errno, "open unix socket");
  const sockaddr_un address = addressOf(path);
  const int rc =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (rc == 0 || errno == EAGAIN) return sysError(EADDRINUSE, "control socket '{}'", path);
  return removeFile(path);
}

Result<UniqueFd> listenOn(const ControlServerOptions& options) {
  ORRERY_TRY(checkSocketPath(options.path));
  ORRERY_TRY(removeStaleSocket(options.path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sysError(errno, "open unix socket");
  // fchmod(2) on the socket before bind(2) bounds the file's mode from birth, so that there is no
  // moment in which the umask alone decides; the umask still takes bits away, hence the second
  // call.
  if (::fchmod(fd.get(), options.mode) != 0)
    return sysError(errno, "set mode of '{}'", options.path);
  const sockaddr_un address = addressOf(options.path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sysError(errno, "bind '{}'", options.path);
  if (::chmod(options.path.c_str(), options.mode) != 0)
    return sysError(errno, "set mode of '{}'", options.path);
  if ((options.owner != 0 || options.group != 0) &&
      ::lchown(options.path.c_str(), options.owner, options.group) != 0)
    return sysError(errno, "give '{}' to uid {}", options.path, options.owner);
  if (::listen(fd.get(), 16) != 0) return sysError(errno, "listen on '{}'", options.path);
  return fd;
}

}  // namespace

struct ControlServer::Impl {
  struct Peer {
    Impl* server = nullptr;
    UniqueBufferevent stream;
    ControlPeer credentials;
    bool subscribed = false;
    bool closing = false;  // ends once its output is written
    bool gone = false;
  };

  Impl(event_base* b, ControlServerOptions o, ControlHandler& h)
      : base(b), options(std::move(o)), handler(h) {}

  bool mayConnect(uid_t uid) const {
    return uid == 0 || uid == options.owner ||
           std::ranges::find(options.allowed, uid) != options.allowed.end();
  }
  bool mayAsk(const std::string& verb) const {
    return options.verbs.empty() || std::ranges::find(options.verbs, verb) != options.verbs.end();
  }

  void accept();
  void addPeer(UniqueFd fd, const ControlPeer& credentials);
  void read(Peer& peer);
  void handleLine(Peer& peer, std::string_view line);
  ControlReply answer(const ControlRequest& request, Peer& peer);
  void send(Peer& peer, std::string_view line);
  void endAfterOutput(Peer& peer);
  void drop(Peer& peer);
  void sweep();

  // Frees dropped peers when the outermost callback ends.
  class Scope {
   public:
    explicit Scope(Impl& impl) : impl_(impl) { ++impl_.depth; }
    ~Scope() {
      if (--impl_.depth == 0) impl_.sweep();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Impl& impl_;
  };

  event_base* base;
  ControlServerOptions options;
  ControlHandler& handler;
  UniqueFd listener;
  UniqueEvent acceptEvent;
  std::list<Peer> peers;
  int depth = 0;
};

void ControlServer::Impl::accept() {
  Scope scope(*this);
  for (;;) {
    UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;  // EAGAIN: all taken; anything else concerns that one peer
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) continue;
    ControlReply reply;
    if (!mayConnect(credentials.uid))
      reply = refusal(control_code::kNotPermitted,
                      fmt::format("uid {} may not control this router", credentials.uid));
    else if (peers.size() >= options.maxPeers)
      reply = refusal(control_code::kBusy, fmt::format("{} connections are open", peers.size()));
    if (reply.code.empty()) {
      addPeer(std::move(fd), {credentials.pid, credentials.uid, credentials.gid});
      continue;
    }
    // A fresh socket has room for one line; if not, closing says enough.
    const std::string line = toLine(reply);
    (void)::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

void ControlServer::Impl::addPeer(UniqueFd fd, const ControlPeer& credentials) {
  UniqueBufferevent stream(bufferevent_socket_new(base, fd.get(), BEV_OPT_CLOSE_ON_FREE));
  if (!stream) return;
  (void)fd.release();
  peers.push_back(Peer{this, std::move(stream), credentials});
  Peer& peer = peers.back();
  bufferevent_setcb(
      peer.stream.get(),
      [](bufferevent*, void* self) {
        auto& p = *static_cast<Peer*>(self);
        Scope scope(*p.server);
        p.server->read(p);
      },
      [](bufferevent*, void* self) {  // the output ran empty
        auto& p = *static_cast<Peer*>(self);
        Scope scope(*p.server);
        if (p.closing) p.server->drop(p);
      },
      [](bufferevent*, short, void* self) {  // EOF or an error
        auto& p = *static_cast<Peer*>(self);
        Scope scope(*p.server);
        p.server->drop(p);
      },
      &peer);
  bufferevent_setwatermark(peer.stream.get(), EV_READ, 0, kMaxControlLine);
  bufferevent_enable(peer.stream.get(), EV_READ | EV_WRITE);
}

void ControlServer::Impl::read(Peer& peer) {
  evbuffer* input = bufferevent_get_input(peer.stream.get());
  while (!peer.gone && !peer.closing) {
    const evbuffer_ptr end = evbuffer_search(input, "\n", 1, nullptr);
    if (end.pos < 0) break;
    std::string line(static_cast<std::size_t>(end.pos) + 1, '\0');
    evbuffer_remove(input, line.data(), line.size());
    line.pop_back();
    if (!line.empty()) handleLine(peer, line);
  }
  if (peer.gone || peer.closing || evbuffer_get_length(input) < kMaxControlLine) return;
  send(peer, toLine(refusal(control_code::kTooLarge,
                            fmt::format("a line has at most {} bytes", kMaxControlLine))));
  endAfterOutput(peer);
}

void ControlServer::Impl::handleLine(Peer& peer, std::string_view line) {
  auto request = parseRequest(line);
  const ControlReply reply =
      request ? answer(*request, peer) : refusal(control_code::kMalformed, request.error().message);
  std::string text = toLine(reply);
  if (text.size() > kMaxControlLine)
    text = toLine(refusal(control_code::kTooLarge, "the answer is longer than a line may be"));
  send(peer, text);
}

ControlReply ControlServer::Impl::answer(const ControlRequest& request, Peer& peer) {
  if (!mayAsk(request.verb))
    return refusal(
        control_code::kNotPermitted,
        fmt::format("'{}' is not possible here, but {}", request.verb, join(options.verbs, ", ")));
  // The stream begins with the state: subscribed before it is taken, so nothing falls in between.
  ControlRequest asked = request;
  if (request.verb == verb::kEvents) {
    peer.subscribed = true;
    asked.verb = verb::kStatus;
  }
  auto result = handler.handle(asked, peer.credentials);
  if (result) return {.ok = true, .result = std::move(result).value()};
  const int err = result.error().err;
  std::string_view code = control_code::kFailed;
  if (err == ENOSYS) code = control_code::kUnknownRequest;
  if (err == EPERM || err == EACCES) code = control_code::kNotPermitted;
  return refusal(code, std::move(result).error().message);
}

void ControlServer::Impl::send(Peer& peer, std::string_view line) {
  if (peer.gone) return;
  bufferevent_write(peer.stream.get(), line.data(), line.size());
  if (evbuffer_get_length(bufferevent_get_output(peer.stream.get())) > options.maxUnread)
    drop(peer);
}

void ControlServer::Impl::endAfterOutput(Peer& peer) {
  if (peer.gone) return;
  peer.closing = true;
  bufferevent_disable(peer.stream.get(), EV_READ);
}

void ControlServer::Impl::drop(Peer& peer) {
  peer.gone = true;
  bufferevent_disable(peer.stream.get(), EV_READ | EV_WRITE);
}

void ControlServer::Impl::sweep() {
  peers.remove_if([](const Peer& peer) { return peer.gone; });
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() {
  impl_->peers.clear();
  impl_->acceptEvent.reset();
  (void)::unlink(impl_->options.path.c_str());
}

Result<std::unique_ptr<ControlServer>> ControlServer::create(event_base* base,
                                                             ControlServerOptions options,
                                                             ControlHandler& handler) {
  ORRERY_TRY_ASSIGN(UniqueFd listener, listenOn(options));
  auto impl = std::make_unique<Impl>(base, std::move(options), handler);
  impl->listener = std::move(listener);
  impl->acceptEvent.reset(event_new(
      base, impl->listener.get(), EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* self) { static_cast<Impl*>(self)->accept(); }, impl.get()));
  if (!impl->acceptEvent || event_add(impl->acceptEvent.get(), nullptr) != 0)
    return error("control socket '{}': event loop refuses it", impl->options.path);
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

void ControlServer::publish(const Event& event) {
  Impl::Scope scope(*impl_);
  std::string line;
  for (Impl::Peer& peer : impl_->peers) {
    if (!peer.subscribed || peer.gone) continue;
    if (line.empty()) line = toJsonLine(event) + '\n';
    impl_->send(peer, line);
  }
}

std::size_t ControlServer::peerCount() const {
  return impl_->peers.size();
}

}  // namespace orrery
