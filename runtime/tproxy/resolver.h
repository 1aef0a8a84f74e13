// What the proxy answers to a DNS query: no server is asked, ever. Every resolvable name gets an
// address from the names' range; the exit resolves the name when a connection to it is made. Pure
// but for the table.
//
//   A       address from the range, TTL 60 s            PTR   the name of a mapped address
//   AAAA, HTTPS, SVCB   NOERROR without records         other types, classes, opcodes   NOTIMP
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/tproxy/counters.h"
#include "runtime/tproxy/dns.h"
#include "runtime/tproxy/name_table.h"

namespace orrery::tproxy {

inline constexpr std::uint32_t kDnsTtl = 60;  // seconds

// The answer to a message, in `out`; empty if it deserves none. Counts what it did.
std::span<const std::uint8_t> answerQuery(std::span<const std::uint8_t> message, NameTable& names,
                                          Counters& counters,
                                          std::array<std::uint8_t, dns::kMaxReply>& out);
// The REFUSED answer to a message of a client that asks too much.
std::span<const std::uint8_t> refuseQuery(std::span<const std::uint8_t> message, Counters& counters,
                                          std::array<std::uint8_t, dns::kMaxReply>& out);

// A token bucket for each client. The slot is the address's low ten bits: no two clients of a LAN
// up to /22 share one, and no flood of addresses can make the table grow.
class RateLimiter {
 public:
  RateLimiter(std::uint32_t perSecond, std::uint32_t burst);
  bool allow(Ipv4 client, std::int64_t nowMilliseconds);

 private:
  struct Bucket {
    std::int64_t milliTokens;
    std::int64_t updated;  // milliseconds
  };
  std::int64_t perSecond_;
  std::int64_t full_;
  std::array<Bucket, 1024> buckets_;
};

}  // namespace orrery::tproxy
