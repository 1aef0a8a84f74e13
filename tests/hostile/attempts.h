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
  // The system call that the supervisor is told of where the filter refuses it; "a|b": one of
  // these, by profile. "": never.
  std::string_view call;
  // "ok", the errno of the refusal, or the signal that ended it. With '~' before it the supervisor
  // is not told: another wall refuses, or the filter itself by an errno that its profile names,
  // which programs know how to take.
  std::array<std::string_view, kColumns> expected;
};
constexpr std::string_view resultOf(std::string_view cell) {
  return cell.substr(0, 1) == "~" ? cell.substr(1) : cell;
}
// Columns with a filter only.
constexpr bool isTold(std::string_view cell) {
  return cell != "ok" && cell.substr(0, 1) != "~";
}

inline constexpr Attempt kAttempts[] = {
#include "tests/hostile/attempts.inc"
};

}  // namespace hostile
