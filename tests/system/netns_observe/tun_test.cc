#include "netns/tun/tun.h"

#include <unistd.h>

#include <array>

#include "netns/route/route.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

TEST(Tun, GoesWithItsDescriptorUnlessPersistent) {
  Place a;
  {
    const UniqueFd fd = must(createTun(a.netns, ifName("tun0"), false, std::nullopt, 1420));
    EXPECT_EQ(a.link("tun0").kind, "tun");
    EXPECT_EQ(a.link("tun0").mtu, 1420u);
    EXPECT_EQ(createTun(a.netns, ifName("tun0"), false, std::nullopt, 1420).error().err, EBUSY);
  }
  EXPECT_FALSE(a.has("tun0"));
  { const UniqueFd fd = must(createTun(a.netns, ifName("tun0"), true, 65534, 1500)); }
  EXPECT_TRUE(a.has("tun0"));
  EXPECT_EQ(createTun(a.netns, ifName("tun0"), true, 65534, 1500).error().err, EBUSY);
  must(deleteTun(a.netns, ifName("tun0")));
  EXPECT_FALSE(a.has("tun0"));
  must(deleteTun(a.netns, ifName("tun0")));
  EXPECT_EQ(deleteTun(a.netns, ifName("lo")).error().err, EINVAL);
}

TEST(Tun, ABadMtuLeavesNothing) {
  Place a;
  EXPECT_EQ(createTun(a.netns, ifName("tun0"), true, std::nullopt, 1).error().err, EINVAL);
  EXPECT_FALSE(a.has("tun0"));
}

TEST(Tun, KeepsItsDescriptorWhenMoved) {
  Place egress, lan;
  const UniqueFd fd = must(createTun(egress.netns, ifName("tun0"), true, std::nullopt, 1400));
  must(moveLink(egress.rtnl, ifName("tun0"), lan.netns));
  EXPECT_FALSE(egress.has("tun0"));
  EXPECT_EQ(lan.link("tun0").mtu, 1400u);
  must(setSysctls(lan.netns, {{"ipv6/conf/tun0/disable_ipv6", "1"}}));
  must(addAddress(lan.rtnl, ifName("tun0"), prefix("10.8.0.2/24")));
  must(setLinkUp(lan.rtnl, ifName("tun0")));
  Udp sender(lan.netns, "10.8.0.2", 7000);
  ASSERT_TRUE(sender.send("through the tunnel", "10.8.0.1", 53));
  pollfd p{fd.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&p, 1, 3000), 1);
  std::array<char, 2048> packet{};
  const ssize_t n = ::read(fd.get(), packet.data(), packet.size());
  ASSERT_EQ(n, 20 + 8 + 18) << "an IPv4 packet without a header of tun's";
  EXPECT_EQ(packet[0], 0x45);
  EXPECT_EQ(std::string(packet.data() + 28, 18), "through the tunnel");
}

}  // namespace
}  // namespace orrery::test
