// The firewall steers clients to ports that tproxy listens on. The layers keep either side from
// naming the other's constants, so their agreement is checked here: a slip would close the router
// for good.
#include "routers/firewall/firewall.h"

#include <gtest/gtest.h>

#include "runtime/tproxy/listeners.h"

namespace orrery::tproxy {
namespace {

TEST(Firewall, SteersToOurPorts) {
  EXPECT_EQ(ProxyPorts{}, (ProxyPorts{kTcpPort, kDnsUdpPort, kDnsTcpPort}));
}

}  // namespace
}  // namespace orrery::tproxy
