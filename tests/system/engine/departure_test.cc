// Who is gone from a LAN: the guard forgets him later, and until then it harms nobody
// (runtime/engine/port_owners.h).
#include "routers/firewall/firewall.h"
#include "runtime/engine/port_owners.h"
#include "tests/system/engine/supervised.h"

namespace orrery::test {
namespace {

constexpr const char* kGalaxyAlone = "/run/definitions/galaxy.toml";

class Departures : public Supervised {
 protected:
  void TearDown() override {
    must(removeFile(kGalaxyAlone));
    Supervised::TearDown();
  }

  // The elements that let a frame pass by the port of this name.
  static std::vector<nft::SetElement> known(const RouterId& lan, const std::string& port) {
    NftSocket rules = must(NftSocket::open(must(openNetns(lan.text()))));
    std::vector<nft::SetElement> found;
    for (const nft::SetElement& entry : must(dumpCountedRuleset(rules)).elements)
      if (const auto* name = std::get_if<std::string>(&entry.key.front());
          name != nullptr && *name == port)
        found.push_back(entry);
    return found;
  }
  static std::vector<nft::SetElement> of(const VethResource& veth) {
    std::vector<nft::SetElement> entries;
    for (nft::SetElement& entry : guardEntries({veth.portName, veth.mac, *veth.address}))
      if (std::holds_alternative<std::string>(entry.key.front()))
        entries.push_back(std::move(entry));
    std::ranges::sort(entries);
    return entries;
  }
  VethResource veth() const {
    for (const Resource& resource : must(readJournal(paths_.journal)))
      if (const auto* veth = std::get_if<VethResource>(&resource)) return *veth;
    throw std::runtime_error("no veth");
  }
  // The galaxy alone, with that address at its uplink.
  static void defineGalaxy(const std::string& address) {
    std::string text = definition();
    text = "version = 1\nnetwork = \"network0\"\n\n" + text.substr(text.find("[router.galaxy3]"));
    const std::string uplink = "uplink = \"universe0\"";
    text.replace(text.find(uplink), uplink.size(),
                 fmt::format("uplink = {{ router = \"universe0\", address = \"{}\" }}", address));
    must(writeFileAtomic(kGalaxyAlone, text));
  }
};

TEST_F(Departures, DestroyRemovesNone) {
  spawn();
  const VethResource gone = veth();
  ASSERT_EQ(known(universe_, "galaxy3"), of(gone));
  const Outcome down = routerctl("destroy", "galaxy3");
  EXPECT_EQ(down.code, 0) << down;
  EXPECT_TRUE(hasDepartures(universe_));
  EXPECT_EQ(known(universe_, "galaxy3"), of(gone));
  Rtnl lan = must(Rtnl::open(must(openNetns(universe_.text()))));
  EXPECT_FALSE(must(findLink(lan, gone.portName))) << "no port that they would count for";
  EXPECT_EQ(routerctl("gc").code, 0);
  EXPECT_FALSE(hasDepartures(universe_));
  EXPECT_TRUE(known(universe_, "galaxy3").empty());
}

TEST_F(Departures, DetachRemovesNone) {
  spawn();
  must(pinNetns(must(createNetns()), "client"));
  const Outcome attached = routerctl("attach", "galaxy3", "--netns", "client");
  ASSERT_EQ(attached.code, 0) << attached;
  const auto client = known(galaxy_, "c0a0104fd");
  ASSERT_EQ(client.size(), 2u);
  const Outcome detached = routerctl("detach", "galaxy3", "--all");
  EXPECT_EQ(detached.code, 0) << detached;
  EXPECT_TRUE(hasDepartures(galaxy_));
  EXPECT_EQ(known(galaxy_, "c0a0104fd"), client);
  ASSERT_EQ(routerctl("attach", "galaxy3", "--netns", "client").code, 0);
  EXPECT_EQ(routerctl("gc").code, 0);
  EXPECT_EQ(known(galaxy_, "c0a0104fd"), client) << "it is there again";
  EXPECT_EQ(routerctl("detach", "galaxy3", "--all").code, 0);
  must(unpinNetns("client"));
}

TEST_F(Departures, WhoComesUnderTheNameIsNotTakenForTheFormer) {
  spawn();
  const VethResource former = veth();
  ASSERT_EQ(routerctl("destroy", "galaxy3").code, 0);
  ASSERT_EQ(known(universe_, "galaxy3"), of(former));
  defineGalaxy("10.0.0.77");
  const Outcome up = routerctl("spawn", kGalaxyAlone);
  ASSERT_EQ(up.code, 0) << up;
  const VethResource present = veth();
  ASSERT_NE(*present.address, *former.address);
  EXPECT_EQ(known(universe_, "galaxy3"), of(present));
}

TEST_F(Departures, WhoComesBackKeepsItsGuard) {
  spawn();
  const VethResource former = veth();
  ASSERT_EQ(routerctl("destroy", "galaxy3").code, 0);
  defineGalaxy(toString(*former.address));
  const Outcome up = routerctl("spawn", kGalaxyAlone);
  ASSERT_EQ(up.code, 0) << up;
  ASSERT_EQ(veth().mac, former.mac);
  EXPECT_EQ(routerctl("gc").code, 0);
  EXPECT_FALSE(hasDepartures(universe_));
  EXPECT_EQ(known(universe_, "galaxy3"), of(former)) << "the record was struck out";
}

TEST_F(Departures, ManyAreSweptByTheNextWhoComes) {
  spawn();
  const VethResource galaxy = veth();
  {
    NftSocket rules = must(NftSocket::open(must(openNetns(universe_.text()))));
    for (std::size_t i = 0; i < kMostDepartures; ++i) {
      PortOwner gone;
      gone.port = must(IfName::parse(fmt::format("gone{}", i)));
      gone.address = Ipv4{galaxy.address->value + 10 + static_cast<std::uint32_t>(i)};
      gone.mac = macFromAddress(gone.address, 0);
      must(admitOwner(rules, universe_, gone));
      must(noteDeparture(universe_, gone));
    }
  }
  ASSERT_EQ(known(universe_, "gone0").size(), 2u);
  must(pinNetns(must(createNetns()), "client"));
  const Outcome attached = routerctl("attach", "universe0", "--netns", "client");
  EXPECT_EQ(attached.code, 0) << attached;
  EXPECT_FALSE(hasDepartures(universe_));
  for (std::size_t i = 0; i < kMostDepartures; ++i)
    EXPECT_TRUE(known(universe_, fmt::format("gone{}", i)).empty()) << i;
  EXPECT_EQ(known(universe_, "galaxy3"), of(galaxy));
  EXPECT_EQ(routerctl("detach", "universe0", "--all").code, 0);
  must(unpinNetns("client"));
}

}  // namespace
}  // namespace orrery::test
