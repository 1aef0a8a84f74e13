#include "netns/nft/ruleset.h"

#include <algorithm>
#include <type_traits>

namespace orrery::nft {
namespace {

template <class T>
void sortUnique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

struct Canonicalize {
  void operator()(Interface& e) const { sortUnique(e.names); }
  void operator()(Protocol& e) const { sortUnique(e.types); }
  void operator()(EtherType& e) const { sortUnique(e.types); }
  void operator()(L4Proto& e) const { sortUnique(e.protocols); }
  void operator()(PacketTypeIs& e) const { sortUnique(e.types); }
  void operator()(Address& e) const {
    for (Prefix4& prefix : e.prefixes) prefix.address = prefix.network();
    sortUnique(e.prefixes);
  }
  void operator()(Port& e) const { sortUnique(e.ranges); }
  void operator()(IcmpType& e) const { sortUnique(e.types); }
  void operator()(FibType& e) const { sortUnique(e.types); }
  void operator()(TcpFlags& e) const { sortUnique(e.values); }
  void operator()(EtherAddress& e) const { sortUnique(e.addresses); }
  template <class T>
  void operator()(T&) const {}
};

}  // namespace

Ruleset canonical(Ruleset ruleset) {
  std::stable_sort(ruleset.tables.begin(), ruleset.tables.end(),
                   [](const Table& a, const Table& b) { return a.family < b.family; });
  for (Table& table : ruleset.tables)
    std::sort(table.sets.begin(), table.sets.end(),
              [](const NamedSet& a, const NamedSet& b) { return a.name < b.name; });
  for (Table& table : ruleset.tables)
    for (Chain& chain : table.chains)
      for (Rule& rule : chain.rules)
        for (Expr& expr : rule.exprs) std::visit(Canonicalize{}, expr);
  return ruleset;
}

KeyType typeOf(KeyPart part) {
  switch (part) {
    case KeyPart::inputName:
      return KeyType::ifName;
    case KeyPart::etherSource:
    case KeyPart::arpSenderMac:
    case KeyPart::dhcpClientMac:
      return KeyType::etherAddress;
    case KeyPart::ipSource:
    case KeyPart::arpSenderIp:
      return KeyType::ipv4Address;
  }
  return KeyType::ifName;
}

Ruleset withoutCounts(Ruleset ruleset) {
  for (Table& table : ruleset.tables)
    for (Chain& chain : table.chains)
      std::erase_if(chain.rules, [&](const Rule& rule) {
        for (const Expr& expr : rule.exprs)
          if (const auto* count = std::get_if<OverCount>(&expr)) {
            std::erase_if(table.sets, [&](const NamedSet& set) { return set.name == count->set; });
            return true;
          }
        return false;
      });
  return ruleset;
}

const char* toString(Family family) {
  switch (family) {
    case Family::ip:
      return "ip";
    case Family::ip6:
      return "ip6";
    case Family::inet:
      return "inet";
    case Family::arp:
      return "arp";
    case Family::bridge:
      return "bridge";
    case Family::netdev:
      return "netdev";
  }
  return "?";
}

const char* toString(Hook hook) {
  switch (hook) {
    case Hook::prerouting:
      return "prerouting";
    case Hook::input:
      return "input";
    case Hook::forward:
      return "forward";
    case Hook::output:
      return "output";
    case Hook::postrouting:
      return "postrouting";
    case Hook::ingress:
      return "ingress";
  }
  return "?";
}

bool isMatch(const Expr& expr) {
  return std::visit(
      [](const auto& e) {
        using T = std::decay_t<decltype(e)>;
        constexpr bool kMatch = std::is_same_v<T, Interface> || std::is_same_v<T, Protocol> ||
                                std::is_same_v<T, EtherType> || std::is_same_v<T, L4Proto> ||
                                std::is_same_v<T, PacketTypeIs> || std::is_same_v<T, Address> ||
                                std::is_same_v<T, Fragment> || std::is_same_v<T, Port> ||
                                std::is_same_v<T, IcmpType> || std::is_same_v<T, CtState> ||
                                std::is_same_v<T, CtStatus> || std::is_same_v<T, FibType> ||
                                std::is_same_v<T, FibReversePath> || std::is_same_v<T, TcpFlags> ||
                                std::is_same_v<T, Mark> || std::is_same_v<T, EtherAddress> ||
                                std::is_same_v<T, Payload> || std::is_same_v<T, ShorterThan> ||
                                std::is_same_v<T, InSet> || std::is_same_v<T, Bpf> || std::is_same_v<T, OverRate> ||
                                std::is_same_v<T, OverCount> || std::is_same_v<T, Limit>;
        return kMatch;
      },
      expr);
}

}  // namespace orrery::nft
