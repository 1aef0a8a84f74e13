#include "runtime/audit/structure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "routers/kinds/desired.h"
#include "tests/support/sample_specs.h"

namespace orrery::audit {
namespace {

using test::ip;
using test::prefix;
using testing::ElementsAre;
using testing::HasSubstr;

// A galaxy as its model says, with a client: each test then adds one thing.
class Structure : public testing::Test {
 protected:
  Structure() {
    spec_ = test::openvpnSpec();
    const Placement placement = test::behind(test::universeSpec(), "10.0.0.7");
    Surroundings around;
    around.ports = {owner_};
    around.users = UserSpan{0x70000000, 256};
    around.wayOut = prefix("10.8.0.6/24");
    models_ = modelOf(spec_, desiredState(spec_, placement), around);
    for (const NamespaceModel& model : models_)
      (model.name == spec_.id.text() ? lan_ : egress_) = &model;
    lanSeen_ = seen(*lan_);
    egressSeen_ = seen(*egress_);
    Link port = link(7, "c0a010105", "veth");
    port.master = 2;
    port.isolated = true;
    lanSeen_.snapshot.links = {link(1, "lo", ""), bridge(), port, link(8, "tun0", "tun")};
    lanSeen_.snapshot.addresses = {{1, prefix("127.0.0.1/8"), {}, 0, false},
                                   {2, prefix("10.1.1.254/24"), {}, 253, false},
                                   {8, prefix("10.8.0.6/24"), {}, 0, false}};
    lanSeen_.snapshot.routes = {
        kernelRoute("10.1.1.0/24", 2, 254), kernelRoute("10.8.0.0/24", 8, 254),
        kernelRoute("10.1.1.254/32", 2, 255), kernelRoute("10.1.1.255/32", 2, 255),
        kernelRoute("127.0.0.0/8", 1, 255)};
    Route out;
    out.destination = prefix("0.0.0.0/0");
    out.index = 8;
    lanSeen_.snapshot.routes.push_back(out);
    lanSeen_.rules.elements = guardEntries(owner_);
  }

  static Link link(int index, const char* name, const char* kind) {
    Link l;
    l.index = index;
    l.name = name;
    l.kind = kind;
    return l;
  }
  Link bridge() const {
    Link l = link(2, "galaxy0", "bridge");
    l.mac = spec_.lan.mac;
    return l;
  }
  static Route kernelRoute(const char* to, int index, std::uint32_t table) {
    Route route;
    route.destination = prefix(to);
    route.index = index;
    route.table = table;
    route.protocol = 2;
    if (table == 255) route.type = RouteType::local;
    return route;
  }
  static NamespaceSeen seen(const NamespaceModel& model) {
    NamespaceSeen s;
    s.ours = true;
    s.sysctls = model.sysctls;
    s.rules.ruleset = model.ruleset;
    s.snapshot.rules = {{0, 0, 0, 255, 1}, {32766, 0, 0, 254, 1}, {32767, 0, 0, 253, 1}};
    return s;
  }
  std::vector<std::string> lan() const { return compare(*lan_, lanSeen_); }

  const PortOwner owner_{IfName::parse("c0a010105").value(), parseMac("00:00:10:01:01:05").value(),
                         ip("10.1.1.5")};
  RouterSpec spec_;
  std::vector<NamespaceModel> models_;
  const NamespaceModel* lan_ = nullptr;
  const NamespaceModel* egress_ = nullptr;
  NamespaceSeen lanSeen_, egressSeen_;
};

TEST_F(Structure, WhatIsPlannedIsNoFinding) {
  EXPECT_THAT(lan(), ElementsAre());
  EXPECT_THAT(compare(*egress_, egressSeen_), ElementsAre());
}

TEST_F(Structure, WhatIsMissingAndClosesIsNoFinding) {
  lanSeen_.snapshot.links.pop_back();
  lanSeen_.snapshot.addresses.pop_back();
  lanSeen_.snapshot.routes.pop_back();
  EXPECT_THAT(lan(), testing::Not(testing::Contains(HasSubstr("tun0"))));
}

TEST_F(Structure, AnExtraLinkIsNamed) {
  lanSeen_.snapshot.links.push_back(link(9, "leak", "veth"));
  EXPECT_THAT(lan(), ElementsAre("network0.galaxy0: link 'leak' (veth) is no part of the router"));
}

TEST_F(Structure, APortThatIsNotIsolatedIsNamed) {
  lanSeen_.snapshot.links[2].isolated = false;
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("port 'c0a010105' is not isolated")));
}

TEST_F(Structure, AMemberOfTheBridgeThatShouldNotBeIsNamed) {
  lanSeen_.snapshot.links[3].master = 2;
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("link 'tun0' is a port of 'galaxy0'")));
}

TEST_F(Structure, AnotherMacIsNamed) {
  lanSeen_.snapshot.links[1].mac = parseMac("02:00:00:00:00:01").value();
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("link 'galaxy0' has MAC 02:00:00:00:00:01")));
}

TEST_F(Structure, AnExtraAddressIsNamed) {
  const auto own =
      std::ranges::find(lanSeen_.snapshot.addresses, std::uint8_t{253}, &Address::scope);
  ASSERT_NE(own, lanSeen_.snapshot.addresses.end());
  own->scope = 0;
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("is not of scope link")));
  own->scope = 253;
  lanSeen_.snapshot.addresses.push_back({2, prefix("10.0.0.200/24"), {}, 0, false});
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("address 10.0.0.200/24 on 'galaxy0'")));
}

TEST_F(Structure, AnotherTunnelAddressThanTheSupervisorsIsNamed) {
  lanSeen_.snapshot.addresses.back().address = prefix("10.8.0.7/24");
  EXPECT_THAT(lan(), testing::Contains(HasSubstr("address 10.8.0.7/24 on 'tun0'")));
}

TEST_F(Structure, ExtraRoutesAreNamed) {
  Route route;
  route.destination = prefix("198.18.0.0/16");
  route.gateway = ip("10.1.1.9");
  route.index = 2;
  lanSeen_.snapshot.routes.push_back(route);
  route.protocol = 2;  // says that the kernel made it; the kernel makes none with a gateway
  route.destination = prefix("0.0.0.0/0");
  lanSeen_.snapshot.routes.push_back(route);
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("route 198.18.0.0/16 via 10.1.1.9 by 'galaxy0'"),
                                 HasSubstr("route default via 10.1.1.9 by 'galaxy0'")));
}

TEST_F(Structure, ExtraPolicyRulesAreNamed) {
  lanSeen_.snapshot.rules.push_back({99, 1, 0xffffffff, 100, 1});
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("rule 99 (mark 0x1, table 100)")));
}

TEST_F(Structure, ChangedSettingsAreNamed) {
  for (auto& [key, value] : egressSeen_.sysctls)
    if (key == "ipv4/ip_forward" || key == "ipv6/conf/all/disable_ipv6")
      value = value == "1" ? "0" : "1";
  egressSeen_.linkSysctls = {{"ipv4/conf/uplink/forwarding", "1"},
                             {"ipv6/conf/uplink/disable_ipv6", "0"},
                             {"ipv4/conf/uplink/proxy_arp", "0"}};
  EXPECT_THAT(
      compare(*egress_, egressSeen_),
      ElementsAre(HasSubstr("disable_ipv6 is 0, not 1"), HasSubstr("ip_forward is 1, not 0"),
                  HasSubstr("conf/uplink/forwarding is 1, not 0"),
                  HasSubstr("conf/uplink/disable_ipv6 is 0, not 1")));
}

TEST_F(Structure, ARemovedRuleIsNamed) {
  for (nft::Table& table : lanSeen_.rules.ruleset.tables)
    for (nft::Chain& chain : table.chains)
      if (chain.name == "forward" && table.family == nft::Family::ip) chain.rules.pop_back();
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("the ruleset is not the router's")));
}

TEST_F(Structure, AForeignTableIsNamed) {
  lanSeen_.rules.foreign = {"ip t"};
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("table 'ip t'")));
}

TEST_F(Structure, Ipv6AddressesAndForeignOwnersAreNamed) {
  lanSeen_.ipv6 = {"fe80::1 on 'galaxy0'"};
  lanSeen_.ours = false;
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("not owned"), HasSubstr("IPv6 address: fe80::1")));
}

TEST_F(Structure, PowerOverTheNamespaceIsNamed) {
  lanSeen_.processes = {{10, "dnsmasq", "0000000000001000", true},
                        {11, "sleep", "0000000000000000", false},
                        {12, "sh", "000001ffffffffff", false},
                        {13, "busybox", "0000000000002000", false}};
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("process 12 (sh)"), HasSubstr("process 13 (busybox)")));
}

TEST_F(Structure, RulesWithOtherConditionsAreNamed) {
  lanSeen_.snapshot.rules[1].narrowed = true;
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("rule 32766 (mark 0x0, table 254, with other")));
}

TEST_F(Structure, WhatActsOnALinksFramesIsNamed) {
  lanSeen_.attached.traffic.qdiscs = {{8, "fq_codel", 0, 0xffffffff}, {2, "clsact", 0, 0xfffffff1}};
  lanSeen_.attached.traffic.filters = {{2, "bpf", 0xfffffff2, 1}};
  lanSeen_.attached.traffic.programs = {{7, "XDP"}, {0, "socket lookup"}};
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("'galaxy0' has a queueing discipline 'clsact'"),
                                 HasSubstr("'galaxy0' has a tc filter 'bpf'"),
                                 HasSubstr("'c0a010105' has a BPF program at XDP"),
                                 HasSubstr("it has a BPF program at socket lookup")));
}

TEST_F(Structure, WhoeverTheGuardLetsInBesideAPortsOwnerIsNamed) {
  PortOwner other = owner_;
  other.address = ip("10.1.1.6");
  for (const nft::SetElement& each : guardEntries(other))
    if (std::ranges::find(lanSeen_.rules.elements, each) == lanSeen_.rules.elements.end())
      lanSeen_.rules.elements.push_back(each);
  EXPECT_THAT(lan(), testing::Not(ElementsAre()));
  for (const std::string& each : lan())
    EXPECT_THAT(each, testing::AllOf(HasSubstr("the guard's set '"), HasSubstr("10.1.1.6")));
}

TEST_F(Structure, WhatTheGuardKnowsOfAPortThatIsGoneIsNoFinding) {
  PortOwner gone = owner_;
  gone.port = IfName::parse("c0a010109").value();
  gone.mac = parseMac("00:00:10:01:01:09").value();
  for (const nft::SetElement& each : guardEntries(gone)) lanSeen_.rules.elements.push_back(each);
  EXPECT_THAT(lan(), ElementsAre());
  lanSeen_.snapshot.links.push_back(link(9, "c0a010109", "veth"));
  EXPECT_THAT(lan(), testing::Contains(HasSubstr("lets 'c0a010109', 00:00:10:01:01:09")));
}

TEST_F(Structure, AnOwnerWhomTheGuardDoesNotKnowIsNamed) {
  lanSeen_.rules.elements.clear();
  EXPECT_THAT(lan(), testing::Contains(HasSubstr("the guard's set 'ports' lacks 'c0a010105'")));
}

TEST_F(Structure, EntriesThatLeadElsewhereAreNamed) {
  lanSeen_.attached.forwarding = {{7, owner_.mac}, {7, parseMac("02:00:00:00:00:09").value()}};
  lanSeen_.attached.proxies = {{2, ip("10.1.1.77")}};
  lanSeen_.snapshot.neighbours = {{2, ip("10.1.1.5"), owner_.mac, 0x02},
                                  {2, ip("10.1.1.8"), owner_.mac, 0x80}};
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("looks for 02:00:00:00:00:09 behind 'c0a010105'"),
                                 HasSubstr("answers for 10.1.1.77 on 'galaxy0'"),
                                 HasSubstr("neighbour 10.1.1.8 on 'galaxy0' is set to")));
}

TEST_F(Structure, SocketsThatNoServiceOfTheRouterHasAreNamed) {
  egressSeen_.attached.sockets = {{"udp", 0x70000003, 5, "10.0.0.7:5000 > 0.0.0.0:0", ""},
                                  {"udp", 1000, 6, "10.0.0.7:1 > 0.0.0.0:0", ""},
                                  {"tcp", 0, 7, "0.0.0.0:22 > 0.0.0.0:0", ""},
                                  {"packet", 0, 8, "", "orrery-auditor"},
                                  {"packet", 0, 9, "", "tcpdump"},
                                  {"raw", 0x70000003, 10, "", ""}};
  EXPECT_THAT(compare(*egress_, egressSeen_),
              ElementsAre(HasSubstr("a udp socket of user 1000, 10.0.0.7:1"),
                          HasSubstr("a tcp socket of user 0, 0.0.0.0:22"),
                          HasSubstr("a packet socket, of 'tcpdump'"),
                          HasSubstr("a raw socket, of user 1879048195")));
}

TEST_F(Structure, MembershipsAndIpv6RoutesAreNamed) {
  lanSeen_.attached.memberships = {{"galaxy0", ip("224.0.0.1")}, {"galaxy0", ip("224.0.0.251")}};
  lanSeen_.attached.ipv6Routes = {"fd00::/64 by 'galaxy0'"};
  EXPECT_THAT(lan(), ElementsAre(HasSubstr("joined the multicast group 224.0.0.251"),
                                 HasSubstr("an IPv6 route: fd00::/64")));
}

TEST_F(Structure, UdhcpcOfAUniverseIsTheDeclaredException) {
  const RouterSpec spec = test::universeSpec();
  Placement placement = test::nicPlacement();
  const auto models = modelOf(spec, desiredState(spec, placement), {});
  ASSERT_EQ(models.size(), 1u);
  NamespaceSeen universe = seen(models[0]);
  universe.processes = {{13, "busybox", "0000000000002000", false}};
  EXPECT_THAT(compare(models[0], universe), ElementsAre());
}

}  // namespace
}  // namespace orrery::audit
