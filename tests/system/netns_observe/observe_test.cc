#include <algorithm>

#include "netns/observe/snapshot.h"
#include "netns/observe/sockets.h"
#include "netns/wireguard/wireguard.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

TEST(Observe, SnapshotHoldsAll) {
  Place a;
  must(setLinkUp(a.rtnl, ifName("lo")));
  must(createBridge(a.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1500, true));
  must(addAddress(a.rtnl, ifName("br0"), prefix("10.0.0.1/24")));
  must(addRoute(a.rtnl, {.destination = prefix("10.1.0.0/16"),
                         .gateway = ip("10.0.0.2"),
                         .interface = ifName("br0")}));
  must(addMarkRule(a.rtnl, 1, 100));
  must(setPermanentNeighbour(a.rtnl, ifName("br0"), ip("10.0.0.2"), mac("02:00:00:00:00:02")));
  const Snapshot s = must(observe(a.rtnl));
  ASSERT_NE(s.link("br0"), nullptr);
  EXPECT_EQ(s.link("nosuch"), nullptr);
  EXPECT_EQ(s.link(s.link("br0")->index)->name, "br0");
  EXPECT_EQ(s.addressesOf(s.link("br0")->index), std::vector{prefix("10.0.0.1/24")});
  const auto route = std::ranges::find(s.routes, prefix("10.1.0.0/16"), &Route::destination);
  ASSERT_NE(route, s.routes.end());
  EXPECT_EQ(route->interface, ifName("br0"));
  EXPECT_EQ(std::ranges::count(s.rules, 100u, &Rule::table), 1);
  EXPECT_EQ(std::ranges::count(s.neighbours, ip("10.0.0.2"), &Neighbour::address), 1);
}

TEST(Observe, SocketsOfThatNamespaceAlone) {
  Place a;
  must(setLinkUp(a.rtnl, ifName("lo")));
  Udp udp(a.netns, "127.0.0.1", 5353);
  const UniqueFd listener = must(socketIn(a.netns, AF_INET, SOCK_STREAM, 0));
  sockaddr_in own = endpoint("127.0.0.1", 9040);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
  ASSERT_EQ(::listen(listener.get(), 5), 0);
  const UniqueFd client = must(socketIn(a.netns, AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
  const UniqueFd wide = must(socketIn(a.netns, AF_INET6, SOCK_DGRAM, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(5354);
  ASSERT_EQ(::bind(wide.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);

  const auto sockets = must(listSockets(a.netns));
  const auto count = [&](SocketProtocol p, const char* state, const char* local, int port) {
    return std::ranges::count_if(sockets, [&](const SocketInfo& s) {
      return s.protocol == p && s.state == state && s.localAddress == local && s.localPort == port;
    });
  };
  EXPECT_EQ(count(SocketProtocol::udp, "UNCONNECTED", "127.0.0.1", 5353), 1);
  EXPECT_EQ(count(SocketProtocol::udp, "UNCONNECTED", "::", 5354), 1);
  EXPECT_EQ(count(SocketProtocol::tcp, "LISTEN", "127.0.0.1", 9040), 1);
  EXPECT_EQ(count(SocketProtocol::tcp, "ESTABLISHED", "127.0.0.1", 9040), 1);
  EXPECT_EQ(sockets.size(), 5u);
  Place empty;
  EXPECT_TRUE(must(listSockets(empty.netns)).empty());
}

// What the kernel says by one way must agree with what it says by the other.
TEST(Observe, WireGuardProbeAgreesWithMakingOne) {
  const bool there = must(kernelHasWireGuard());
  Place a;
  const Status made = createWireGuard(a.rtnl, ifName("wg0"));
  EXPECT_EQ(made.has_value(), there);
  if (!made) {
    EXPECT_EQ(made.error().err, EOPNOTSUPP);
  }
  EXPECT_EQ(a.has("wg0"), there);
  const Status configured = configureWireGuard(a.netns, ifName("wg0"), {});
  EXPECT_EQ(configured.has_value(), there);
}

}  // namespace
}  // namespace orrery::test
