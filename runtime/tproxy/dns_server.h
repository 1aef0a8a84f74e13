// DNS over UDP and TCP on the sockets that the supervisor made. Answers come from the address that
// the client asked, whichever it was.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "runtime/tproxy/config.h"
#include "runtime/tproxy/counters.h"
#include "runtime/tproxy/loop.h"
#include "runtime/tproxy/name_table.h"
#include "runtime/tproxy/resolver.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

class DnsConnection;

struct DnsSockets {
  UniqueFd udp;    // receives
  UniqueFd reply;  // sends the answers of udp, bound to port 53
  UniqueFd tcp;    // listens
};

class DnsServer {
 public:
  DnsServer(const Limits& limits, NameTable& names, Counters& counters);
  ~DnsServer();
  Status start(Loop& loop, DnsSockets sockets);

  // The answer for a client, within its rate. Used by the connections.
  std::span<const std::uint8_t> answer(Ipv4 client, std::span<const std::uint8_t> message);
  void closed(DnsConnection& connection);  // destroys it

 private:
  void onUdp(Ready ready);
  void onTcp(Ready ready);
  bool serveDatagram();
  void admit(UniqueFd client, Ipv4 address);

  const Limits& limits_;
  NameTable& names_;
  Counters& counters_;
  RateLimiter limiter_;
  Loop* loop_ = nullptr;
  DnsSockets sockets_;
  Watch udpWatch_;
  Watch tcpWatch_;
  std::vector<std::unique_ptr<DnsConnection>> connections_;
  std::array<std::uint8_t, dns::kMaxReply> reply_{};
};

}  // namespace orrery::tproxy
