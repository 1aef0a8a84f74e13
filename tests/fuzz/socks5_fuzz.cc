// A SOCKS5 server's bytes, in pieces whose sizes come from the input too.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "runtime/tproxy/socks5.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery::tproxy;
  if (size == 0) return 0;
  const std::size_t piece = std::max<std::size_t>(data[0] >> 2, 1);
  std::optional<Credentials> credentials;
  if ((data[0] & 2) != 0) credentials = Credentials{"user", "password"};
  Socks5Handshake handshake(Target{std::string("name.example"), 80}, credentials);
  std::span<const std::uint8_t> left(data + 1, size - 1);
  while (!left.empty() && handshake.wanted() > 0) {
    handshake.sent(handshake.output().size());
    const std::size_t n = std::min({left.size(), handshake.wanted(), piece});
    handshake.feed(left.first(n));
    left = left.subspan(n);
  }
  const bool running = handshake.state() == Socks5Handshake::State::running;
  if (running != (handshake.wanted() > 0)) std::abort();
  return 0;
}
