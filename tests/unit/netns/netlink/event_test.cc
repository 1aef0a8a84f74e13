#include <gtest/gtest.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <random>

#include "netns/netlink/rtnl.h"

namespace orrery {
namespace {

std::vector<std::byte> sealed(NlMessage message) {
  const Bytes bytes = message.seal(0).value();
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> sampleDatagram() {
  ifinfomsg link{};
  link.ifi_index = 3;
  link.ifi_flags = IFF_UP | (1u << 16);
  auto all = sealed(
      NlMessage("", RTM_NEWLINK, 0, link).putString(IFLA_IFNAME, "br0").putU32(IFLA_MASTER, 9));
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = 24;
  address.ifa_index = 3;
  const auto second =
      sealed(NlMessage("", RTM_DELADDR, 0, address).putIpv4(IFA_LOCAL, Ipv4{0x0a000001}));
  all.insert(all.end(), second.begin(), second.end());
  rtmsg route{};
  route.rtm_family = AF_INET;
  route.rtm_table = 254;
  const auto third = sealed(NlMessage("", RTM_NEWROUTE, 0, route)
                                .putIpv4(RTA_GATEWAY, Ipv4{0x0a0000fe})
                                .putU32(RTA_OIF, 3));
  all.insert(all.end(), third.begin(), third.end());
  return all;
}

TEST(Events, AreTyped) {
  const auto events = parseEvents(sampleDatagram()).value();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0], RtnlEvent(LinkChanged{3, "br0", true, true, 9}));
  EXPECT_EQ(events[1], RtnlEvent(AddressRemoved{3, Prefix4{Ipv4{0x0a000001}, 24}}));
  EXPECT_EQ(events[2],
            RtnlEvent(RouteChanged{false, Prefix4{Ipv4{}, 0}, Ipv4{0x0a0000fe}, 3, 254}));
}

TEST(Events, OtherFamiliesAreLeftOut) {
  ifinfomsg port{};
  port.ifi_family = AF_BRIDGE;
  EXPECT_TRUE(parseEvents(sealed(NlMessage("", RTM_DELLINK, 0, port))).value().empty());
  ifaddrmsg six{};
  six.ifa_family = AF_INET6;
  EXPECT_TRUE(parseEvents(sealed(NlMessage("", RTM_NEWADDR, 0, six))).value().empty());
  EXPECT_TRUE(parseEvents(sealed(NlMessage("", RTM_NEWTFILTER, 0, six))).value().empty());
}

TEST(Events, MalformedIsAnError) {
  for (const std::uint16_t type : {RTM_NEWLINK, RTM_DELADDR, RTM_NEWROUTE, RTM_DELNEIGH})
    EXPECT_EQ(parseEvents(sealed(NlMessage("", type, 0, std::uint32_t{0}))).error().err, EBADMSG);
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  EXPECT_EQ(parseEvents(sealed(NlMessage("", RTM_NEWADDR, 0, address))).error().err, EBADMSG);
  address.ifa_prefixlen = 33;
  EXPECT_FALSE(
      parseEvents(sealed(NlMessage("", RTM_NEWADDR, 0, address).putIpv4(IFA_LOCAL, Ipv4{1}))));
}

TEST(Events, NoiseDoesNoHarm) {
  const auto sample = sampleDatagram();
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    auto noisy = sample;
    for (int k = 0; k < 3; ++k)
      noisy[random() % noisy.size()] = static_cast<std::byte>(random() % 256);
    noisy.resize(random() % (noisy.size() + 1));
    (void)parseEvents(noisy);
  }
}

}  // namespace
}  // namespace orrery
