// A SOCKS5 server on a unix socket that plays tor and the whole world behind it. It notes who asked
// for what; the destination's port decides what the "server" there does.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/base/fd.h"

namespace orrery::tproxy::testing {

inline constexpr std::uint16_t kEcho = 7;     // echoes; its end of output follows the client's
inline constexpr std::uint16_t kSink = 9;     // reads to the end, then answers how many bytes it
                                              // got, "bad" if one was not patternByte()
inline constexpr std::uint16_t kSource = 19;  // sends kSourceBytes of the pattern
inline constexpr std::uint16_t kHttp = 80;    // one page that names the destination
inline constexpr std::uint16_t kRefused = 1;  // SOCKS reply 5
inline constexpr std::uint16_t kGarbage = 2;  // no SOCKS at all
inline constexpr std::uint16_t kSilent = 3;   // never answers
inline constexpr std::uint16_t kBanner = 22;  // speaks first
inline constexpr std::uint64_t kSourceBytes = 100'000'000;

inline char patternByte(std::uint64_t at) {
  return static_cast<char>((at * 2654435761u) >> 13 & 0xff);
}

class FakeTor {
 public:
  struct Seen {
    std::string user;
    std::string password;
    std::string host;
    std::uint16_t port = 0;
  };

  explicit FakeTor(std::string path);
  ~FakeTor() { stop(); }
  void stop();  // as if killed: every connection breaks, the socket's file stays
  std::vector<Seen> seen();

 private:
  void acceptLoop();
  void serve(int fd);
  bool handshake(int fd, Seen& who);

  std::string path_;
  UniqueFd listener_;
  std::mutex mutex_;
  std::vector<Seen> seen_;
  std::vector<int> open_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

}  // namespace orrery::tproxy::testing
