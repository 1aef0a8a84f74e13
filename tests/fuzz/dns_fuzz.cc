// DNS messages as clients send them: whatever comes, an answer is well-formed and small.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "runtime/tproxy/resolver.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery::tproxy;
  NameTable names(orrery::Prefix4{orrery::Ipv4{0x0ac00000}, 10}, 16, 1);
  Counters counters;
  std::array<std::uint8_t, dns::kMaxReply> out{};
  // Twice: the second time the name is known.
  for (int i = 0; i < 2; ++i) {
    const auto reply = answerQuery({data, size}, names, counters, out);
    if (reply.empty()) continue;
    const bool isAnswer = reply.size() >= dns::kHeaderSize && (reply[2] & 0x80) != 0;
    const bool sameId = reply[0] == data[0] && reply[1] == data[1];
    if (!isAnswer || !sameId) std::abort();
    // What we say must not be taken for a question.
    if (dns::parseQuery(reply).query) std::abort();
  }
  return 0;
}
