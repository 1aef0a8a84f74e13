#include "netns/nft/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "netns/nft/vm.h"

namespace orrery::nft {
namespace {

const char* typeName(ChainType type) {
  switch (type) {
    case ChainType::filter:
      return "filter";
    case ChainType::nat:
      return "nat";
    case ChainType::route:
      return "route";
  }
  return "?";
}

std::string protocolName(std::uint8_t number) {
  switch (number) {
    case protocol::kIcmp:
      return "icmp";
    case protocol::kTcp:
      return "tcp";
    case protocol::kUdp:
      return "udp";
    default:
      return std::to_string(number);
  }
}

std::string etherTypeName(std::uint16_t type) {
  switch (type) {
    case ethertype::kIpv4:
      return "ip";
    case ethertype::kIpv6:
      return "ip6";
    case ethertype::kArp:
      return "arp";
    default:
      return fmt::format("0x{:04x}", type);
  }
}

const char* packetTypeName(PacketType type) {
  switch (type) {
    case PacketType::host:
      return "host";
    case PacketType::broadcast:
      return "broadcast";
    case PacketType::multicast:
      return "multicast";
    case PacketType::other:
      return "other";
  }
  return "?";
}

const char* addressTypeName(AddressType type) {
  switch (type) {
    case AddressType::unicast:
      return "unicast";
    case AddressType::local:
      return "local";
    case AddressType::broadcast:
      return "broadcast";
    case AddressType::multicast:
      return "multicast";
    case AddressType::blackhole:
      return "blackhole";
    case AddressType::unreachable:
      return "unreachable";
    case AddressType::prohibit:
      return "prohibit";
  }
  return "?";
}

std::string icmpTypeName(std::uint8_t type) {
  switch (type) {
    case 0:
      return "echo-reply";
    case 3:
      return "destination-unreachable";
    case 8:
      return "echo-request";
    case 11:
      return "time-exceeded";
    case 12:
      return "parameter-problem";
    default:
      return std::to_string(type);
  }
}

const char* perName(Per per) {
  switch (per) {
    case Per::second:
      return "second";
    case Per::minute:
      return "minute";
    case Per::hour:
      return "hour";
    case Per::day:
      return "day";
  }
  return "?";
}

const char* rejectName(RejectWith with) {
  switch (with) {
    case RejectWith::tcpReset:
      return "tcp reset";
    case RejectWith::netUnreachable:
      return "net-unreachable";
    case RejectWith::hostUnreachable:
      return "host-unreachable";
    case RejectWith::portUnreachable:
      return "port-unreachable";
    case RejectWith::adminProhibited:
      return "admin-prohibited";
  }
  return "?";
}

// nft's strings know no escapes: what would end one is replaced.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const bool plain = static_cast<unsigned char>(c) >= ' ' && c != '"' && c != '\\' && c != 127;
    out += plain ? c : '?';
  }
  return out + '"';
}

template <class T, class F>
std::string values(bool negated, const std::vector<T>& list, F print) {
  std::string out = negated ? "!= " : "";
  if (list.size() == 1) return out + print(list[0]);
  out += "{ ";
  for (std::size_t i = 0; i < list.size(); ++i) out += (i > 0 ? ", " : "") + print(list[i]);
  return out + " }";
}

std::string prefixText(const Prefix4& prefix) {
  return prefix.length == 32 ? toString(prefix.address) : toString(prefix);
}
std::string portText(const PortRange& range) {
  return range.first == range.last ? std::to_string(range.first)
                                   : fmt::format("{}-{}", range.first, range.last);
}

std::string flagNames(std::uint8_t flags) {
  constexpr const char* kNames[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"};
  std::string out;
  for (unsigned bit = 0; bit < 8; ++bit)
    if ((flags >> bit & 1) != 0) out += (out.empty() ? "" : " | ") + std::string(kNames[bit]);
  return out.empty() ? "0x0" : out;
}

std::string onlySet(std::initializer_list<std::pair<bool, const char*>> flags) {
  std::string out;
  for (const auto& [set, name] : flags)
    if (set) out += (out.empty() ? "" : ",") + std::string(name);
  return out.empty() ? "0" : out;
}

const char* partName(KeyPart part) {
  switch (part) {
    case KeyPart::inputName:
      return "iifname";
    case KeyPart::etherSource:
      return "ether saddr";
    case KeyPart::ipSource:
      return "ip saddr";
    case KeyPart::arpSenderMac:
      return "arp saddr ether";
    case KeyPart::arpSenderIp:
      return "arp saddr ip";
    case KeyPart::dhcpClientMac:
      return "@th,288,48";
  }
  return "?";
}

std::string keyText(const std::vector<KeyPart>& key) {
  std::string out;
  for (const KeyPart part : key) out += (out.empty() ? "" : " . ") + std::string(partName(part));
  return out;
}

const char* keyTypeName(KeyType type) {
  switch (type) {
    case KeyType::ifName:
      return "ifname";
    case KeyType::etherAddress:
      return "ether_addr";
    case KeyType::ipv4Address:
      return "ipv4_addr";
  }
  return "?";
}

std::string valueText(const KeyValue& value) {
  if (const auto* name = std::get_if<std::string>(&value)) return quoted(*name);
  if (const auto* mac = std::get_if<Mac>(&value)) return toString(*mac);
  return toString(std::get<Ipv4>(value));
}

struct Print {
  Family family;

  std::string operator()(const Interface& e) const {
    return fmt::format("{} {}", e.direction == Direction::in ? "iifname" : "oifname",
                       values(e.negated, e.names, quoted));
  }
  std::string operator()(const Protocol& e) const {
    return "meta protocol " + values(e.negated, e.types, etherTypeName);
  }
  std::string operator()(const EtherType& e) const {
    return "ether type " + values(e.negated, e.types, etherTypeName);
  }
  std::string operator()(const L4Proto& e) const {
    return "meta l4proto " + values(e.negated, e.protocols, protocolName);
  }
  std::string operator()(const PacketTypeIs& e) const {
    return "meta pkttype " +
           values(e.negated, e.types, [](PacketType t) { return std::string(packetTypeName(t)); });
  }
  std::string operator()(const Address& e) const {
    return fmt::format("ip {} {}", e.side == Side::source ? "saddr" : "daddr",
                       values(e.negated, e.prefixes, prefixText));
  }
  std::string operator()(const Fragment&) const { return "ip frag-off & 0x3fff != 0"; }
  std::string operator()(const Port& e) const {
    return fmt::format("th {} {}", e.side == Side::source ? "sport" : "dport",
                       values(e.negated, e.ranges, portText));
  }
  std::string operator()(const IcmpType& e) const {
    return "icmp type " + values(e.negated, e.types, icmpTypeName);
  }
  std::string operator()(const CtState& e) const {
    return "ct state " + onlySet({{e.invalid, "invalid"},
                                  {e.established, "established"},
                                  {e.related, "related"},
                                  {e.fresh, "new"},
                                  {e.untracked, "untracked"}});
  }
  std::string operator()(const CtStatus& e) const {
    return "ct status " + onlySet({{e.snat, "snat"}, {e.dnat, "dnat"}});
  }
  std::string operator()(const FibType& e) const {
    return fmt::format(
        "fib {}{} type {}", e.side == Side::source ? "saddr" : "daddr",
        e.onInputInterface ? " . iif" : "",
        values(e.negated, e.types, [](AddressType t) { return std::string(addressTypeName(t)); }));
  }
  std::string operator()(const FibReversePath& e) const {
    return e.exists ? "fib saddr . iif oif exists" : "fib saddr . iif oif missing";
  }
  std::string operator()(const TcpFlags& e) const {
    const bool one = e.values.size() == 1 && !e.negated;
    return fmt::format("tcp flags & ({}) {}{}", flagNames(e.mask), one ? "== " : "",
                       values(e.negated, e.values, flagNames));
  }
  std::string operator()(const Mark& e) const {
    return fmt::format("meta mark {}0x{:08x}", e.negated ? "!= " : "", e.value);
  }
  std::string operator()(const EtherAddress& e) const {
    return fmt::format(
        "ether {} {}", e.side == Side::source ? "saddr" : "daddr",
        values(e.negated, e.addresses, [](const Mac& mac) { return toString(mac); }));
  }
  std::string operator()(const Payload& e) const {
    constexpr const char* kBases[] = {"ll", "nh", "th"};
    std::string bytes;
    for (const std::uint8_t byte : e.bytes) bytes += fmt::format("{:02x}", byte);
    return fmt::format("@{},{},{} {}0x{}", kBases[static_cast<std::size_t>(e.base) % 3],
                       e.offset * 8u, e.bytes.size() * 8, e.negated ? "!= " : "", bytes);
  }
  std::string operator()(const ShorterThan& e) const {
    return fmt::format("meta length < {}", e.bytes);
  }
  std::string operator()(const InSet& e) const {
    return fmt::format("{} {}@{}", keyText(e.key), e.negated ? "!= " : "", e.set);
  }
  std::string operator()(const OverRate& e) const {
    return fmt::format("update @{} {{ {} limit rate over {}/second burst {} packets }}", e.set,
                       keyText(e.key), e.rate, e.burst);
  }
  std::string operator()(const OverCount& e) const {
    return fmt::format("add @{} {{ {} ct count over {} }}", e.set, keyText(e.key), e.most);
  }
  // As iptables writes it; nft has no words for it.
  std::string operator()(const Bpf& e) const {
    return fmt::format("xt match bpf {}", quoted(orrery::toText(e.program)));
  }
  std::string operator()(const Limit& e) const {
    return fmt::format("limit rate {}{}/{} burst {} packets", e.over ? "over " : "", e.rate,
                       perName(e.per), e.burst);
  }
  std::string operator()(const Accept&) const { return "accept"; }
  std::string operator()(const Drop&) const { return "drop"; }
  std::string operator()(const Return&) const { return "return"; }
  std::string operator()(const Jump& e) const { return "jump " + e.chain; }
  std::string operator()(const Goto& e) const { return "goto " + e.chain; }
  std::string operator()(const Reject& e) const {
    if (e.with == RejectWith::tcpReset) return "reject with tcp reset";
    const bool noRoute = e.with == RejectWith::netUnreachable && family != Family::ip;
    return fmt::format("reject with {} {}", family == Family::ip ? "icmp" : "icmpx",
                       noRoute ? "no-route" : rejectName(e.with));
  }
  std::string operator()(const Masquerade& e) const {
    return e.fullyRandom ? "masquerade fully-random" : "masquerade";
  }
  std::string operator()(const SourceNat& e) const { return "snat to " + toString(e.address); }
  std::string operator()(const DestinationNat& e) const {
    return "dnat to " + toString(e.address) + (e.port ? ":" + std::to_string(*e.port) : "");
  }
  std::string operator()(const Redirect& e) const {
    return e.port ? "redirect to :" + std::to_string(*e.port) : "redirect";
  }
  std::string operator()(const Tproxy& e) const {
    return fmt::format("tproxy to {}:{}", e.address ? toString(*e.address) : "", e.port);
  }
  std::string operator()(const SetMark& e) const {
    return fmt::format("meta mark set 0x{:08x}", e.value);
  }
  std::string operator()(const Log& e) const {
    return fmt::format("log {}group {}", e.prefix.empty() ? "" : "prefix " + quoted(e.prefix) + " ",
                       e.group);
  }
  std::string operator()(const NoTrack&) const { return "notrack"; }
  std::string operator()(const ClampMss&) const { return "tcp option maxseg size set rt mtu"; }
  std::string operator()(const Unknown& e) const { return "unknown(" + quoted(e.name) + ")"; }
};

bool hasWords(const Expr& expr) {
  // A raw load is an integer to nft, and no integer is looked up in a set of Ethernet addresses.
  if (const auto* e = std::get_if<InSet>(&expr))
    return std::find(e->key.begin(), e->key.end(), KeyPart::dhcpClientMac) == e->key.end();
  return !std::holds_alternative<Unknown>(expr);
}
bool hasWords(const Rule& rule) {
  return std::all_of(rule.exprs.begin(), rule.exprs.end(),
                     [](const Expr& expr) { return hasWords(expr); });
}

std::string ruleText(const Rule& rule, Family family, const std::string& counter) {
  std::string out;
  const auto add = [&](const std::string& word) {
    if (!word.empty()) out += (out.empty() ? "" : " ") + word;
  };
  bool counted = false;
  for (const Expr& expr : rule.exprs) {
    if (!isMatch(expr) && !std::exchange(counted, true)) add(counter);
    add(std::visit(Print{family}, expr));
  }
  if (!counted) add(counter);
  if (!rule.comment.empty()) add("comment " + quoted(rule.comment));
  return hasWords(rule) ? out : "# " + out;
}

std::string chainHead(const Base& base) {
  return fmt::format("\t\ttype {} hook {}{} priority {}; policy {};\n", typeName(base.type),
                     toString(base.hook), base.device ? " device " + quoted(*base.device) : "",
                     base.priority, base.policy == Policy::accept ? "accept" : "drop");
}

std::string setText(Family family, const NamedSet& set, const CountedRuleset* counted) {
  std::string type;
  for (const KeyType part : set.key)
    type += (type.empty() ? "" : " . ") + std::string(keyTypeName(part));
  std::string out = fmt::format("\tset {} {{\n\t\ttype {}\n", set.name, type);
  if (set.size != 0) out += fmt::format("\t\tsize {}\n", set.size);
  if (set.dynamic && set.timeout == 0) out += "\t\tflags dynamic\n";
  if (set.timeout != 0)
    out += fmt::format("\t\tflags dynamic,timeout\n\t\ttimeout {}s\n\t\tgc-interval {}s\n",
                       set.timeout, vm::kGcSeconds);
  std::string elements;
  for (const SetElement& element :
       counted != nullptr ? counted->elements : std::vector<SetElement>{}) {
    if (element.family != family || element.set != set.name) continue;
    std::string key;
    for (const KeyValue& value : element.key) key += (key.empty() ? "" : " . ") + valueText(value);
    elements += (elements.empty() ? "" : ",\n\t\t\t     ") + key;
  }
  if (!elements.empty()) out += "\t\telements = { " + elements + " }\n";
  return out + "\t}\n\n";
}

std::string print(const Ruleset& ruleset, const CountedRuleset* counted) {
  std::string out;
  for (std::size_t t = 0; t < ruleset.tables.size(); ++t) {
    const Table& table = ruleset.tables[t];
    out += fmt::format("table {} {} {{\n", toString(table.family), table.name);
    for (const NamedSet& set : table.sets) out += setText(table.family, set, counted);
    for (std::size_t c = 0; c < table.chains.size(); ++c) {
      const Chain& chain = table.chains[c];
      out += fmt::format("{}\tchain {} {{\n", c > 0 ? "\n" : "", chain.name);
      if (chain.base) out += chainHead(*chain.base);
      for (std::size_t r = 0; r < chain.rules.size(); ++r) {
        std::string counter = chain.rules[r].counter ? "counter" : "";
        if (chain.rules[r].counter && counted != nullptr)
          counter = fmt::format("counter packets {} bytes {}", counted->counts[t][c][r].packets,
                                counted->counts[t][c][r].bytes);
        out += "\t\t" + ruleText(chain.rules[r], table.family, counter) + "\n";
      }
      out += "\t}\n";
    }
    out += "}\n";
  }
  return out;
}

bool drops(const Rule& rule) {
  if (rule.exprs.empty()) return false;
  return std::holds_alternative<Drop>(rule.exprs.back()) ||
         std::holds_alternative<Reject>(rule.exprs.back());
}

}  // namespace

std::string toText(const Ruleset& ruleset) {
  return print(ruleset, nullptr);
}
std::string toText(const CountedRuleset& counted) {
  return print(counted.ruleset, &counted);
}
std::string toText(const Rule& rule, Family family) {
  return ruleText(rule, family, "");
}

std::vector<NamedCount> namedCounts(const CountedRuleset& counted) {
  std::vector<NamedCount> list;
  for (std::size_t t = 0; t < counted.ruleset.tables.size(); ++t) {
    const Table& table = counted.ruleset.tables[t];
    for (std::size_t c = 0; c < table.chains.size(); ++c) {
      for (std::size_t r = 0; r < table.chains[c].rules.size(); ++r) {
        const Rule& rule = table.chains[c].rules[r];
        if (!rule.counter || rule.comment.empty()) continue;
        list.push_back({std::string(toString(table.family)) + " " + table.name,
                        table.chains[c].name, rule.comment, drops(rule), counted.counts[t][c][r]});
      }
    }
  }
  return list;
}

}  // namespace orrery::nft
