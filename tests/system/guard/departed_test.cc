// Who has departed from a LAN is named by the guard's sets for a while (docs/adr/0014): nobody who
// is there can be him, neither by the port that had his name nor by another. The control: with his
// elements left in the sets of a port that somebody else has, what the impostor sends arrives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "runtime/control/paths.h"
#include "runtime/engine/port_owners.h"
#include "sandbox/base/file.h"
#include "tests/system/guard/bridge_lan.h"

namespace orrery {
namespace {

using frame::arp;
using frame::ethernet;
using frame::kArp;
using frame::kBroadcast;
using frame::kIpv4;
using frame::udp;
using guardtest::Bytes;
using guardtest::Client;
using guardtest::Lan;
using guardtest::ownerOf;
using guardtest::Wire;

constexpr std::uint64_t kCopies = 3;
constexpr const char* kTaken = "galaxy8";  // the port's name that somebody else has by now
constexpr const char* kGone = "galaxy9";   // one that no port has

struct Forgery {
  std::string name;
  std::string kind;  // under which it is counted
  Bytes bytes;
  bool passesIfKept = false;  // with the former's elements in the sets of the sender's port
};

// What `own` sends to the victim as if it were the one who has departed.
std::vector<Forgery> forgeries(const Lan& lan, const PortOwner& own, const PortOwner& former) {
  const PortOwner& victim = lan.victim.owner;
  const auto packet = [&](const Mac& mac, Ipv4 source) {
    return ethernet(victim.mac, mac, kIpv4,
                    udp({.source = source, .destination = victim.address}, 7, 7, "x"));
  };
  const auto question = [&](const Mac& mac, const Mac& sender, Ipv4 address) {
    return ethernet(kBroadcast, mac, kArp, arp(1, sender, address, Mac{}, victim.address));
  };
  const Bytes discover =
      udp({.source = Ipv4{0}, .destination = Ipv4{0xffffffff}}, 68, 67, "discover");
  return {
      {"its MAC, its address", "spoofed-mac", packet(former.mac, former.address), true},
      {"its MAC, one's own address", "spoofed-mac", packet(former.mac, own.address)},
      {"one's own MAC, its address", "spoofed-ip", packet(own.mac, former.address)},
      {"ARP as it", "spoofed-mac", question(former.mac, former.mac, former.address), true},
      {"ARP with its address", "arp-sender", question(own.mac, own.mac, former.address)},
      {"ARP with its MAC", "arp-sender", question(own.mac, former.mac, own.address)},
      {"ARP probe as it", "spoofed-mac", question(former.mac, former.mac, Ipv4{0}), true},
      {"DHCP as it", "spoofed-mac", ethernet(kBroadcast, former.mac, kIpv4, discover), true},
  };
}

// An honest packet to the victim: what came before it has been dealt with.
Bytes marker(const Lan& lan, const PortOwner& own) {
  const PortOwner& victim = lan.victim.owner;
  return ethernet(victim.mac, own.mac, kIpv4,
                  udp({.source = own.address, .destination = victim.address}, 40000, 40000, "end"));
}

class Departed : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    test::must(makeDirectories(RouterPaths(id(), root_).runDir));
    leave(ownerOf(kTaken, "10.1.3.8"));
    leave(ownerOf(kGone, "10.1.3.9"));
    ASSERT_EQ(elementsOf(kTaken), 2u) << "still in the sets";
    ASSERT_EQ(elementsOf(kGone), 2u);
  }
  void TearDown() override { test::must(removeTree(root_)); }

  const RouterId& id() const { return lan_.spec.id; }
  // Comes and goes, as by attach and detach.
  void leave(const PortOwner& owner) {
    test::must(admitOwner(lan_.rules, id(), owner, root_));
    const Client there(lan_.router, lan_.spec, owner);
    test::must(deleteLink(lan_.router.rtnl, owner.port));
    test::must(noteDeparture(id(), owner, root_));
  }
  std::size_t elementsOf(const std::string& port) {
    const auto elements = test::must(dumpCountedRuleset(lan_.rules)).elements;
    return static_cast<std::size_t>(
        std::count_if(elements.begin(), elements.end(), [&](const nft::SetElement& element) {
          const auto* name = std::get_if<std::string>(&element.key.front());
          return name != nullptr && *name == port;
        }));
  }
  // How many copies of the forgery reach the victim; all others are counted under its kind.
  std::uint64_t arriving(const Client& from, const Forgery& forgery) {
    Wire wire = from.wire(), victim = lan_.victim.wire();
    const auto before = lan_.counts()[forgery.kind];
    for (std::uint64_t i = 0; i < kCopies; ++i) wire.send(forgery.bytes);
    wire.send(marker(lan_, from.owner));
    const std::uint64_t came = victim.receiveUntil(marker(lan_, from.owner)).size();
    EXPECT_EQ(lan_.counts()[forgery.kind], before + kCopies - came);
    return came;
  }

  std::string root_ = "/tmp/orrery-departed-XXXXXX";
  Lan lan_{true};
};

TEST_F(Departed, CanBeImpersonatedByNobody) {
  const PortOwner owner = ownerOf(kTaken, "10.1.3.20");
  test::must(admitOwner(lan_.rules, id(), owner, root_));
  const Client successor(lan_.router, lan_.spec, owner);
  ASSERT_EQ(elementsOf(kTaken), 2u) << "its own";
  ASSERT_EQ(elementsOf(kGone), 2u) << "still in the sets";
  for (const PortOwner& former : {ownerOf(kTaken, "10.1.3.8"), ownerOf(kGone, "10.1.3.9")})
    for (const Client* from : std::initializer_list<const Client*>{&successor, &lan_.hostile})
      for (const Forgery& forgery : forgeries(lan_, from->owner, former)) {
        SCOPED_TRACE(former.port.str() + ", by " + from->owner.port.str() + ": " + forgery.name);
        EXPECT_EQ(arriving(*from, forgery), 0u);
      }
  const auto learned = lan_.learned();
  for (const PortOwner& former : {ownerOf(kTaken, "10.1.3.8"), ownerOf(kGone, "10.1.3.9")})
    EXPECT_TRUE(std::none_of(learned.begin(), learned.end(), [&](const auto& entry) {
      return entry.second == toString(former.mac);
    })) << "the bridge looks for nobody there";
}

TEST_F(Departed, CouldBeImpersonatedByWhoWasAdmittedBesideHim) {
  const PortOwner owner = ownerOf(kTaken, "10.1.3.20");
  test::must(addToSets(lan_.rules, guardEntries(owner)));
  const Client successor(lan_.router, lan_.spec, owner);
  const PortOwner former = ownerOf(kTaken, "10.1.3.8");
  for (const Forgery& forgery : forgeries(lan_, owner, former)) {
    if (!forgery.passesIfKept) continue;
    SCOPED_TRACE(forgery.name);
    EXPECT_EQ(arriving(successor, forgery), kCopies);
  }
}

// The bridge does not look into a DHCP message; the router does, before its server hears it.
TEST_F(Departed, HasNoLeaseThatAnotherCouldAskFor) {
  const PortOwner owner = ownerOf(kTaken, "10.1.3.20");
  test::must(admitOwner(lan_.rules, id(), owner, root_));
  const Client successor(lan_.router, lan_.spec, owner);
  const auto renewal = [&](const Mac& chaddr) {
    std::string message(240, '\0');
    std::copy(chaddr.bytes.begin(), chaddr.bytes.end(), message.begin() + 28);
    return ethernet(lan_.spec.lan.mac, owner.mac, kIpv4,
                    udp({.source = owner.address, .destination = lan_.spec.lan.address.address}, 68,
                        67, message));
  };
  Wire wire = successor.wire();
  std::uint64_t forged = 0;
  for (const PortOwner& former : {ownerOf(kTaken, "10.1.3.8"), ownerOf(kGone, "10.1.3.9")}) {
    wire.send(renewal(former.mac));
    EXPECT_EQ(lan_.allCounts()["dhcp-forged"], ++forged);
  }
  wire.send(renewal(owner.mac));
  EXPECT_EQ(lan_.allCounts()["dhcp-forged"], forged);
}

}  // namespace
}  // namespace orrery
