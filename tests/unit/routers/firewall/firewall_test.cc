#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "netns/nft/text.h"
#include "sandbox/base/file.h"
#include "tests/support/ruleset_eval.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using namespace nft;

const Table* tableOf(const Ruleset& ruleset, Family family) {
  for (const Table& table : ruleset.tables)
    if (table.family == family) return &table;
  return nullptr;
}
const Chain* chainOf(const Ruleset& ruleset, Family family, const std::string& name) {
  const Table* table = tableOf(ruleset, family);
  if (table == nullptr) return nullptr;
  for (const Chain& chain : table->chains)
    if (chain.name == name) return &chain;
  return nullptr;
}
template <class T>
bool has(const Rule& rule) {
  return std::any_of(rule.exprs.begin(), rule.exprs.end(),
                     [](const Expr& e) { return std::holds_alternative<T>(e); });
}
template <class T>
const T* find(const Rule& rule) {
  for (const Expr& expr : rule.exprs)
    if (const T* found = std::get_if<T>(&expr)) return found;
  return nullptr;
}
bool accepts(const Rule& rule) {
  return has<Accept>(rule) || has<Masquerade>(rule) || has<Redirect>(rule) || has<Jump>(rule);
}

TEST(FirewallGolden, EveryRulesetIsAsReviewed) {
  const bool update = std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr;
  for (const auto& sample : samples::all()) {
    const std::string path =
        std::string(ORRERY_SOURCE_DIR) + "/tests/golden/rulesets/" + sample.name + ".nft";
    const std::string text = toText(sample.ruleset);
    if (update) {
      ASSERT_TRUE(writeFileAtomic(path, text));
    }
    const auto golden = readFile(path);
    ASSERT_TRUE(golden) << golden.error().message;
    EXPECT_EQ(text, *golden) << path << " (ORRERY_UPDATE_GOLDEN=1 rewrites it)";
  }
}

TEST(Firewall, EveryRulesetIsCanonicalAndDeniesByDefault) {
  for (const auto& sample : samples::all()) {
    SCOPED_TRACE(sample.name);
    EXPECT_EQ(canonical(sample.ruleset), sample.ruleset);
    for (const Table& table : sample.ruleset.tables) {
      EXPECT_EQ(table.name, kTableName);
      for (const Chain& chain : table.chains) {
        ASSERT_TRUE(chain.base) << chain.name;
        EXPECT_EQ(chain.base->policy, Policy::drop) << chain.name;
        ASSERT_FALSE(chain.rules.empty());
        if (chain.name == "nudges") continue;  // says what is not tracked; `output` judges it
        EXPECT_TRUE(has<Drop>(chain.rules.back()) && chain.rules.back().counter)
            << chain.name << " must count what nothing took";
      }
    }
  }
}

TEST(Firewall, EveryRuleSaysWhatItIsAndEveryDropIsCounted) {
  for (const auto& sample : samples::all())
    for (const Table& table : sample.ruleset.tables)
      for (const Chain& chain : table.chains)
        for (const Rule& rule : chain.rules) {
          EXPECT_FALSE(rule.comment.empty()) << toText(rule, table.family);
          EXPECT_LE(rule.comment.size(), kMaxCommentLength);
          if (has<Drop>(rule) || has<Reject>(rule)) {
            EXPECT_TRUE(rule.counter) << rule.comment;
          }
        }
}

TEST(Firewall, FiltersCoverEveryHookOfIpv4AndIpv6) {
  for (const auto& sample : samples::all()) {
    SCOPED_TRACE(sample.name);
    for (const Family family : {Family::ip, Family::ip6}) {
      std::set<Hook> hooks;
      const Table* table = tableOf(sample.ruleset, family);
      ASSERT_NE(table, nullptr);
      for (const Chain& chain : table->chains)
        if (chain.base->type == ChainType::filter) hooks.insert(chain.base->hook);
      EXPECT_THAT(hooks,
                  testing::ElementsAre(Hook::prerouting, Hook::input, Hook::forward, Hook::output));
    }
    for (const Chain& chain : tableOf(sample.ruleset, Family::ip6)->chains)
      for (const Rule& rule : chain.rules) EXPECT_FALSE(accepts(rule));
  }
}

TEST(Firewall, ProxiedAndEgressNamespacesForwardNothing) {
  for (const char* name : {"star-tor", "star-tor.egress", "galaxy-socks5", "galaxy-socks5.egress",
                           "galaxy-openvpn.egress", "galaxy-wireguard.egress"}) {
    for (const auto& sample : samples::all()) {
      if (sample.name != name) continue;
      const Chain* forward = chainOf(sample.ruleset, Family::ip, "forward");
      ASSERT_NE(forward, nullptr);
      for (const Rule& rule : forward->rules) EXPECT_FALSE(accepts(rule)) << name;
    }
  }
}

// nft_tproxy.c: without a listener the rule ends and the packet goes on.
TEST(Firewall, EveryTproxyIsFollowedByADropOfTheSameMatch) {
  int found = 0;
  for (const auto& sample : samples::all())
    for (const Table& table : sample.ruleset.tables)
      for (const Chain& chain : table.chains)
        for (std::size_t i = 0; i < chain.rules.size(); ++i) {
          if (!has<Tproxy>(chain.rules[i])) continue;
          ++found;
          ASSERT_LT(i + 1, chain.rules.size());
          std::vector<Expr> match;
          for (const Expr& expr : chain.rules[i].exprs)
            if (isMatch(expr)) match.push_back(expr);
          match.emplace_back(Drop{});
          EXPECT_EQ(chain.rules[i + 1].exprs, match) << sample.name;
        }
  EXPECT_EQ(found, 6) << "three in each of the two proxied namespaces";
}

TEST(Firewall, AProxiedNamespaceTakesInOnlyWhatCarriesTheMark) {
  const Ruleset ruleset = lanRuleset(samples::star());
  const Chain* input = chainOf(ruleset, Family::ip, "input");
  for (const Rule& rule : input->rules) {
    if (!accepts(rule) || rule.comment == "loopback" || rule.comment == "dhcp" ||
        rule.comment == "ping")
      continue;
    const Mark* mark = find<Mark>(rule);
    ASSERT_NE(mark, nullptr) << rule.comment;
    EXPECT_EQ(mark->value, kProxyMark);
  }
}

TEST(Firewall, AnEgressNamespaceSendsOnlyFromItsOwnAddressByItsOnlyLink) {
  for (const auto& sample : samples::all()) {
    if (sample.name.find(".egress") == std::string::npos) continue;
    for (const Rule& rule : chainOf(sample.ruleset, Family::ip, "output")->rules) {
      if (!accepts(rule)) continue;
      const Interface* link = find<Interface>(rule);
      const Address* source = find<Address>(rule);
      ASSERT_TRUE(link != nullptr && source != nullptr) << rule.comment;
      EXPECT_EQ(link->names, std::vector<std::string>{"uplink"});
      EXPECT_EQ(source->side, Side::source);
      EXPECT_EQ(source->prefixes, std::vector<Prefix4>{samples::net("10.0.0.7/32")});
    }
  }
}

TEST(Firewall, AnEgressNamespaceReachesEachEndpointAndNoOther) {
  std::vector<std::string> reached;
  const Ruleset ruleset = egressRuleset(samples::galaxyOpenVpn(), samples::facts());
  for (const Rule& rule : chainOf(ruleset, Family::ip, "output")->rules)
    if (accepts(rule)) reached.push_back(toText(rule, Family::ip));
  ASSERT_EQ(reached.size(), 2u);
  EXPECT_THAT(reached[0], testing::HasSubstr("daddr 198.18.1.10 meta l4proto udp th dport 1194 "));
  EXPECT_THAT(reached[1], testing::HasSubstr("daddr 198.18.1.11 meta l4proto tcp th dport 443 "));
}

TEST(Firewall, ARouterWithoutEgressNamespaceGetsAClosedOne) {
  const Ruleset ruleset = egressRuleset(samples::universe(), samples::facts());
  for (const Rule& rule : chainOf(ruleset, Family::ip, "output")->rules)
    EXPECT_FALSE(accepts(rule));
}

TEST(Firewall, ATunnelledNamespaceForwardsByTheTunnelOnly) {
  for (const auto& spec : {samples::galaxyOpenVpn(), samples::galaxyWireGuard()}) {
    const std::string tunnel = spec.id.name == "galaxy0" ? "tun0" : "wg0";
    const Ruleset ruleset = lanRuleset(spec);
    for (const Rule& rule : chainOf(ruleset, Family::ip, "forward")->rules) {
      if (!accepts(rule)) continue;
      for (const Expr& expr : rule.exprs)
        if (const auto* link = std::get_if<Interface>(&expr)) {
          EXPECT_THAT(link->names[0], testing::AnyOf(tunnel, spec.id.name)) << rule.comment;
        }
      EXPECT_NE(find<Interface>(rule), nullptr) << rule.comment;
    }
  }
}

// RFC 3927, section 2.6.2; RFC 6890. Not even by a flow that connection tracking knows, where one
// can come to be: an ICMP error of a flow comes from whom it likes.
TEST(Firewall, WhatNoRouterForwardsIsForwardedNeitherToNorFrom) {
  using State = test::EvalPacket::State;
  for (const auto& spec : {samples::universe(), samples::universeStatic(), samples::galaxyDirect(),
                           samples::galaxyOpenVpn(), samples::galaxyWireGuard()}) {
    SCOPED_TRACE(spec.id.name);
    const test::RulesetEval rules(lanRuleset(spec));
    std::string uplink = spec.kind == Kind::universe ? "ens1" : "uplink";
    if (std::holds_alternative<OpenVpnEgress>(spec.egress)) uplink = "tun0";
    if (std::holds_alternative<WireGuardEgress>(spec.egress)) uplink = "wg0";
    const Ipv4 client{spec.lan.address.network().value + 9};
    const auto out = [&](const char* to, State state) {
      test::EvalPacket packet;
      packet.in = spec.id.name;
      packet.out = uplink;
      packet.source = client;
      packet.destination = samples::ip(to);
      packet.destinationPort = 80;
      packet.state = state;
      return rules.passes(Hook::forward, packet);
    };
    const auto in = [&](const char* from) {
      test::EvalPacket packet;
      packet.in = uplink;
      packet.out = spec.id.name;
      packet.source = samples::ip(from);
      packet.destination = client;
      packet.protocol = 1;
      packet.icmpType = 3;
      packet.state = State::related;
      return rules.passes(Hook::prerouting, packet) && rules.passes(Hook::forward, packet);
    };
    for (const char* never :
         {"0.0.0.9", "127.0.0.2", "169.254.0.1", "169.254.255.254", "192.0.0.16", "192.0.0.171",
          "224.0.0.5", "240.0.0.1", "255.255.255.255"}) {
      SCOPED_TRACE(never);
      EXPECT_FALSE(out(never, State::fresh));
      EXPECT_FALSE(out(never, State::invalid));
      EXPECT_EQ(in(never), std::string(never).starts_with("192.0.0.")) << "RFC 7600";
    }
    for (const char* other :
         {"192.0.0.1", "192.0.0.9", "192.0.1.1", "169.253.0.1", "198.51.100.1"}) {
      SCOPED_TRACE(other);
      EXPECT_TRUE(out(other, State::fresh)) << "the control";
      EXPECT_TRUE(in(other)) << "the control";
    }
  }
}

// Of what a port's client sends, nothing is accepted that is not tied to who is known to be there.
TEST(Firewall, EveryFrameThatAPortMayPassIsTiedToItsOwner) {
  for (const auto& sample : samples::all()) {
    const Chain* guard = chainOf(sample.ruleset, Family::bridge, "prerouting");
    if (guard == nullptr) {
      EXPECT_NE(sample.name.find(".egress"), std::string::npos) << sample.name;
      continue;
    }
    const auto first = std::find_if(guard->rules.begin(), guard->rules.end(), [](const Rule& rule) {
      return rule.comment != "broadcast-flood";  // only where clients talk
    });
    EXPECT_TRUE(has<Accept>(*first)) << "an honest packet's way is one rule";
    for (const Rule& rule : guard->rules) {
      if (!accepts(rule)) continue;
      bool port = false, mac = false;
      for (const Expr& expr : rule.exprs)
        if (const auto* match = std::get_if<InSet>(&expr)) {
          EXPECT_FALSE(match->negated);
          const auto names = [&](KeyPart part) {
            return std::find(match->key.begin(), match->key.end(), part) != match->key.end();
          };
          port = port || names(KeyPart::inputName);
          mac = mac || names(KeyPart::etherSource);
        }
      EXPECT_TRUE(port && mac) << sample.name << ": " << rule.comment;
    }
  }
}

TEST(Firewall, AnOwnerIsElementsOfTheSetsThatTheRulesAsk) {
  PortOwner owner{IfName::parse("c0a010107").value(), Mac{{0, 0, 0x10, 1, 1, 7}},
                  samples::ip("10.1.1.7")};
  EXPECT_EQ(guardEntries(owner).size(), 3u);
  owner.router = true;
  const auto entries = guardEntries(owner);
  ASSERT_EQ(entries.size(), 4u);
  const Ruleset ruleset = lanRuleset(samples::galaxyWireGuard());  // without DHCP
  for (const SetElement& entry : entries) {
    const Table* table = tableOf(ruleset, entry.family);
    ASSERT_NE(table, nullptr);
    const auto set = std::find_if(table->sets.begin(), table->sets.end(),
                                  [&](const NamedSet& s) { return s.name == entry.set; });
    ASSERT_NE(set, table->sets.end()) << entry.set;
    ASSERT_EQ(set->key.size(), entry.key.size());
    for (std::size_t i = 0; i < entry.key.size(); ++i)
      EXPECT_EQ(static_cast<std::size_t>(set->key[i]), entry.key[i].index());
  }
}

FilterSpec filter(FilterDirection direction, std::uint32_t port) {
  FilterSpec spec;
  spec.direction = direction;
  spec.passes = {{0x28, 0, 0, 36}, {0x15, 0, 1, port}, {6, 0, 0, 0}, {6, 0, 0, 1}};
  return spec;
}

// A frame passes if every filter of its direction says so, and is counted by the first that does
// not.
TEST(Firewall, FiltersAreAChainForEachDirectionBehindTheGuard) {
  RouterSpec spec = samples::galaxyDirect();
  const auto before = lanRuleset(spec);
  spec.lan.filters = {filter(FilterDirection::fromClient, 1), filter(FilterDirection::toClient, 2),
                      filter(FilterDirection::fromClient, 3)};
  Ruleset with = lanRuleset(spec);
  EXPECT_EQ(canonical(with), with);
  Table* bridge = nullptr;
  for (Table& table : with.tables)
    if (table.family == Family::bridge) bridge = &table;
  ASSERT_NE(bridge, nullptr);
  std::vector<std::string> text;
  for (const char* name : {"from-client", "to-client"}) {
    const auto at = std::find_if(bridge->chains.begin(), bridge->chains.end(),
                                 [&](const Chain& chain) { return chain.name == name; });
    ASSERT_NE(at, bridge->chains.end()) << name;
    EXPECT_EQ(at->base->policy, Policy::drop);
    EXPECT_GT(at->base->priority, priority::kBridgeFilter);
    EXPECT_EQ(at->base->hook,
              name == std::string("to-client") ? Hook::postrouting : Hook::prerouting);
    for (const Rule& rule : at->rules) text.push_back(toText(rule, Family::bridge));
    bridge->chains.erase(at);
  }
  const auto program = [](int port) {
    return fmt::format("xt match bpf \"4,40 0 0 22,21 0 1 {},6 0 0 0,6 0 0 1\"", port);
  };
  EXPECT_THAT(text, testing::ElementsAre(
                        program(1) + " " + program(3) + " accept comment \"passes\"",
                        program(1) + " drop comment \"filter-3\"", "drop comment \"filter-1\"",
                        program(2) + " accept comment \"passes\"", "drop comment \"filter-2\""));
  EXPECT_EQ(with, before) << "all else is as it was";
}

TEST(Firewall, AFilterThatCannotBeUsedPassesNothing) {
  RouterSpec spec = samples::galaxyDirect();
  spec.lan.filters = {filter(FilterDirection::toClient, 2)};
  spec.lan.filters[0].passes[0] = {0x20, 0, 0, 12};  // across the end of the Ethernet header
  EXPECT_THAT(toText(lanRuleset(spec)), testing::HasSubstr("xt match bpf \"1,6 0 0 0\""));
}

TEST(Firewall, OnlyALanWithDhcpHearsWhoHasNoAddress) {
  RouterSpec spec = samples::star();
  for (const bool dhcp : {true, false}) {
    if (!dhcp) spec.lan.dhcp.reset();
    const Ruleset ruleset = lanRuleset(spec);
    const Chain* guard = chainOf(ruleset, Family::bridge, "prerouting");
    EXPECT_EQ(std::any_of(guard->rules.begin(), guard->rules.end(),
                          [](const Rule& rule) { return rule.comment == "dhcp"; }),
              dhcp);
  }
}

TEST(Firewall, ClientsTalkOnlyWhereTheDefinitionSaysSo) {
  RouterSpec spec = samples::galaxyDirect();
  for (const bool talk : {false, true}) {
    spec.lan.clientsTalk = talk;
    const Ruleset ruleset = lanRuleset(spec);
    const Chain* frames = chainOf(ruleset, Family::bridge, "forward");
    ASSERT_NE(frames, nullptr);
    EXPECT_EQ(std::any_of(frames->rules.begin(), frames->rules.end(), accepts), talk);
  }
}

}  // namespace
}  // namespace orrery
