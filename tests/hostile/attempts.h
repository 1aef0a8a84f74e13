// The golden table: each attempt, in place of each kind of service, and what comes of it. Shared by
// the hostile program, which has to know what it would not survive, and by the test.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace hostile {

enum Column : std::size_t {
  kDnsmasq,
  kOpenvpn,
  kWireguardGo,
  kTor,
  kUdhcpc,
  kTproxy,
  kLease,     // run by udhcpc, in its sandbox
  kNoFilter,  // tor's sandbox with its seccomp filter left out: what the other walls are worth
  kFree,      // root in namespaces of its own: that the attempt is one at all
  kColumns
};
inline constexpr std::array<const char*, kColumns> kColumnNames = {
    "dnsmasq", "openvpn", "wireguard-go", "tor", "udhcpc", "tproxy", "lease", "no filter", "free"};

struct Attempt {
  const char* name;
  // "ok", the errno of the refusal, or the signal that ended it.
  std::array<std::string_view, kColumns> expected;
};

inline constexpr Attempt kAttempts[] = {
#include "tests/hostile/attempts.inc"
};

}  // namespace hostile
