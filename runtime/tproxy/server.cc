#include "runtime/tproxy/server.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace orrery::tproxy {
namespace {

struct Secrets {
  std::uint32_t firstName = 0;
  std::string token;
};

Result<Secrets> drawSecrets() {
  std::array<unsigned char, 4 + 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return sysError(errno, "draw random bytes");
  }
  Secrets secrets;
  std::memcpy(&secrets.firstName, bytes.data(), 4);
  for (std::size_t i = 4; i < bytes.size(); ++i) {
    constexpr char kHex[] = "0123456789abcdef";
    secrets.token += kHex[bytes[i] >> 4];
    secrets.token += kHex[bytes[i] & 0x0f];
  }
  return secrets;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::create(Config config, ServerSockets sockets) {
  ORRERY_TRY_ASSIGN(Loop loop, Loop::create());
  ORRERY_TRY_ASSIGN(Secrets secrets, drawSecrets());
  std::unique_ptr<Server> server(new Server(std::move(config), std::move(loop),
                                            std::move(sockets.control), secrets.firstName,
                                            std::move(secrets.token)));
  ORRERY_TRY(server->start(std::move(sockets)));
  return server;
}

Server::Server(Config config, Loop loop, UniqueFd control, std::uint32_t firstName,
               std::string token)
    : config_(std::move(config)),
      loop_(std::move(loop)),
      names_(config_.names, config_.limits.names, firstName),
      relay_(loop_, config_, names_, counters_, std::move(token), *this),
      dns_(config_.limits, names_, counters_),
      control_(std::move(control), *this) {}

Status Server::start(ServerSockets sockets) {
  ORRERY_TRY(relay_.start(std::move(sockets.tcp)));
  ORRERY_TRY(dns_.start(loop_, std::move(sockets.dns)));
  ORRERY_TRY(control_.start(loop_));
  control_.send(readyLine());
  return {};
}

Status Server::run() {
  return loop_.run();
}

std::string Server::onCommand(const Command& command) {
  if (std::holds_alternative<StatsCommand>(command)) {
    return statsLine(counters_, relay_.open(), names_.size());
  }
  if (const auto* epoch = std::get_if<EpochCommand>(&command)) {
    relay_.setEpoch(epoch->epoch);
    return okLine();
  }
  return cutLine(relay_.cutAll());
}

void Server::onControlClosed() {
  loop_.stop();
}

void Server::onUpstream(bool reachable, std::string_view problem) {
  control_.send(upstreamLine(reachable, problem));
}

void Server::onClientLimit(Ipv4 client, std::uint64_t refused) {
  control_.send(clientLimitLine(client, refused));
}

}  // namespace orrery::tproxy
