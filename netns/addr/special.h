// Addresses that no router forwards to or from, as the registries have them: RFC 6890 (and IANA's
// registry of special addresses, which goes on with it), RFC 3927, RFC 5771.
//
// The networks of documentation (192.0.2.0/24 and its like) have the same entry there and are not
// listed: examples, tests and laboratories use them in the place of real ones.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "netns/addr/ip.h"

namespace orrery {

inline constexpr Prefix4 kLinkLocal{Ipv4{0xa9fe0000}, 16};  // RFC 3927, section 2.6.2

inline constexpr Prefix4 kNeverForwardedTo[] = {
    {Ipv4{0x00000000}, 8},   // this network
    {Ipv4{0x7f000000}, 8},   // loopback
    kLinkLocal,              //
    {Ipv4{0xc0000000}, 24},  // protocol assignments, but for:
    {Ipv4{0xe0000000}, 3},   // multicast (none of our routers routes it), reserved, broadcast
};
// 192.0.0.0/28. Of it 192.0.0.0/29 (RFC 7335), 192.0.0.9 (RFC 7723) and 192.0.0.10 (RFC 8155) are
// forwarded, and nobody has the rest.
inline constexpr Prefix4 kForwardedAssignments{Ipv4{0xc0000000}, 28};

inline bool isNeverForwardedTo(Ipv4 address) {
  return !kForwardedAssignments.contains(address) &&
         std::any_of(std::begin(kNeverForwardedTo), std::end(kNeverForwardedTo),
                     [&](const Prefix4& prefix) { return prefix.contains(address); });
}
inline std::vector<Prefix4> neverForwardedTo() {  // with the exception, not without it
  return {std::begin(kNeverForwardedTo), std::end(kNeverForwardedTo)};
}

// Sources. Protocol assignments are not among them: a router without an address tells of errors by
// 192.0.0.8 (RFC 7600, Linux since 5.12), and who sends too large packets must hear of it.
inline std::vector<Prefix4> neverForwardedFrom() {
  return {{Ipv4{0x00000000}, 8}, {Ipv4{0x7f000000}, 8}, kLinkLocal, {Ipv4{0xe0000000}, 3}};
}

}  // namespace orrery
