// Whether a WireGuard peer is still there, from what WireGuard itself counts. Pure.
//
// WireGuard tells nobody that a peer has gone; but a peer that is there never leaves data without
// an answer: it sends something back within KEEPALIVE_TIMEOUT (10 s), if only a keepalive. Without,
// we ask for a new handshake after KEEPALIVE_TIMEOUT + REKEY_TIMEOUT (15 s), and again every
// REKEY_TIMEOUT (5 s). So who has heard nothing for 25 s after it spoke has had two handshakes
// unanswered as well. Silence alone says nothing: without traffic nobody speaks. Keepalives of our
// own count as silence: nobody answers them. (Constants: wireguard.com/papers/wireguard.pdf,
// section 6.)
//
//   answered ──spoke, heard nothing──► waiting ──25 s, nothing heard──► silent
//       ▲──────────────heard───────────────┘
//
// Several peers are judged together: one that answers speaks for all.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace orrery {

struct PeerCounters {              // of all peers
  std::int64_t lastHandshake = 0;  // seconds of the realtime clock, 0: never
  std::uint64_t sent = 0;          // bytes
  std::uint64_t heard = 0;
  friend bool operator==(const PeerCounters&, const PeerCounters&) = default;
};
// Adds what a line of the answer to "get=1" says (https://www.wireguard.com/xplatform/).
void addUapiLine(PeerCounters& counters, std::string_view line);

class PeerLiveness {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kPatience{25};
  // While the clients talk: a few system calls beside their traffic.
  static constexpr std::chrono::seconds kBusy{5};
  // While they do not: REJECT_AFTER_TIME, after which no session is left that could go on.
  static constexpr std::chrono::seconds kIdle{180};

  // `keepalive`: the profile's, the shortest of the peers'; 0: off.
  PeerLiveness(std::chrono::seconds keepalive, const PeerCounters& counters, Time now)
      : keepalive_(keepalive), last_(counters), lastAt_(now) {}

  // When to look next; none: the peer is silent.
  std::optional<std::chrono::seconds> look(const PeerCounters& counters, Time now);

 private:
  bool spoke(const PeerCounters& counters, Time now) const;

  std::chrono::seconds keepalive_;
  PeerCounters last_;
  Time lastAt_;
  std::optional<Time> waitingSince_;
};

}  // namespace orrery
