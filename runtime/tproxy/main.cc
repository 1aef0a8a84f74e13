// orrery-tproxy: carries the TCP connections and answers the DNS queries of one router's clients.
//
// Started by the supervisor in an empty network namespace (socks5: the egress namespace), without a
// capability, with everything it may use as open descriptors. It opens no file. It ends when the
// control socket is closed (status 0), on SIGTERM (0), or when it cannot start (1; usage: 2).
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <optional>
#include <string_view>

#include "runtime/tproxy/config.h"
#include "runtime/tproxy/server.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace {

using orrery::Status;
using orrery::UniqueFd;
using namespace orrery::tproxy;

constexpr const char* kUsage =
    "usage: orrery-tproxy --config FD --control FD --listen-tcp FD --dns-udp FD --dns-reply FD "
    "--dns-tcp FD\nStarted by orrery-supervisor; the descriptors are inherited.\n";

struct Arguments {
  UniqueFd config;
  ServerSockets sockets;
};

std::optional<Arguments> parseArguments(int argc, char** argv) {
  Arguments parsed;
  struct Flag {
    std::string_view name;
    UniqueFd* fd;
  };
  const std::array<Flag, 6> flags = {{{"--config", &parsed.config},
                                      {"--control", &parsed.sockets.control},
                                      {"--listen-tcp", &parsed.sockets.tcp},
                                      {"--dns-udp", &parsed.sockets.dns.udp},
                                      {"--dns-reply", &parsed.sockets.dns.reply},
                                      {"--dns-tcp", &parsed.sockets.dns.tcp}}};
  for (int i = 1; i + 1 < argc; i += 2) {
    const auto number = orrery::parseNumber<int>(argv[i + 1]);
    bool known = false;
    for (const Flag& flag : flags) {
      if (flag.name != argv[i] || !number || *number < 3 || *flag.fd) continue;
      flag.fd->reset(*number);
      known = true;
    }
    if (!known) return std::nullopt;
  }
  for (const Flag& flag : flags) {
    if (!*flag.fd) return std::nullopt;
  }
  if (argc % 2 == 0) return std::nullopt;
  return parsed;
}

// As the first process of a pid namespace we would not die of SIGTERM's default action. A peer that
// has gone is an error of splice(2), not a signal.
void prepareSignals() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(SIGPIPE, &ignore, nullptr);
  struct sigaction leave {};
  leave.sa_handler = [](int) { ::_exit(0); };
  (void)::sigaction(SIGTERM, &leave, nullptr);
}

Status serve(Arguments arguments) {
  ORRERY_TRY_ASSIGN(const std::string json, orrery::readAll(arguments.config.get()));
  arguments.config.reset();
  ORRERY_TRY_ASSIGN(Config config, parseConfig(json));
  ORRERY_TRY_ASSIGN(auto server, Server::create(std::move(config), std::move(arguments.sockets)));
  return server->run();
}

}  // namespace

int main(int argc, char** argv) {
  auto arguments = parseArguments(argc, argv);
  if (!arguments) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  prepareSignals();
  if (const Status served = serve(std::move(*arguments)); !served) {
    std::fprintf(stderr, "orrery-tproxy: %s\n", served.error().message.c_str());
    return 1;
  }
  return 0;
}
