#include <gtest/gtest.h>

#include "runtime/tproxy/relay/relay.h"

namespace orrery::tproxy {
namespace {

TEST(RelayPolicy, RefusesPrivateAndReserved) {
  const Prefix4 lan{Ipv4{0xc6336401}, 24};  // 198.51.100.1/24
  for (const char* address :
       {"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
        "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "224.0.0.1",
        "192.0.0.16", "192.0.0.171", "192.0.0.255", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "198.51.100.77"}) {
    EXPECT_TRUE(isRefused(*parseIpv4(address), lan)) << address;
  }
  for (const char* address :
       {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
        "172.32.0.0", "192.0.0.7", "192.0.0.9", "192.0.0.10", "192.0.1.0", "192.167.255.255",
        "198.18.0.9", "198.51.101.1", "223.255.255.255"}) {
    EXPECT_FALSE(isRefused(*parseIpv4(address), lan)) << address;
  }
}

}  // namespace
}  // namespace orrery::tproxy
