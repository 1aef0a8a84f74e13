// What happened, counted. Rendered on request by control.h; nothing is logged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace orrery::tproxy {

// How a connection of a client ended, or why it never began.
enum class End : std::uint8_t {
  finished,             // both sides closed in order
  clientReset,          // the client or its link failed
  upstreamReset,        // the upstream failed in the middle
  idle,                 // no byte for the idle time
  handshakeTimeout,     // the upstream did not answer in time
  upstreamUnreachable,  // connect() to the upstream failed
  socksRejected,        // a SOCKS reply code other than 0; see socksReplies
  socksProtocol,        // the upstream does not speak SOCKS5, or refuses our credentials
  cut,                  // the supervisor said so
  refusedPrivate,       // the destination is private, reserved or on the LAN
  refusedUnknownName,   // the destination is in the names' range but stands for no name
  refusedClientLimit,   // the client has too many connections open
  noResources,          // out of descriptors or memory
};
inline constexpr std::size_t kEnds = 13;
const char* toString(End end);

enum class DnsOutcome : std::uint8_t {
  answered,        // A or PTR with a record
  empty,           // NOERROR without a record (AAAA, HTTPS, SVCB)
  nxdomain,        // special-use, numeric or invalid name, unmapped PTR
  notImplemented,  // another type, class or opcode
  malformed,       // FORMERR, or not a query at all
  exhausted,       // SERVFAIL: every remembered name is in use
  limited,         // REFUSED: over the client's rate
  sendFailed,      // the answer could not be sent
};
inline constexpr std::size_t kDnsOutcomes = 8;
const char* toString(DnsOutcome outcome);

struct Counters {
  std::uint64_t accepted = 0;
  std::uint64_t established = 0;
  std::uint64_t acceptPauses = 0;  // out of descriptors or at the limit of connections
  std::uint64_t bytesUp = 0;       // from clients
  std::uint64_t bytesDown = 0;     // to clients
  std::uint64_t copies = 0;        // rounds without a pipe
  std::array<std::uint64_t, kEnds> ends{};
  std::array<std::uint64_t, 10> socksReplies{};  // by code 0 to 8; 9: any other
  std::uint64_t dnsQueries = 0;
  std::uint64_t dnsTcpRefused = 0;  // connections over the limit
  std::array<std::uint64_t, kDnsOutcomes> dns{};

  void count(End end) { ++ends[static_cast<std::size_t>(end)]; }
  void count(DnsOutcome outcome) { ++dns[static_cast<std::size_t>(outcome)]; }
  std::uint64_t of(End end) const { return ends[static_cast<std::size_t>(end)]; }
  std::uint64_t of(DnsOutcome outcome) const { return dns[static_cast<std::size_t>(outcome)]; }
};

}  // namespace orrery::tproxy
