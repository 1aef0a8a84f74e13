// Egress namespaces: one link, one daemon, and the servers that it was configured for. There is no
// NAT, no forwarding, no loopback and no name resolution here.
//
// Who may be spoken to is not said again: each line of the leak contract's uplink is a rule, those
// of ARP in a table of that family. What the contract cannot see, connection tracking adds: what
// comes in is an answer.
#include <algorithm>

#include "routers/contract/contract.h"
#include "routers/firewall/firewall.h"
#include "routers/firewall/parts.h"

namespace orrery {
namespace {

using namespace nft;
using namespace firewall;

bool isAll(const std::vector<Prefix4>& prefixes) {
  return prefixes.size() == 1 && prefixes.front().length == 0;
}

// A set of intervals takes none that lies within another.
std::vector<Prefix4> disjoint(std::vector<Prefix4> prefixes) {
  std::sort(prefixes.begin(), prefixes.end(), [](const Prefix4& a, const Prefix4& b) {
    return a.length != b.length ? a.length < b.length : a.address < b.address;
  });
  std::vector<Prefix4> kept;
  for (const Prefix4& prefix : prefixes)
    if (std::none_of(kept.begin(), kept.end(),
                     [&](const Prefix4& wider) { return wider.contains(prefix.address); }))
      kept.push_back(prefix);
  return kept;
}

Exprs partyIs(Side side, const Party& party) {
  Exprs exprs;
  if (!isAll(party.among)) exprs.emplace_back(Address{side, party.among, false});
  if (!party.except.empty()) exprs.emplace_back(Address{side, disjoint(party.except), true});
  return exprs;
}

Exprs headersOf(const Allowance& line) {
  Exprs exprs = partyIs(Side::source, line.source) + partyIs(Side::destination, line.destination);
  if (!line.protocols.empty()) exprs.push_back(l4(line.protocols));
  if (!line.icmpTypes.empty()) exprs.emplace_back(IcmpType{line.icmpTypes, false});
  if (line.sourcePort) exprs.push_back(fromPort(*line.sourcePort));
  if (line.destinationPort) exprs.push_back(toPort(*line.destinationPort));
  return exprs;
}

CtState stateOf(const Allowance& line) {
  if (line.way == Way::out) return {.established = true, .related = true, .fresh = !line.openOnly};
  const bool error = !line.icmpTypes.empty();
  return {.established = !error, .related = error};
}

bool hasParties(const Allowance& line) {
  return !line.source.among.empty() && !line.destination.among.empty();
}

// The uplink's lines of one direction. The upper bound is that of a router that is ready: states in
// which less is sent need no other ruleset, there it is the processes that are missing.
std::vector<Rule> rulesOf(const LinkContract& uplink, Way way) {
  std::vector<Rule> rules;
  for (const Allowance& line : uplink.allowed)
    if (line.form == FrameForm::ipv4 && line.way == way && hasParties(line))
      rules.push_back(accept(line.name, Exprs{way == Way::out ? out(kUplink) : in(kUplink)} +
                                            headersOf(line) + Exprs{stateOf(line)}));
  return rules;
}

// The fields of RFC 826 that a line ties to single addresses; whose subnet the other one is in, it
// leaves to the sysctls (arp_announce, arp_ignore).
void arpRules(std::vector<Rule>& rules, const Allowance& line) {
  const auto single = [](const Party& party) {
    return std::all_of(party.among.begin(), party.among.end(),
                       [](const Prefix4& p) { return p.length == 32; });
  };
  const std::uint8_t operation = line.form == FrameForm::arpRequest ? 1 : 2;
  const Exprs head = {line.way == Way::out ? out(kUplink) : in(kUplink), arpHead(),
                      bytesAt(PayloadBase::network, 6, {0, operation})};
  std::vector<Exprs> senders = {{}}, targets = {{}};
  if (single(line.source)) {
    senders.clear();
    for (const Prefix4& p : line.source.among) senders.push_back({arpSender(p.address)});
  }
  if (single(line.destination)) {
    targets.clear();
    for (const Prefix4& p : line.destination.among) targets.push_back({arpTarget(p.address)});
  }
  for (const Exprs& sender : senders)
    for (const Exprs& target : targets) rules.push_back(accept(line.name, head + sender + target));
}

Table arpTable(const LinkContract& uplink) {
  std::vector<Rule> input, output;
  for (const Allowance& line : uplink.allowed)
    if (line.form != FrameForm::ipv4) arpRules(line.way == Way::out ? output : input, line);
  input.push_back(drop("arp", {}));
  output.push_back(drop("arp", {}));
  Table table{Family::arp, kTableName, {}};
  table.chains.push_back(chain("input", Hook::input, priority::kFilter, std::move(input)));
  table.chains.push_back(chain("output", Hook::output, priority::kFilter, std::move(output)));
  return table;
}

}  // namespace

Ruleset egressRuleset(const RouterSpec& spec, const UplinkFacts& facts) {
  std::vector<Rule> guard = {impossibleTcp()};
  guard.push_back(drop("spoofed-source", {from(impossibleSources())}));
  guard.push_back(drop("spoofed-source", {from({only(facts.address)})}));
  guard.push_back(accept("ours", {in(kUplink), to({only(facts.address)})}));
  guard.push_back(drop("not-for-us", {}));

  const Contract contract =
      contractOf(spec, {facts, std::nullopt, std::nullopt}, ContractState::ready);
  const LinkContract* line = contract.link(LinkSide::uplink);
  const LinkContract uplink = hasEgressNamespace(spec) && line != nullptr ? *line : closedLink();
  std::vector<Rule> input = rulesOf(uplink, Way::in);
  std::vector<Rule> output = rulesOf(uplink, Way::out);
  input.push_back(drop("unsolicited", {}));
  output.push_back(drop("elsewhere", {}));

  Table table{Family::ip, kTableName, {}};
  table.chains.push_back(chain("guard", Hook::prerouting, priority::kRaw, std::move(guard)));
  table.chains.push_back(chain("input", Hook::input, priority::kFilter, std::move(input)));
  table.chains.push_back(
      chain("forward", Hook::forward, priority::kFilter, {drop("forwarded", {})}));
  table.chains.push_back(chain("output", Hook::output, priority::kFilter, std::move(output)));
  return canonical({{std::move(table), arpTable(uplink), noIpv6()}});
}

}  // namespace orrery
