// What orrery-tproxy is told when it starts: one JSON document, read from an inherited descriptor.
//
//   {"upstream": {"unix": "/tor/socks"}  or  {"address": "198.18.0.9", "port": 1080,
//                                             "user": "u", "password": "p"},
//    "isolation": true, "names": "10.192.0.0/10", "lan": "10.2.2.254/24",
//    "limits": {"connections": 16384, "per_client": 256, …}}
//
// The supervisor makes it by toJson(), the program reads it by parseConfig(). Unknown keys are
// errors. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "netns/addr/ip.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

// RFC 1929: 1 to 255 bytes each.
struct Credentials {
  std::string user;
  std::string password;
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// tor's SocksPort: with isolation the user name tells clients apart
// (IsolateSOCKSAuth, which tor has on by default).
struct UnixUpstream {
  std::string path;
  friend bool operator==(const UnixUpstream&, const UnixUpstream&) = default;
};
// Any SOCKS5 server: strict handshake; its own credentials or none.
struct TcpUpstream {
  Ipv4 address;
  std::uint16_t port = 1080;
  std::optional<Credentials> credentials;
  friend bool operator==(const TcpUpstream&, const TcpUpstream&) = default;
};
using Upstream = std::variant<UnixUpstream, TcpUpstream>;

struct Limits {
  std::uint32_t connections = 16384;    // open at once; more wait in the listen queue
  std::uint32_t perClient = 256;        // open at once for one client address; more are reset
  std::uint32_t pipes = 512;            // with bytes in flight; beyond, bytes are copied
  std::uint32_t pipesPerClient = 64;    // of those, for one client address
  std::uint32_t names = 65536;          // remembered names
  std::uint32_t dnsTcp = 64;            // open DNS connections; a client may have a quarter
  std::uint32_t dnsRate = 100;          // queries a second and client, lasting
  std::uint32_t dnsBurst = 200;         // queries at once
  std::chrono::seconds handshake{130};  // tor answers within 120 s (SocksTimeout)
  std::chrono::seconds idle{7440};      // RFC 5382 REQ-5; 0: never
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct Config {
  Upstream upstream = UnixUpstream{};
  bool isolation = true;
  Prefix4 names{Ipv4{0x0ac00000}, 10};  // 10.192.0.0/10
  Prefix4 lan;                          // the router's address on its LAN
  Limits limits;
  friend bool operator==(const Config&, const Config&) = default;
};

Result<Config> parseConfig(std::string_view json);
std::string toJson(const Config& config);  // one line; has secrets

// RLIMIT_NOFILE that the program needs to reach its limits. With less it pauses accepting at times.
std::uint64_t openFilesNeeded(const Limits& limits);

}  // namespace orrery::tproxy
