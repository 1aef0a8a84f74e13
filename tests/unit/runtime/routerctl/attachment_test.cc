#include "runtime/routerctl/attachment.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

LanSpec lan() {
  LanSpec spec;
  spec.address = parsePrefix4("10.1.1.1/29").value();  // .0 network, .7 broadcast
  spec.dhcp = DhcpSpec{parseIpv4("10.1.1.5").value(), parseIpv4("10.1.1.6").value()};
  return spec;
}
Ipv4 ip(const char* text) {
  return parseIpv4(text).value();
}

TEST(ClientAddress, FreeOnesOutsideOfTheDhcpRangeFirst) {
  EXPECT_EQ(chooseClientAddress(lan(), {}).value(), ip("10.1.1.4"));
  EXPECT_EQ(chooseClientAddress(lan(), {ip("10.1.1.4"), ip("10.1.1.2"), ip("10.1.1.3")}).value(),
            ip("10.1.1.6"));
}

TEST(ClientAddress, OneWhoAsksByDhcpGetsOneOfTheRange) {
  const auto choose = [](const std::vector<Ipv4>& taken) {
    return chooseClientAddress(lan(), taken, AddressChoice::insideRange);
  };
  EXPECT_EQ(choose({}).value(), ip("10.1.1.6"));
  EXPECT_EQ(choose({ip("10.1.1.6")}).value(), ip("10.1.1.5"));
  EXPECT_FALSE(choose({ip("10.1.1.5"), ip("10.1.1.6")}));
}

TEST(ClientAddress, AFullSubnetIsAnError) {
  std::vector<Ipv4> all;
  for (std::uint32_t i = 0; i < 8; ++i) all.push_back(Ipv4{lan().address.network().value + i});
  EXPECT_FALSE(chooseClientAddress(lan(), all));
}

TEST(ClientAddress, ImpossibleOnesAreNamed) {
  EXPECT_FALSE(checkClientAddress(lan(), ip("10.1.1.0"), {}));
  EXPECT_FALSE(checkClientAddress(lan(), ip("10.1.1.7"), {}));
  EXPECT_FALSE(checkClientAddress(lan(), ip("10.1.2.2"), {}));
  EXPECT_NE(checkClientAddress(lan(), ip("10.1.1.1"), {}).error().message.find("router's own"),
            std::string::npos);
  EXPECT_EQ(checkClientAddress(lan(), ip("10.1.1.2"), {ip("10.1.1.2")}).error().err, EADDRINUSE);
  EXPECT_TRUE(checkClientAddress(lan(), ip("10.1.1.2"), {}));
}

TEST(AttachmentRecord, RoundTripAndPortName) {
  Attachment a;
  a.address = ip("10.1.1.7");
  a.port = clientPortName(a.address);
  a.interface = IfName::parse("eth0").value();
  a.mac = parseMac("00:00:10:01:01:07").value();
  a.clientInode = 4026531840;
  a.tap = true;
  EXPECT_EQ(a.port.str(), "c0a010107");
  EXPECT_EQ(parseAttachment(toText(a)).value(), a);
  EXPECT_FALSE(parseAttachment("{}"));
}

}  // namespace
}  // namespace orrery
