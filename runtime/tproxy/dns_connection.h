// One DNS connection over TCP: length-prefixed messages, as many at a time as the client likes
// (RFC 7766 §6.2.1.1). Reading stops while the client does not take its answers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "netns/addr/ip.h"
#include "runtime/tproxy/dns.h"
#include "runtime/tproxy/loop.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

class DnsServer;

class DnsConnection {
 public:
  DnsConnection(DnsServer& server, UniqueFd fd, Ipv4 client)
      : server_(server), fd_(std::move(fd)), client_(client) {}
  Status start(Loop& loop);
  Ipv4 client() const { return client_; }

 private:
  enum class Turn { wait, again, close };

  void onReady(Ready ready);
  void onTimer(Ready ready);
  Turn turn();
  Turn flush();
  Turn receive();
  bool takeMessages();

  DnsServer& server_;
  UniqueFd fd_;
  Ipv4 client_;
  Watch watch_;
  Timer timer_;
  bool readable_ = false;
  bool writable_ = false;
  bool eof_ = false;
  std::array<std::uint8_t, 2 + dns::kMaxQuery> in_{};
  std::size_t inSize_ = 0;
  std::string out_;
};

}  // namespace orrery::tproxy
