#include "routers/egress/peer_liveness.h"

#include <algorithm>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::uint64_t kKeepaliveBytes = 32;  // an empty transport message

template <class T>
std::optional<T> valueOf(std::string_view line, std::string_view key) {
  if (!line.starts_with(key)) return std::nullopt;
  return parseNumber<T>(line.substr(key.size()));
}

}  // namespace

void addUapiLine(PeerCounters& counters, std::string_view line) {
  if (const auto sent = valueOf<std::uint64_t>(line, "tx_bytes=")) counters.sent += *sent;
  if (const auto heard = valueOf<std::uint64_t>(line, "rx_bytes=")) counters.heard += *heard;
  if (const auto at = valueOf<std::int64_t>(line, "last_handshake_time_sec="))
    counters.lastHandshake = std::max(counters.lastHandshake, *at);
}

// More than the keepalives that may have gone out meanwhile: the persistent ones, and one that answers
// what was heard before. Data is at least twice as long.
bool PeerLiveness::spoke(const PeerCounters& counters, Time now) const {
  if (counters.sent < last_.sent) return false;  // counted anew
  std::uint64_t keepalives = 1;
  if (keepalive_.count() > 0)
    keepalives += static_cast<std::uint64_t>((now - lastAt_) / keepalive_) + 1;
  return counters.sent - last_.sent > keepalives * kKeepaliveBytes;
}

std::optional<std::chrono::seconds> PeerLiveness::look(const PeerCounters& counters, Time now) {
  const bool heard = counters.heard != last_.heard || counters.lastHandshake != last_.lastHandshake;
  const bool talks = spoke(counters, now);
  last_ = counters;
  lastAt_ = now;
  if (heard) {
    waitingSince_.reset();
    return kBusy;
  }
  if (waitingSince_) {
    if (now - *waitingSince_ >= kPatience) return std::nullopt;
  } else if (talks) {
    waitingSince_ = now;
  } else {
    return kIdle;
  }
  return std::chrono::ceil<std::chrono::seconds>(*waitingSince_ + kPatience - now);
}

}  // namespace orrery
