// DNS messages (RFC 1035, EDNS RFC 6891) as far as a resolver that answers everything itself needs
// them. Pure, allocates at most one name per message.
//
// A question's name may not be compressed (nothing precedes it that a pointer could mean); names in
// the additional section are skipped without following pointers, so no message can make us loop.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netns/addr/ip.h"

namespace orrery::tproxy::dns {

inline constexpr std::uint16_t kTypeA = 1;
inline constexpr std::uint16_t kTypePtr = 12;
inline constexpr std::uint16_t kTypeAaaa = 28;
inline constexpr std::uint16_t kTypeOpt = 41;
inline constexpr std::uint16_t kTypeSvcb = 64;   // RFC 9460
inline constexpr std::uint16_t kTypeHttps = 65;  // RFC 9460
inline constexpr std::uint16_t kClassIn = 1;

enum class Rcode : std::uint8_t {
  noError = 0,
  formErr = 1,
  servFail = 2,
  nxDomain = 3,
  notImp = 4,
  refused = 5,
  badVers = 16,  // upper bits travel in the OPT record
};

inline constexpr std::size_t kHeaderSize = 12;
inline constexpr std::size_t kMaxQuery = 1232;  // longer messages are not read
inline constexpr std::size_t kMaxName = 253;    // as text, without the last dot
// The longest answer: a name of 255 bytes with one address, or a PTR question with such a name. So
// no answer is ever truncated, whatever size the client can take (at least 512, RFC 1035 §4.2.1).
inline constexpr std::size_t kMaxReply = 512;

struct Query {
  std::uint16_t id = 0;
  bool recursionDesired = false;
  std::vector<std::uint8_t> question;  // as it came, with the client's case; empty if unreadable
  std::string name;  // lower case, dots between labels, no last dot; "" is the root
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
  bool edns = false;
  std::uint16_t udpSize = 512;  // what the client takes
  bool printable = true;        // the name has only letters, digits, '-' and '_'
};

// What to say to a message that is no answerable query.
struct Problem {
  std::optional<Rcode> rcode;  // none: say nothing (an answer, or too short to have an id)
  Query query;                 // what could be read
};

struct ParseResult {
  std::optional<Query> query;
  Problem problem;
};
ParseResult parseQuery(std::span<const std::uint8_t> message);

struct Record {
  enum class Kind { none, address, name };
  Kind kind = Kind::none;
  Ipv4 address;           // A
  std::string_view name;  // PTR
  std::uint32_t ttl = 0;  // seconds
};

// Writes the answer; the span lies in `out`.
std::span<const std::uint8_t> buildReply(const Query& query, Rcode rcode, const Record& record,
                                         std::array<std::uint8_t, kMaxReply>& out);

// True if the exit may be asked for this name. False for special-use names (RFC 6761, 6762, 8375),
// reverse zones, characters that host names do not have, and names that programs read as numbers
// ("10.0.0.1", "0x7f.1"): those would carry a private address past the check of destinations.
bool isResolvable(std::string_view name);

// "4.3.2.1.in-addr.arpa" -> 1.2.3.4
std::optional<Ipv4> reverseAddress(std::string_view name);

}  // namespace orrery::tproxy::dns
