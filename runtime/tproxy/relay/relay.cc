#include "runtime/tproxy/relay/relay.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "netns/addr/special.h"
#include "runtime/tproxy/relay/upstream.h"

namespace orrery::tproxy {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kAcceptRetry{100};

constexpr Prefix4 kPrivate[] = {
    {Ipv4{0x0a000000}, 8},   // RFC 1918
    {Ipv4{0x64400000}, 10},  // shared address space, RFC 6598
    {Ipv4{0xac100000}, 12},  // RFC 1918
    {Ipv4{0xc0a80000}, 16},  //
};

bool isShortage(int err) {
  return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

}  // namespace

bool isRefused(Ipv4 destination, const Prefix4& lan) {
  if (lan.contains(destination) || isNeverForwardedTo(destination)) return true;
  return std::any_of(std::begin(kPrivate), std::end(kPrivate),
                     [&](const Prefix4& p) { return p.contains(destination); });
}

Relay::Relay(Loop& loop, const Config& config, NameTable& names, Counters& counters,
             std::string token, Observer& observer)
    : loop_(loop),
      config_(config),
      names_(names),
      counters_(counters),
      token_(std::move(token)),
      observer_(observer),
      pipes_(config.limits.pipes) {}

Relay::~Relay() = default;

Status Relay::start(UniqueFd listener) {
  listener_ = std::move(listener);
  ORRERY_TRY(resumeTimer_.start(loop_, dispatch<Relay, &Relay::onResume>, this));
  ORRERY_TRY(retryTimer_.start(loop_, dispatch<Relay, &Relay::onRetry>, this));
  return acceptWatch_.start(loop_, listener_.get(), Watch::Mode::read,
                            dispatch<Relay, &Relay::onAccept>, this);
}

void Relay::onAccept(Ready) {
  for (int i = 0; i < kAcceptsPerTurn && !paused_; ++i) {
    if (flows_.size() >= config_.limits.connections) return pauseAccepting();
    if (!acceptOne()) return;
  }
}

// False when there is nothing more to accept now.
bool Relay::acceptOne() {
  if (!spare_) {
    auto made = upstreamSocket(config_.upstream);
    if (!made) {
      pauseAccepting();
      return false;
    }
    spare_ = std::move(*made);
  }
  sockaddr_in source{};
  socklen_t size = sizeof(source);
  UniqueFd client(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&source), &size,
                            SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) {
    const int err = errno;
    if (isShortage(err)) pauseAccepting();
    return err == ECONNABORTED;
  }
  ++counters_.accepted;
  sockaddr_in destination{};
  size = sizeof(destination);
  // With TPROXY the socket's own address is the one that the client asked for.
  if (::getsockname(client.get(), reinterpret_cast<sockaddr*>(&destination), &size) != 0) {
    refuse(std::move(client), End::noResources);
    return true;
  }
  admit(std::move(client), Ipv4{ntohl(source.sin_addr.s_addr)},
        Ipv4{ntohl(destination.sin_addr.s_addr)}, ntohs(destination.sin_port));
  return true;
}

void Relay::admit(UniqueFd client, Ipv4 source, Ipv4 destination, std::uint16_t port) {
  const auto already = perClient_.find(source.value);
  if (already != perClient_.end() && already->second.connections >= config_.limits.perClient) {
    refuse(std::move(client), End::refusedClientLimit);
    return tellLimit(source);
  }
  if (names_.contains(destination)) {
    const auto name = names_.nameOf(destination);
    if (!name) return refuse(std::move(client), End::refusedUnknownName);
    return startFlow(std::move(client), source, Target{std::string(*name), port}, destination);
  }
  if (isRefused(destination, config_.lan)) return refuse(std::move(client), End::refusedPrivate);
  startFlow(std::move(client), source, Target{destination, port}, std::nullopt);
}

void Relay::refuse(UniqueFd client, End reason) {
  const linger hard{1, 0};
  (void)::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  counters_.count(reason);
}

void Relay::tellLimit(Ipv4 client) {
  const auto now = coarseNow();
  if (now < nextNotice_) return;
  nextNotice_ = now + kLimitNotice;
  observer_.onClientLimit(client, counters_.of(End::refusedClientLimit));
}

std::optional<Credentials> Relay::credentialsFor(Ipv4 client) const {
  if (const auto* server = std::get_if<TcpUpstream>(&config_.upstream)) return server->credentials;
  if (!config_.isolation) return std::nullopt;
  return Credentials{toString(client) + "/" + epoch_, token_};
}

void Relay::startFlow(UniqueFd client, Ipv4 source, const Target& target,
                      std::optional<Ipv4> pinned) {
  ClientShare& share = perClient_[source.value];
  ++share.connections;
  auto flow = std::make_unique<Flow>(*this, share, std::move(client), std::move(spare_), source);
  Flow& started = *flow;
  started.index = flows_.size();
  flows_.push_back(std::move(flow));
  if (pinned) {
    names_.pin(*pinned);
    started.setPinnedName(*pinned);
  }
  started.start(target, credentialsFor(source));
}

void Relay::flowEnded(Flow& flow) {
  const auto client = perClient_.find(flow.clientAddress().value);
  if (flow.pinnedName()) names_.unpin(*flow.pinnedName());
  if (flow.waitsForResume) {
    std::erase(toResume_, &flow);
    --client->second.waiting;
  }
  const std::size_t index = flow.index;
  std::swap(flows_[index], flows_.back());
  flows_[index]->index = index;
  flows_.pop_back();
  if (--client->second.connections == 0) perClient_.erase(client);
  resumeAccepting();
}

std::size_t Relay::cutAll() {
  const std::size_t count = flows_.size();
  while (!flows_.empty()) flows_.back()->end(End::cut);
  return count;
}

void Relay::resumeLater(Flow& flow) {
  if (flow.waitsForResume) return;
  flow.waitsForResume = true;
  ++flow.share().waiting;
  toResume_.push_back(&flow);
  if (!resumeTimer_.armed()) resumeTimer_.arm(std::chrono::milliseconds(0));
}

void Relay::onResume(Ready) {
  // A flow may end, and so take itself out, or ask for another turn meanwhile.
  for (std::size_t turns = toResume_.size(); turns > 0 && !toResume_.empty(); --turns) {
    Flow* flow = toResume_.front();
    toResume_.erase(toResume_.begin());
    --flow->share().waiting;
    flow->proceed();
  }
}

void Relay::upstreamState(bool reachable, std::string_view problem) {
  const Reach now = reachable ? Reach::yes : Reach::no;
  if (reach_ == now) return;
  reach_ = now;
  observer_.onUpstream(reachable, problem);
}

void Relay::pauseAccepting() {
  if (paused_) return;
  paused_ = true;
  ++counters_.acceptPauses;
  acceptWatch_.pause();
  if (flows_.empty()) retryTimer_.arm(kAcceptRetry);
}

void Relay::resumeAccepting() {
  if (!paused_) return;
  paused_ = false;
  acceptWatch_.resume();
}

void Relay::onRetry(Ready) {
  resumeAccepting();
}

}  // namespace orrery::tproxy
