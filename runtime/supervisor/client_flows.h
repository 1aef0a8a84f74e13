// The connections of a router's clients: each ends with the egress that it was begun by.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "netns/conntrack/forgotten.h"
#include "routers/spec/router_spec.h"
#include "runtime/supervisor/loop.h"

namespace orrery {

class ClientFlows {
 public:
  explicit ClientFlows(const RouterSpec& spec) : spec_(spec) {}

  // From now on clients are told as well of TCP connections that the kernel forgets by itself;
  // `onTold` hears how many. On a proxied LAN tproxy ends connections by closing its sockets, and
  // nothing is watched.
  Status watch(event_base* base, std::function<void(std::size_t)> onTold);

  // Forgets all flows and tells the clients of those that were TCP. There must be no way out any
  // more: the next packet of a client would begin its flow anew. Returns how many clients' flows
  // there were.
  Result<std::size_t> cut();

 private:
  void readable();
  // Those of clients to somewhere else than the router and its LAN, each once.
  std::vector<TrackedFlow> ofClients(std::vector<TrackedFlow> flows) const;
  Status tell(const NetnsFd& lan, const std::vector<TrackedFlow>& flows) const;

  const RouterSpec& spec_;
  std::optional<ForgottenFlows> forgotten_;
  ReadWatch watch_;
  std::function<void(std::size_t)> onTold_;
};

}  // namespace orrery
