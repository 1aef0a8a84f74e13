// Rulesets evaluated in user space: would this packet pass? For tests that hold a ruleset against
// what it is meant to do, over more packets than a kernel could be sent.
//
// One hook's filter chains of one family are run over one packet, in the order of their priorities;
// NAT and connection tracking are the caller's: he says in the packet what they would have found.
// An expression that this file does not know makes the evaluation fail loudly.
#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "netns/nft/ruleset.h"

namespace orrery::test {

struct EvalPacket {
  std::string in, out;
  Ipv4 source, destination;
  std::uint8_t protocol = 17;
  std::optional<std::uint16_t> sourcePort, destinationPort;  // none: a later fragment, or no ports
  std::uint8_t icmpType = 0;
  std::uint8_t tcpFlags = nft::tcpflag::kSyn;
  bool fragment = false;
  enum class State { invalid, established, related, fresh } state = State::fresh;
  nft::PacketType type = nft::PacketType::host;
  nft::AddressType destinationType = nft::AddressType::local;  // by fib
  std::uint32_t mark = 0;
  bool translated = false;             // its flow, by an earlier packet: ct status snat
  bool fromRouter = false;             // the source is in the set of routers downstream
  bool ownLease = true;                // DHCP under the sender's own hardware address
  std::set<std::string> overLimits;    // dynamic sets in which its key is beyond the rate or count
  std::vector<std::uint8_t> network;  // the network layer's bytes; none: an IPv4 head, no options
};

class RulesetEval {
 public:
  explicit RulesetEval(const nft::Ruleset& ruleset, nft::Family family = nft::Family::ip) {
    for (const nft::Table& table : ruleset.tables)
      if (table.family == family) tables_.push_back(table);
  }

  // True if every filter chain at the hook accepts. The mark that rules set stays in `packet`.
  bool passes(nft::Hook hook, EvalPacket& packet) const {
    std::vector<std::pair<const nft::Table*, const nft::Chain*>> chains;
    for (const nft::Table& table : tables_)
      for (const nft::Chain& chain : table.chains)
        if (chain.base && chain.base->hook == hook && chain.base->type == nft::ChainType::filter)
          chains.emplace_back(&table, &chain);
    std::stable_sort(chains.begin(), chains.end(), [](const auto& a, const auto& b) {
      return a.second->base->priority < b.second->base->priority;
    });
    if (chains.empty()) throw std::logic_error("no chain at the hook");
    return std::all_of(chains.begin(), chains.end(), [&](const auto& at) {
      const Outcome outcome = run(*at.first, *at.second, packet, 0);
      return outcome == Outcome::accept ||
             (outcome == Outcome::goOn && at.second->base->policy == nft::Policy::accept);
    });
  }

 private:
  enum class Outcome { goOn, accept, drop };

  static Outcome run(const nft::Table& table, const nft::Chain& chain, EvalPacket& packet,
                     int depth) {
    if (depth > 8) throw std::logic_error("chains call each other in a circle");
    for (const nft::Rule& rule : chain.rules) {
      bool returned = false;
      const Outcome outcome = runRule(table, rule, packet, depth, returned);
      if (returned) return Outcome::goOn;
      if (outcome != Outcome::goOn) return outcome;
    }
    return Outcome::goOn;
  }

  static Outcome runRule(const nft::Table& table, const nft::Rule& rule, EvalPacket& packet,
                         int depth, bool& returned) {
    for (const nft::Expr& expr : rule.exprs) {
      if (nft::isMatch(expr)) {
        if (!matches(expr, packet)) return Outcome::goOn;
      } else if (std::holds_alternative<nft::Accept>(expr)) {
        return Outcome::accept;
      } else if (std::holds_alternative<nft::Drop>(expr) ||
                 std::holds_alternative<nft::Reject>(expr)) {
        return Outcome::drop;
      } else if (const auto* mark = std::get_if<nft::SetMark>(&expr)) {
        packet.mark = mark->value;
      } else if (std::holds_alternative<nft::Return>(expr)) {
        returned = true;
        return Outcome::goOn;
      } else if (const auto* jump = std::get_if<nft::Jump>(&expr)) {
        const Outcome outcome = run(table, chainOf(table, jump->chain), packet, depth + 1);
        if (outcome != Outcome::goOn) return outcome;
      } else if (const auto* go = std::get_if<nft::Goto>(&expr)) {
        returned = true;
        return run(table, chainOf(table, go->chain), packet, depth + 1);
      }  // the others change nothing that is judged here: tproxy, log, notrack, clamp, NAT
    }
    return Outcome::goOn;
  }

  static const nft::Chain& chainOf(const nft::Table& table, const std::string& name) {
    for (const nft::Chain& chain : table.chains)
      if (chain.name == name) return chain;
    throw std::logic_error("no chain " + name);
  }

  template <class T>
  static bool among(const std::vector<T>& values, const T& value, bool negated) {
    return (std::find(values.begin(), values.end(), value) != values.end()) != negated;
  }

  static bool matches(const nft::Expr& expr, const EvalPacket& p) {
    using namespace nft;
    if (const auto* m = std::get_if<Interface>(&expr))
      return among(m->names, m->direction == Direction::in ? p.in : p.out, m->negated);
    if (const auto* m = std::get_if<L4Proto>(&expr))
      return among(m->protocols, p.protocol, m->negated);
    if (const auto* m = std::get_if<PacketTypeIs>(&expr))
      return among(m->types, p.type, m->negated);
    if (const auto* m = std::get_if<Address>(&expr)) {
      const Ipv4 a = m->side == Side::source ? p.source : p.destination;
      return std::any_of(m->prefixes.begin(), m->prefixes.end(),
                         [&](const Prefix4& prefix) { return prefix.contains(a); }) != m->negated;
    }
    if (std::holds_alternative<Fragment>(expr)) return p.fragment;
    if (const auto* m = std::get_if<Port>(&expr)) {
      const auto& port = m->side == Side::source ? p.sourcePort : p.destinationPort;
      if (!port) return false;
      return std::any_of(m->ranges.begin(), m->ranges.end(), [&](const PortRange& range) {
               return range.first <= *port && *port <= range.last;
             }) != m->negated;
    }
    return matchesRest(expr, p);
  }

  static bool matchesRest(const nft::Expr& expr, const EvalPacket& p) {
    using namespace nft;
    if (const auto* m = std::get_if<IcmpType>(&expr))
      return among(m->types, p.icmpType, m->negated);
    if (const auto* m = std::get_if<CtState>(&expr))
      return (m->invalid && p.state == EvalPacket::State::invalid) ||
             (m->established && p.state == EvalPacket::State::established) ||
             (m->related && p.state == EvalPacket::State::related) ||
             (m->fresh && p.state == EvalPacket::State::fresh);
    if (const auto* m = std::get_if<CtStatus>(&expr))
      return (m->snat && p.translated) || (!m->snat && !m->dnat);
    if (const auto* m = std::get_if<FibType>(&expr))
      return among(m->types, p.destinationType, m->negated);
    if (const auto* m = std::get_if<TcpFlags>(&expr))
      return among(m->values, static_cast<std::uint8_t>(p.tcpFlags & m->mask), m->negated);
    if (const auto* m = std::get_if<Mark>(&expr)) return (p.mark == m->value) != m->negated;
    if (const auto* m = std::get_if<Limit>(&expr)) return !m->over;
    if (const auto* m = std::get_if<OverRate>(&expr)) return p.overLimits.count(m->set) != 0;
    if (const auto* m = std::get_if<OverCount>(&expr)) return p.overLimits.count(m->set) != 0;
    if (const auto* m = std::get_if<InSet>(&expr); m != nullptr && m->set == "routers")
      return p.fromRouter != m->negated;
    if (const auto* m = std::get_if<InSet>(&expr); m != nullptr && m->set == "leases")
      return p.ownLease != m->negated;
    if (const auto* m = std::get_if<Payload>(&expr)) return payloadMatches(*m, p);
    throw std::logic_error("an expression that the evaluator does not know");
  }

  static bool payloadMatches(const nft::Payload& m, const EvalPacket& p) {
    if (m.base == nft::PayloadBase::network && !p.network.empty())
      return (m.offset + m.bytes.size() <= p.network.size() &&
              std::equal(m.bytes.begin(), m.bytes.end(), p.network.begin() + m.offset)) !=
             m.negated;
    if (m.base != nft::PayloadBase::network || m.offset != 0 || m.bytes.size() != 1)
      throw std::logic_error("a payload match that the evaluator does not know");
    return (m.bytes[0] == 0x45) != m.negated;
  }

  std::vector<nft::Table> tables_;
};

}  // namespace orrery::test
