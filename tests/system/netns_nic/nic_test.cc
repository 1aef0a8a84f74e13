// A veth stands in for a NIC: the "wire" end stays in a namespace of its own.
#include "netns/nic/nic.h"

#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

class Nic : public ::testing::Test {
 protected:
  void SetUp() override {
    must(createVeth(host_.rtnl, {.name = ifName("eth1"), .mac = kTrue, .up = true},
                    {.name = ifName("wire"),
                     .mac = mac("02:00:00:00:00:ff"),
                     .netns = &wire_.netns,
                     .up = true},
                    1492));
    note_ = noteOf(must(findNic(host_.rtnl, FindByName{ifName("eth1")})));
  }
  void expectAtHome() {
    const Link nic = host_.link("eth1");
    EXPECT_EQ(noteOf(nic), note_);
    EXPECT_EQ(must(listLinks(host_.rtnl)).size(), 2u);
    EXPECT_EQ(must(listLinks(router_.rtnl)).size(), 1u);
  }
  const Mac kTrue = mac("52:54:00:ab:cd:01");
  Place host_, wire_, router_;
  NicNote note_;
  NicWear wear_{.name = ifName("ens1"), .mac = mac("02:11:11:11:11:11")};
};

TEST_F(Nic, RoundTripRestoresEverything) {
  EXPECT_EQ(note_.name, "eth1");
  EXPECT_EQ(note_.mtu, 1492u);
  EXPECT_TRUE(note_.up);
  must(takeNic(host_.rtnl, router_.rtnl, note_, wear_));
  EXPECT_FALSE(host_.has("eth1"));
  const Link worn = router_.link("ens1");
  EXPECT_EQ(worn.mac, wear_.mac);
  EXPECT_FALSE(worn.up);
  EXPECT_EQ(must(getSysctls(router_.netns, {"ipv6/conf/ens1/disable_ipv6"}))[0].second, "1");
  must(takeNic(host_.rtnl, router_.rtnl, note_, wear_));  // done before
  must(setLinkUp(router_.rtnl, wear_.name));
  must(setLinkMtu(router_.rtnl, wear_.name, 1400));
  must(giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_));
  expectAtHome();
  must(giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_));  // done before
  must(giveBackNic(host_.rtnl, nullptr, note_, wear_));
  expectAtHome();
}

TEST_F(Nic, ADownNicComesBackDown) {
  must(setLinkDown(host_.rtnl, ifName("eth1")));
  note_ = noteOf(host_.link("eth1"));
  must(takeNic(host_.rtnl, router_.rtnl, note_, wear_));
  must(setLinkUp(router_.rtnl, wear_.name));
  must(giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_));
  EXPECT_FALSE(host_.link("eth1").up);
  expectAtHome();
}

TEST_F(Nic, CameHomeByItselfUnderAnotherName) {
  for (const char* name : {"ens1", "dev7"}) {
    must(takeNic(host_.rtnl, router_.rtnl, note_, wear_));
    // As the kernel sends a physical NIC home: down, worn MAC, worn name or devN.
    must(moveLink(router_.rtnl, wear_.name, host_.netns, ifName(name)));
    must(giveBackNic(host_.rtnl, nullptr, note_, wear_));
    expectAtHome();
  }
}

TEST_F(Nic, AtHomeAndUpUnderTheWornName) {
  must(takeNic(host_.rtnl, router_.rtnl, note_, wear_));
  must(moveLink(router_.rtnl, wear_.name, host_.netns));
  must(setLinkUp(host_.rtnl, wear_.name));
  must(giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_));
  expectAtHome();
}

TEST_F(Nic, WornByAnotherLinkIsLeftAlone) {
  // A virtual link with the same MAC is no NIC.
  must(createBridge(host_.rtnl, ifName("br0"), kTrue, 1500));
  EXPECT_EQ(must(findNic(host_.rtnl, FindByMac{kTrue})).name, "eth1");
  must(deleteLink(host_.rtnl, ifName("br0")));
}

TEST_F(Nic, NameTakenInTheRouterLeavesItOnTheHost) {
  must(createBridge(router_.rtnl, wear_.name, mac("02:00:00:00:00:aa"), 1500));
  const Status taken = takeNic(host_.rtnl, router_.rtnl, note_, wear_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().err, EEXIST);
  EXPECT_TRUE(taken.error().also.empty());
  EXPECT_EQ(noteOf(host_.link("eth1")), note_);
}

TEST_F(Nic, NameTakenOnTheHostIsToldAndMendedLater) {
  must(takeNic(host_.rtnl, router_.rtnl, note_, wear_));
  must(createBridge(host_.rtnl, ifName("eth1"), mac("02:00:00:00:00:aa"), 1500));
  const Status given = giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_);
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().err, EEXIST);
  EXPECT_EQ(host_.link("eth1").kind, "bridge");
  must(deleteLink(host_.rtnl, ifName("eth1")));
  must(giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_));
  expectAtHome();
}

TEST_F(Nic, BridgePortIsRefused) {
  must(createBridge(host_.rtnl, ifName("br0"), mac("02:00:00:00:00:aa"), 1500));
  must(setLinkMaster(host_.rtnl, ifName("eth1"), ifName("br0")));
  EXPECT_EQ(takeNic(host_.rtnl, router_.rtnl, note_, wear_).error().err, EBUSY);
  EXPECT_TRUE(host_.has("eth1"));
}

TEST_F(Nic, NowhereSaysWhatThereIs) {
  const auto none = findNic(host_.rtnl, FindByMac{mac("52:54:00:00:00:99")});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().err, ENODEV);
  EXPECT_EQ(none.error().message,
            "no NIC with MAC 52:54:00:00:00:99; there are: eth1 (52:54:00:ab:cd:01, veth)");
  must(deleteLink(host_.rtnl, ifName("eth1")));
  EXPECT_EQ(takeNic(host_.rtnl, router_.rtnl, note_, wear_).error().err, ENODEV);
  EXPECT_EQ(giveBackNic(host_.rtnl, &router_.rtnl, note_, wear_).error().err, ENODEV);
}

}  // namespace
}  // namespace orrery::test
