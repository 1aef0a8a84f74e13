// The limits of each client, held against the rulesets that they become.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "netns/nft/text.h"
#include "tests/support/ruleset_eval.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using namespace nft;
using test::EvalPacket;
using test::RulesetEval;

std::vector<RouterSpec> lans() {
  return {samples::universe(),      samples::universeStatic(),  samples::galaxyDirect(),
          samples::galaxyOpenVpn(), samples::galaxyWireGuard(), samples::galaxySocks5(),
          samples::star()};
}

// The dynamic sets that a rule asks.
std::set<std::string> metersOf(const Rule& rule) {
  std::set<std::string> names;
  for (const Expr& expr : rule.exprs) {
    if (const auto* e = std::get_if<OverRate>(&expr)) names.insert(e->set);
    if (const auto* e = std::get_if<OverCount>(&expr)) names.insert(e->set);
  }
  return names;
}

std::set<std::string> metersOf(const Ruleset& ruleset) {
  std::set<std::string> names;
  for (const Table& table : ruleset.tables)
    for (const Chain& chain : table.chains)
      for (const Rule& rule : chain.rules) names.merge(metersOf(rule));
  return names;
}

RouterSpec unlimited(RouterSpec spec) {
  spec.clientLimits = {0, 0, 0, 0, 0, 0, 0, 0, 0, true};
  return spec;
}

EvalPacket ofClient(const RouterSpec& spec) {
  EvalPacket packet;
  packet.in = spec.id.name;
  packet.source = Ipv4{spec.lan.address.network().value + 7};
  packet.destination = samples::ip("198.51.100.7");
  packet.out = std::holds_alternative<OpenVpnEgress>(spec.egress)     ? "tun0"
               : std::holds_alternative<WireGuardEgress>(spec.egress) ? "wg0"
               : std::holds_alternative<NicUplink>(spec.uplink)       ? "ens1"
                                                                      : "uplink";
  packet.protocol = protocol::kTcp;
  packet.sourcePort = 40000;
  packet.destinationPort = 80;
  return packet;
}

bool isProxied(const RouterSpec& spec) {
  return std::holds_alternative<TorEgress>(spec.egress) ||
         std::holds_alternative<Socks5Egress>(spec.egress);
}

TEST(ClientLimits, DropWhatIsBeyondThemAndNothingElse) {
  for (const RouterSpec& spec : lans()) {
    SCOPED_TRACE(spec.id.name);
    const RulesetEval rules(lanRuleset(spec));
    const Hook hook = isProxied(spec) ? Hook::prerouting : Hook::forward;
    EvalPacket packet = ofClient(spec);
    EXPECT_TRUE(rules.passes(hook, packet));
    for (const char* set : {"new-rate", "flows"}) {
      packet = ofClient(spec);
      packet.overLimits = {set};
      EXPECT_FALSE(rules.passes(hook, packet)) << set;
      packet.state = EvalPacket::State::established;
      EXPECT_TRUE(rules.passes(hook, packet)) << set << " is asked of what begins only";
      packet.state = EvalPacket::State::fresh;
      packet.translated = true;
      EXPECT_EQ(rules.passes(hook, packet), !isProxied(spec)) << "of a flow that nobody answers";
      packet.translated = false;
      packet.fromRouter = true;
      EXPECT_TRUE(rules.passes(hook, packet)) << set << " is not for routers downstream";
    }
  }
}

TEST(ClientLimits, OfTheRouterItselfAreAskedOfEstablishedFlowsToo) {
  for (const RouterSpec& spec : lans()) {
    SCOPED_TRACE(spec.id.name);
    const RulesetEval rules(lanRuleset(spec));
    const Hook hook = isProxied(spec) ? Hook::prerouting : Hook::input;
    for (const auto state : {EvalPacket::State::fresh, EvalPacket::State::established}) {
      EvalPacket query = ofClient(spec);
      query.destination = spec.lan.address.address;
      query.protocol = protocol::kUdp;
      query.destinationPort = 53;
      query.state = state;
      EXPECT_TRUE(rules.passes(hook, query));
      query.overLimits = {"dns-rate"};
      EXPECT_FALSE(rules.passes(hook, query));
      if (!spec.lan.dhcp) continue;
      EvalPacket request = query;
      request.overLimits.clear();
      request.sourcePort = 68;
      request.destinationPort = 67;
      EXPECT_TRUE(rules.passes(hook, request));
      request.ownLease = false;
      EXPECT_FALSE(rules.passes(hook, request)) << "under another's hardware address";
      request.ownLease = true;
      request.overLimits = {"dhcp-rate"};
      EXPECT_FALSE(rules.passes(hook, request));
    }
  }
}

// The forwarding of small packets is measured: what most of them meet is not to grow.
TEST(ClientLimits, AskNothingOfAnEstablishedFlow) {
  for (const RouterSpec& spec : lans()) {
    if (isProxied(spec)) continue;
    for (const Table& table : lanRuleset(spec).tables)
      for (const Chain& chain : table.chains) {
        if (table.family != Family::ip || chain.name != "forward") continue;
        const auto last = std::find_if(chain.rules.rbegin(), chain.rules.rend(), [](const Rule& r) {
          return r.comment == "outbound" || r.comment == "answers";
        });
        for (auto rule = last; rule != chain.rules.rend(); ++rule)
          if (rule->comment != "tunnel-packets") {
            EXPECT_TRUE(metersOf(*rule).empty()) << spec.id.name << ": " << rule->comment;
          }
      }
    const bool tunnel = !std::holds_alternative<DirectEgress>(spec.egress);
    EXPECT_EQ(metersOf(lanRuleset(spec)).count("tunnel-rate"), tunnel ? 1u : 0u);
  }
}

TEST(ClientLimits, OfZeroAreNoRules) {
  for (const RouterSpec& spec : lans()) {
    EXPECT_GE(metersOf(lanRuleset(spec)).size(), 5u);
    EXPECT_EQ(metersOf(lanRuleset(unlimited(spec))), std::set<std::string>{"ping-rate"});
  }
}

TEST(ClientLimits, EveryMeterHasItsSetAndEverySetItsRoom) {
  for (const RouterSpec& spec : lans())
    for (const Table& table : lanRuleset(spec).tables) {
      std::set<std::string> dynamic;
      for (const NamedSet& set : table.sets) {
        if (set.dynamic) dynamic.insert(set.name);
        EXPECT_EQ(set.size, 1024u) << set.name << ": of every port that a bridge can have";
      }
      EXPECT_EQ(metersOf(Ruleset{{table}}), dynamic);
    }
}

TEST(ClientLimits, WithoutCountsAllElseStays) {
  const Ruleset full = lanRuleset(samples::galaxyDirect());
  const Ruleset lesser = withoutCounts(full);
  EXPECT_EQ(metersOf(full).count("flows"), 1u);
  EXPECT_EQ(metersOf(lesser).count("flows") + metersOf(lesser).count("dns-flows"), 0u);
  EXPECT_EQ(metersOf(lesser).count("new-rate"), 1u);
  EXPECT_EQ(withoutCounts(lesser), lesser);
  EXPECT_EQ(canonical(lesser), lesser);
}

TEST(ClientLimits, AnEntryWithoutAPortMayBeThatOfAnother) {
  const Mac mac{{2, 0, 0, 0, 0, 7}};
  const PortOwner gone{IfName::parse("c0a010107").value(), mac, samples::ip("10.1.1.7"), true};
  PortOwner present{IfName::parse("c0a010108").value(), mac, samples::ip("10.1.1.8")};
  const auto needed = [&] {
    std::set<std::string> sets;
    for (const SetElement& entry : guardEntries(gone))
      if (isGuardOfAnother(entry, guardEntries(present))) sets.insert(entry.set);
    return sets;
  };
  EXPECT_EQ(needed(), std::set<std::string>{"leases"}) << "a machine that moved";
  present.mac.bytes[5] = 8;
  EXPECT_TRUE(needed().empty());
  present.address = gone.address;
  EXPECT_EQ(needed(), std::set<std::string>{"routers"}) << "a router that has its address now";
}

}  // namespace
}  // namespace orrery
