#include "runtime/tproxy/relay/flow.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "runtime/tproxy/relay/upstream.h"

namespace orrery::tproxy {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kChunk = 256 * kKiB;       // bytes asked of one splice: a pipe's size
constexpr std::size_t kBudget = 1024 * kKiB;     // bytes of one direction before others have a turn
constexpr std::size_t kLeastBudget = 32 * kKiB;  // however many flows of the client share that
constexpr std::size_t kCopied = 16 * kKiB;       // bytes of one copy, where there is no pipe
constexpr milliseconds kQueueFullRetry{20};
constexpr milliseconds kTimerGrain{
    1000};  // idle times are rounded up, so that flows share wake-ups

bool wouldBlock(int err) {
  return err == EAGAIN || err == EWOULDBLOCK;
}

bool hasFailed(int fd) {
  int problem = 0;
  socklen_t size = sizeof(problem);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0 || problem != 0;
}

void resetOnClose(int fd) {
  const linger hard{1, 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

}  // namespace

Flow::Flow(FlowHost& host, ClientShare& share, UniqueFd client, UniqueFd upstream,
           Ipv4 clientAddress)
    : host_(host), share_(share), clientAddress_(clientAddress) {
  client_.fd = std::move(client);
  upstream_.fd = std::move(upstream);
  client_.failure = End::clientReset;
  upstream_.failure = End::upstreamReset;
  up_.bytes = &host.counters().bytesUp;
  down_.bytes = &host.counters().bytesDown;
}

Flow::~Flow() {
  for (Direction* direction : {&up_, &down_}) {
    if (direction->pipe) returnPipe(*direction);
  }
  client_.watch.stop();
  upstream_.watch.stop();
}

void Flow::end(End reason) {
  if (reason != End::finished) {
    resetOnClose(client_.fd.get());
    resetOnClose(upstream_.fd.get());
  }
  host_.counters().count(reason);
  host_.flowEnded(*this);
}

void Flow::start(const Target& target, const std::optional<Credentials>& credentials) {
  handshake_ = std::make_unique<Socks5Handshake>(target, credentials);
  if (!timer_.start(host_.loop(), dispatch<Flow, &Flow::onTimer>, this) ||
      !client_.watch.start(host_.loop(), client_.fd.get(), Watch::Mode::edge,
                           dispatch<Flow, &Flow::onClient>, this)) {
    return end(End::noResources);
  }
  timer_.arm(host_.config().limits.handshake);
  dialUpstream();
}

void Flow::dialUpstream() {
  const auto dialled = dial(host_.config().upstream, upstream_.fd.get());
  if (!dialled) {
    host_.upstreamState(false, dialled.error().message);
    return end(End::upstreamUnreachable);
  }
  if (*dialled == Dial::queueFull) {
    if (!retry_.start(host_.loop(), dispatch<Flow, &Flow::onRetry>, this)) {
      return end(End::noResources);
    }
    return retry_.arm(kQueueFullRetry);
  }
  if (!upstream_.watch.start(host_.loop(), upstream_.fd.get(), Watch::Mode::edge,
                             dispatch<Flow, &Flow::onUpstream>, this)) {
    return end(End::noResources);
  }
  if (*dialled == Dial::connected) connected();
}

void Flow::onRetry(Ready) {
  retry_.stop();
  dialUpstream();
}

void Flow::connected() {
  phase_ = Phase::handshake;
  upstream_.writable = true;
  host_.upstreamState(true, {});
  shakeHands();
}

void Flow::onClient(Ready ready) {
  client_.readable |= ready.readable();
  client_.writable |= ready.writable();
  // Where nothing is read from the client, its failure would go unseen, and a client that gives up
  // must not keep a stream of the upstream busy. Its end of input alone is no reason: it may have
  // sent all it has to say.
  const bool deaf = phase_ != Phase::relaying || up_.eof || up_.inPipe > 0;
  if (deaf && hasFailed(client_.fd.get())) return end(End::clientReset);
  if (phase_ == Phase::relaying) relay();
}

void Flow::onUpstream(Ready ready) {
  upstream_.readable |= ready.readable();
  upstream_.writable |= ready.writable();
  switch (phase_) {
    case Phase::dialling:
      if (Status made = connectResult(upstream_.fd.get()); !made) {
        host_.upstreamState(false, made.error().message);
        return end(End::upstreamUnreachable);
      }
      return connected();
    case Phase::handshake:
      return shakeHands();
    case Phase::relaying: {
      const bool deaf = down_.eof || down_.inPipe > 0;
      if (deaf && hasFailed(upstream_.fd.get())) return end(End::upstreamReset);
      return relay();
    }
  }
}

void Flow::proceed() {
  waitsForResume = false;
  if (phase_ == Phase::relaying) relay();
}

// Ends the flow and answers false when the upstream fails.
bool Flow::sendHandshake() {
  while (upstream_.writable && !handshake_->output().empty()) {
    const auto bytes = handshake_->output();
    const ssize_t n = ::send(upstream_.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      handshake_->sent(static_cast<std::size_t>(n));
    } else if (wouldBlock(errno)) {
      upstream_.writable = false;
    } else {
      end(End::upstreamReset);
      return false;
    }
  }
  return true;
}

bool Flow::readHandshake() {
  std::array<std::uint8_t, 262> buffer{};
  while (upstream_.readable && handshake_->wanted() > 0) {
    const ssize_t n = ::recv(upstream_.fd.get(), buffer.data(), handshake_->wanted(), 0);
    if (n > 0) {
      handshake_->feed({buffer.data(), static_cast<std::size_t>(n)});
      if (!sendHandshake()) return false;
    } else if (n < 0 && wouldBlock(errno)) {
      upstream_.readable = false;
    } else {
      end(n == 0 ? End::socksProtocol : End::upstreamReset);
      return false;
    }
  }
  return true;
}

void Flow::shakeHands() {
  if (!sendHandshake() || !readHandshake()) return;
  switch (handshake_->state()) {
    case Socks5Handshake::State::running:
      return;
    case Socks5Handshake::State::protocolError:
      return end(End::socksProtocol);
    case Socks5Handshake::State::rejected: {
      auto& replies = host_.counters().socksReplies;
      ++replies[std::min<std::size_t>(handshake_->replyCode(), replies.size() - 1)];
      return end(End::socksRejected);
    }
    case Socks5Handshake::State::done:
      break;
  }
  handshake_.reset();
  phase_ = Phase::relaying;
  ++host_.counters().established;
  lastActive_ = coarseNow();
  timer_.disarm();
  armIdle(host_.config().limits.idle);
  relay();
}

bool Flow::takePipe(Direction& direction) {
  if (share_.pipes >= host_.config().limits.pipesPerClient) return false;
  direction.pipe = host_.pipes().take();
  if (!direction.pipe) return false;
  ++share_.pipes;
  return true;
}

void Flow::returnPipe(Direction& direction) {
  --share_.pipes;
  if (direction.inPipe == 0) {
    host_.pipes().give(std::move(direction.pipe));
  } else {
    host_.pipes().discard(std::move(direction.pipe));
  }
}

std::size_t Flow::budget() const {
  return std::max(kBudget / (std::size_t{share_.waiting} + 1), kLeastBudget);
}

void Flow::armIdle(milliseconds left) {
  if (host_.config().limits.idle.count() == 0) return;
  const auto now = coarseNow();
  const auto at = (now + left + kTimerGrain) / kTimerGrain * kTimerGrain;
  timer_.arm(at - now);
}

void Flow::onTimer(Ready) {
  if (phase_ != Phase::relaying) return end(End::handshakeTimeout);
  const auto quiet = coarseNow() - lastActive_;
  const milliseconds idle = host_.config().limits.idle;
  if (quiet >= idle) return end(End::idle);
  armIdle(idle - quiet);
}

void Flow::relay() {
  const Step up = pump(up_, client_, upstream_);
  if (up == Step::failed) return end(failure_);
  const Step down = pump(down_, upstream_, client_);
  if (down == Step::failed) return end(failure_);
  if (up_.shut && down_.shut) return end(End::finished);
  if (up == Step::more || down == Step::more) host_.resumeLater(*this);
}

Flow::Step Flow::failed(const Side& side) {
  failure_ = side.failure;
  return Step::failed;
}

Flow::Step Flow::fill(Direction& direction, Side& from) {
  const ssize_t n = ::splice(from.fd.get(), nullptr, direction.pipe.write.get(), nullptr,
                             std::min(kChunk, budget()), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    direction.inPipe = static_cast<std::size_t>(n);
  } else if (n == 0) {
    direction.eof = true;
  } else if (wouldBlock(errno)) {
    from.readable = false;  // the pipe is empty, so it is the socket that has nothing
    return Step::blocked;
  } else {
    return failed(from);
  }
  return Step::more;
}

Flow::Step Flow::drain(Direction& direction, Side& to) {
  const ssize_t n = ::splice(direction.pipe.read.get(), nullptr, to.fd.get(), nullptr,
                             direction.inPipe, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n >= 0) {
    direction.inPipe -= static_cast<std::size_t>(n);
    *direction.bytes += static_cast<std::uint64_t>(n);
    return Step::more;
  }
  if (wouldBlock(errno)) {
    to.writable = false;
    return Step::blocked;
  }
  return failed(to);
}

// Peeks, sends, and takes from the socket just what was sent.
Flow::Step Flow::copy(Direction& direction, Side& from, Side& to) {
  std::array<char, kCopied> buffer;  // NOLINT(*-pro-type-member-init): recv fills what is used
  const ssize_t seen = ::recv(from.fd.get(), buffer.data(), buffer.size(), MSG_PEEK);
  if (seen == 0) {
    direction.eof = true;
    return Step::more;
  }
  if (seen < 0 && wouldBlock(errno)) {
    from.readable = false;
    return Step::blocked;
  }
  if (seen < 0) {
    return failed(from);
  }
  const ssize_t n =
      ::send(to.fd.get(), buffer.data(), static_cast<std::size_t>(seen), MSG_NOSIGNAL);
  if (n < 0 && wouldBlock(errno)) {
    to.writable = false;
    return Step::blocked;
  }
  if (n < 0 || ::recv(from.fd.get(), buffer.data(), static_cast<std::size_t>(n), 0) != n) {
    return failed(n < 0 ? to : from);
  }
  ++host_.counters().copies;
  *direction.bytes += static_cast<std::uint64_t>(n);
  return Step::more;
}

Flow::Step Flow::pump(Direction& direction, Side& from, Side& to) {
  const std::uint64_t before = *direction.bytes;
  Step step = Step::more;
  while (step == Step::more && !direction.shut) {
    if (direction.inPipe > 0) {
      step = to.writable ? drain(direction, to) : Step::blocked;
    } else if (direction.eof) {
      (void)::shutdown(to.fd.get(), SHUT_WR);
      direction.shut = true;
    } else if (!from.readable) {
      step = Step::blocked;
    } else if (!direction.pipe && !takePipe(direction)) {
      step = to.writable ? copy(direction, from, to) : Step::blocked;
    } else {
      step = fill(direction, from);
    }
    if (*direction.bytes - before >= budget()) break;
  }
  if (*direction.bytes != before) lastActive_ = coarseNow();
  if (direction.pipe && direction.inPipe == 0) returnPipe(direction);
  return direction.shut && step == Step::more ? Step::blocked : step;
}

}  // namespace orrery::tproxy
