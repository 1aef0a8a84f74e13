#include <gtest/gtest.h>

#include "netns/nic/nic.h"

namespace orrery {
namespace {

Mac mac(std::uint8_t last) {
  return Mac{{0x52, 0x54, 0, 0xab, 0xcd, last}};
}

std::vector<Link> machine() {
  Link lo{.index = 1, .name = "lo", .loopback = true};
  Link eth0{.index = 2,
            .name = "eth0",
            .mac = mac(9),
            .permanentMac = mac(1),
            .parentBus = "pci",
            .parentDevice = "0000:02:01.0"};
  Link eth1{.index = 3,
            .name = "eth1",
            .mac = mac(2),
            .permanentMac = mac(2),
            .parentBus = "pci",
            .parentDevice = "0000:02:02.0"};
  Link bridge{.index = 4, .name = "br0", .kind = "bridge", .mac = mac(2)};
  Link impostor{.index = 5, .name = "veth1", .kind = "veth", .mac = mac(1)};
  return {lo, eth0, eth1, bridge, impostor};
}

FindNicBy byName(const char* name) {
  return FindByName{IfName::parse(name).value()};
}

TEST(ChooseNic, ByWhatIsAsked) {
  const auto links = machine();
  EXPECT_EQ(chooseNic(links, byName("eth1"))->index, 3);
  EXPECT_EQ(chooseNic(links, FindByPci{"0000:02:01.0"})->index, 2);
  EXPECT_EQ(chooseNic(links, FindByMac{mac(1)})->index, 2) << "burnt in beats worn";
  EXPECT_EQ(chooseNic(links, FindByMac{mac(9)})->index, 2) << "worn will do";
  EXPECT_EQ(chooseNic(links, FindByMac{mac(2)})->index, 3) << "a bridge is no NIC";
}

TEST(ChooseNic, WhatCannotBeOneIsNotFound) {
  const auto links = machine();
  EXPECT_EQ(chooseNic(links, byName("lo")).error().err, ENODEV);
  EXPECT_EQ(chooseNic(links, byName("br0")).error().err, ENODEV);
  EXPECT_EQ(chooseNic(links, FindByPci{""}).error().err, ENODEV);
  EXPECT_EQ(chooseNic(links, FindByPci{"0000:09:00.0"}).error().message,
            "no NIC at PCI slot 0000:09:00.0; there are: eth0 (52:54:00:ab:cd:01, pci "
            "0000:02:01.0), eth1 (52:54:00:ab:cd:02, pci 0000:02:02.0), veth1 "
            "(52:54:00:ab:cd:01, veth)");
  EXPECT_EQ(chooseNic({}, byName("eth0")).error().message, "no NIC named 'eth0'; there is none");
}

TEST(ChooseNic, TwoAreNoAnswer) {
  auto links = machine();
  links.push_back(Link{.index = 6, .name = "veth2", .kind = "veth", .mac = mac(7)});
  links.push_back(Link{.index = 7, .name = "veth3", .kind = "veth", .mac = mac(7)});
  const auto found = chooseNic(links, FindByMac{mac(7)});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().err, ENOTUNIQ);
}

TEST(ChooseNic, TheListInAnErrorIsBounded) {
  std::vector<Link> many;
  for (int i = 0; i < 100; ++i)
    many.push_back(Link{.index = i, .name = "veth" + std::to_string(i), .kind = "veth"});
  const auto found = chooseNic(many, byName("eth0"));
  EXPECT_NE(found.error().message.find("veth15"), std::string::npos);
  EXPECT_EQ(found.error().message.find("veth16"), std::string::npos);
  EXPECT_NE(found.error().message.find("84 more"), std::string::npos);
}

}  // namespace
}  // namespace orrery
