// The whole proxy on one loop: relay, DNS, control.
#pragma once

#include <memory>
#include <string>

#include "runtime/tproxy/config.h"
#include "runtime/tproxy/control.h"
#include "runtime/tproxy/counters.h"
#include "runtime/tproxy/dns_server.h"
#include "runtime/tproxy/loop.h"
#include "runtime/tproxy/name_table.h"
#include "runtime/tproxy/relay/relay.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

struct ServerSockets {
  UniqueFd tcp;
  DnsSockets dns;
  UniqueFd control;
};

class Server final : private ControlChannel::Handler, private Relay::Observer {
 public:
  // Draws the token and the names' first address from getrandom(2), then serves.
  static Result<std::unique_ptr<Server>> create(Config config, ServerSockets sockets);
  // Until the supervisor closes the control socket.
  Status run();

 private:
  Server(Config config, Loop loop, UniqueFd control, std::uint32_t firstName, std::string token);
  Status start(ServerSockets sockets);
  std::string onCommand(const Command& command) override;
  void onControlClosed() override;
  void onUpstream(bool reachable, std::string_view problem) override;
  void onClientLimit(Ipv4 client, std::uint64_t refused) override;

  const Config config_;
  Loop loop_;
  Counters counters_;
  NameTable names_;
  Relay relay_;
  DnsServer dns_;
  ControlChannel control_;
};

}  // namespace orrery::tproxy
