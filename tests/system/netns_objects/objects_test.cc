#include <algorithm>

#include "netns/neigh/neigh.h"
#include "netns/route/route.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

// A namespace with both ends of a veth, up, the first with 10.0.0.1/24.
class Objects : public ::testing::Test {
 protected:
  void SetUp() override {
    must(createVeth(place_.rtnl, {.name = p0_, .mac = mac("02:00:00:00:00:01"), .up = true},
                    {.name = ifName("p1"), .mac = mac("02:00:00:00:00:02"), .up = true}, 1500));
    must(addAddress(rtnl_, p0_, prefix("10.0.0.1/24")));
  }
  std::vector<Route> routesIn(std::uint32_t table) {
    auto routes = must(listRoutes(rtnl_));
    std::erase_if(routes, [&](const Route& r) { return r.table != table; });
    return routes;
  }
  Place place_;
  Rtnl& rtnl_ = place_.rtnl;
  IfName p0_ = ifName("p0");
};

TEST_F(Objects, AddressesAreListedAsAdded) {
  must(addAddress(rtnl_, p0_, prefix("10.9.0.1/24"), {.noPrefixRoute = true}));
  must(addAddress(rtnl_, ifName("p1"), prefix("10.8.0.1/32"), {.peer = ip("10.8.0.2")}));
  const int index = place_.link("p0").index;
  const auto of = must(listAddresses(rtnl_, p0_));
  ASSERT_EQ(of.size(), 2u);
  EXPECT_EQ(of[0].address, prefix("10.0.0.1/24"));
  EXPECT_EQ(of[0].index, index);
  EXPECT_FALSE(of[0].noPrefixRoute);
  EXPECT_FALSE(of[0].peer);
  EXPECT_EQ(of[1].address, prefix("10.9.0.1/24"));
  EXPECT_TRUE(of[1].noPrefixRoute);
  const auto all = must(listAddresses(rtnl_));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(std::ranges::any_of(all, [](const Address& a) { return a.peer == ip("10.8.0.2"); }));
  // The kernel's subnet route, and none for the address that asked for none.
  const auto routes = routesIn(kMainTable);
  const auto to = [&](const char* text) {
    return std::ranges::count(routes, prefix(text), &Route::destination);
  };
  EXPECT_EQ(to("10.0.0.0/24"), 1);
  EXPECT_EQ(to("10.9.0.0/24"), 0);
}

TEST_F(Objects, AddressTwiceIsRefused) {
  const Status again = addAddress(rtnl_, p0_, prefix("10.0.0.1/24"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().err, EEXIST);
  const std::string& message = again.error().message;
  EXPECT_TRUE(message.starts_with("add address 10.0.0.1/24 to 'p0': ")) << message;
  EXPECT_TRUE(message.ends_with("File exists")) << message;
}

TEST_F(Objects, ARefusalHasTheKernelsWords) {
  const Status refused = addRoute(
      rtnl_, {.destination = prefix("10.7.0.0/24"), .gateway = ip("192.0.2.1"), .interface = p0_});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().err, ENETUNREACH);
  // Its extended acknowledgement, of Linux 4.15 and newer.
  EXPECT_NE(refused.error().message.find("Error: Nexthop has invalid gateway"), std::string::npos)
      << refused.error().message;
}

TEST_F(Objects, AddressAbsenceIsFine) {
  must(deleteAddress(rtnl_, p0_, prefix("10.0.0.1/24")));
  must(deleteAddress(rtnl_, p0_, prefix("10.0.0.1/24")));
  must(deleteAddress(rtnl_, ifName("nosuch"), prefix("10.0.0.1/24")));
  EXPECT_TRUE(must(listAddresses(rtnl_)).empty());
  EXPECT_EQ(addAddress(rtnl_, ifName("nosuch"), prefix("10.0.0.1/24")).error().err, ENODEV);
  EXPECT_EQ(listAddresses(rtnl_, ifName("nosuch")).error().err, ENODEV);
}

TEST_F(Objects, RoutesComeBackAsGiven) {
  const int index = place_.link("p0").index;
  const std::vector<Route> given = {
      {.destination = prefix("0.0.0.0/0"), .gateway = ip("10.0.0.254"), .interface = p0_},
      {.destination = prefix("10.5.0.0/16"), .interface = p0_, .metric = 7},
      {.destination = prefix("10.6.0.0/16"),
       .gateway = ip("10.77.0.1"),
       .interface = p0_,
       .onLink = true},
      {.destination = prefix("10.7.0.0/16"), .type = RouteType::unreachable},
      {.destination = prefix("10.7.1.0/24"), .type = RouteType::blackhole},
      {.destination = prefix("0.0.0.0/0"),
       .interface = ifName("lo"),
       .table = 1000,
       .type = RouteType::local},
      {.destination = prefix("10.4.0.0/16"), .interface = p0_, .source = ip("10.0.0.1")},
  };
  must(setLinkUp(rtnl_, ifName("lo")));
  for (const Route& route : given) must(addRoute(rtnl_, route));
  const auto routes = must(listRoutes(rtnl_));
  for (Route want : given) {
    want.index = want.interface == p0_ ? index : (want.interface ? 1 : 0);
    want.interface.reset();
    EXPECT_EQ(std::ranges::count(routes, want), 1)
        << toString(want.destination) << " " << toString(want.type);
  }
  for (const Route& route : given) {
    EXPECT_EQ(addRoute(rtnl_, route).error().err, EEXIST) << toString(route.destination);
    must(deleteRoute(rtnl_, route));
    must(deleteRoute(rtnl_, route));
  }
  EXPECT_EQ(routesIn(kMainTable).size(), 1u) << "the subnet route alone is left";
  EXPECT_TRUE(routesIn(1000).empty());
}

TEST_F(Objects, RouteErrorsSayWhatAndWhy) {
  const Status far = addRoute(
      rtnl_, {.destination = prefix("0.0.0.0/0"), .gateway = ip("192.0.2.1"), .interface = p0_});
  ASSERT_FALSE(far);
  EXPECT_EQ(far.error().err, ENETUNREACH);
  EXPECT_EQ(far.error().message,
            "add route default via 192.0.2.1 by 'p0': Error: Nexthop has invalid gateway: "
            "Network is unreachable");
  EXPECT_EQ(addRoute(rtnl_, {.destination = prefix("10.1.0.5/16"), .interface = p0_}).error().err,
            EINVAL);
  const Route lost{.destination = prefix("10.1.0.0/16"), .interface = ifName("nosuch")};
  EXPECT_EQ(addRoute(rtnl_, lost).error().err, ENODEV);
  must(deleteRoute(rtnl_, lost));
}

TEST_F(Objects, ReplaceChangesTheGateway) {
  Route route{.destination = prefix("0.0.0.0/0"), .gateway = ip("10.0.0.2"), .interface = p0_};
  must(replaceRoute(rtnl_, route));
  route.gateway = ip("10.0.0.3");
  must(replaceRoute(rtnl_, route));
  const auto routes = routesIn(kMainTable);
  ASSERT_EQ(std::ranges::count(routes, prefix("0.0.0.0/0"), &Route::destination), 1);
  EXPECT_EQ(std::ranges::find(routes, prefix("0.0.0.0/0"), &Route::destination)->gateway,
            ip("10.0.0.3"));
}

TEST_F(Objects, MarkRules) {
  const auto before = must(listRules(rtnl_));
  must(addMarkRule(rtnl_, 0x80000001, 1000));
  EXPECT_EQ(addMarkRule(rtnl_, 0x80000001, 1000).error().err, EEXIST);
  const Rule want{
      .priority = kMarkRulePriority, .mark = 0x80000001, .mask = 0xffffffff, .table = 1000};
  EXPECT_EQ(std::ranges::count(must(listRules(rtnl_)), want), 1);
  must(deleteMarkRule(rtnl_, 0x80000001, 1000));
  must(deleteMarkRule(rtnl_, 0x80000001, 1000));
  EXPECT_EQ(must(listRules(rtnl_)), before);
}

TEST_F(Objects, Neighbours) {
  const int index = place_.link("p0").index;
  must(setPermanentNeighbour(rtnl_, p0_, ip("10.0.0.7"), mac("02:00:00:00:00:07")));
  must(setPermanentNeighbour(rtnl_, p0_, ip("10.0.0.7"), mac("02:00:00:00:00:08")));
  const auto all = must(listNeighbours(rtnl_));
  const auto it = std::ranges::find(all, ip("10.0.0.7"), &Neighbour::address);
  ASSERT_NE(it, all.end());
  EXPECT_EQ(it->mac, mac("02:00:00:00:00:08"));
  EXPECT_EQ(it->index, index);
  EXPECT_TRUE(it->permanent());
  must(deleteNeighbour(rtnl_, p0_, ip("10.0.0.7")));
  must(deleteNeighbour(rtnl_, p0_, ip("10.0.0.7")));
  must(deleteNeighbour(rtnl_, ifName("nosuch"), ip("10.0.0.7")));
  EXPECT_EQ(setPermanentNeighbour(rtnl_, ifName("nosuch"), ip("10.0.0.7"), mac("02:00:00:00:00:08"))
                .error()
                .err,
            ENODEV);
}

}  // namespace
}  // namespace orrery::test
