// Words of filter expressions, to make sentences of by chance.
#pragma once

#include <string_view>

namespace orrery::test {

inline constexpr std::string_view kFilterWords =
    "host net port portrange proto ether ip tcp udp icmp src dst and or not ( ) [ ] : 1 "
    "53 0x10 10.1 10.1.1.1 10.1.1.0/24 mask 1-20 0:2 len - + = != > & less greater arp "
    "rarp ip6 52:54:00:ab:cd:01 icmp-echo tcpflags tcp-syn broadcast multicast ah sctp "
    "pim | * / << ! 255.255.0.0 && || >= 02:0:0:0:0:1 %";

}  // namespace orrery::test
