// One rule for every expression of the model and its variants, each with a table in which the
// kernel takes it. Used by the unit and the system tests.
#pragma once

#include <string>
#include <vector>

#include "netns/nft/ruleset.h"

namespace orrery::nft {

inline Prefix4 net(const char* text) {
  return parsePrefix4(text).value();
}

inline std::vector<Rule> everyFilterRule() {
  const Expr isTcp = L4Proto{{protocol::kTcp}};
  const Expr isIcmp = L4Proto{{protocol::kIcmp}};
  const auto in = Direction::in;
  const auto src = Side::source;
  const auto dst = Side::destination;
  std::vector<std::vector<Expr>> lines = {
      {Interface{in, {"uplink"}}},
      {Interface{in, {"a", "fifteen-letters", "lo"}, true}},
      {Protocol{{ethertype::kIpv4}}},
      {Protocol{{ethertype::kIpv4, ethertype::kIpv6}, true}},
      {L4Proto{{protocol::kUdp}, true}},
      {L4Proto{{protocol::kIcmp, protocol::kTcp, protocol::kUdp}}},
      {PacketTypeIs{{PacketType::broadcast, PacketType::multicast}}},
      {PacketTypeIs{{PacketType::host}, true}},
      {Address{src, {net("10.0.0.0/24")}}},
      {Address{src, {net("10.0.0.1/32")}, true}},
      {Address{dst, {net("10.0.0.0/9"), net("10.160.0.0/11"), net("192.168.1.1/32")}}},
      {Address{dst, {net("0.0.0.0/8"), net("127.0.0.0/8"), net("224.0.0.0/3")}, true}},
      {Address{dst, {net("10.0.0.1/32"), net("10.0.0.3/32")}}},
      {Address{dst, {net("0.0.0.0/0")}}},
      {Fragment{}},
      {isTcp, Port{dst, {{53, 53}}}},
      {isTcp, Port{src, {{1024, 65535}}, true}},
      {isTcp, Port{dst, {{1, 7}, {9, 9}, {60000, 65535}}}},
      {isTcp, Port{dst, {{53, 53}, {853, 853}}, true}},
      {isIcmp, IcmpType{{8}}},
      {isIcmp, IcmpType{{3, 11, 12}, true}},
      {CtState{.established = true, .related = true}},
      {CtState{.invalid = true}},
      {CtState{.fresh = true, .untracked = true}},
      {CtStatus{.dnat = true}},
      {CtStatus{.snat = true, .dnat = true}},
      {FibType{src, false, {AddressType::broadcast, AddressType::multicast}}},
      {FibType{dst, true, {AddressType::local}, true}},
      {FibReversePath{false}},
      {FibReversePath{true}},
      {isTcp, TcpFlags{tcpflag::kSyn | tcpflag::kRst, {tcpflag::kSyn}}},
      {isTcp, TcpFlags{0x17, {0x02, 0x12, 0x10, 0x11, 0x04, 0x14}, true}},
      {isTcp, TcpFlags{0x3f, {0}}},
      {Mark{1}},
      {Mark{0xfffffffe, true}},
      {Payload{PayloadBase::network, 1, {0x10}}},
      {Payload{PayloadBase::transport, 20, {1, 2, 3, 4, 5, 6, 7, 8}, true}},
      {Limit{20, Per::second, 40}},
      {Limit{1, Per::day, 5, true}},
      {Limit{7, Per::minute, 1}},
      {Limit{3, Per::hour, 2}},
      {Accept{}},
      {Drop{}},
      {Return{}},
      {Jump{"side"}},
      {Goto{"side"}},
      {Reject{RejectWith::adminProhibited}},
      {Reject{RejectWith::portUnreachable}},
      {Reject{RejectWith::hostUnreachable}},
      {Reject{RejectWith::netUnreachable}},
      {isTcp, Reject{RejectWith::tcpReset}},
      {isTcp, Tproxy{std::nullopt, 9040}, SetMark{1}, Accept{}},
      {isTcp, Tproxy{Ipv4{0x0a000001}, 9040}},
      {SetMark{0xdeadbeef}},
      {NoTrack{}},
      {InSet{"routers", {KeyPart::ipSource}, true}, Accept{}},
      {CtState{.fresh = true}, OverCount{"flows", {KeyPart::ipSource}, 8192}, Drop{}},
      {OverRate{"queries", {KeyPart::ipSource}, 100, 400}, Drop{}},
      {L4Proto{{protocol::kUdp}},
       InSet{"leases", {KeyPart::etherSource, KeyPart::dhcpClientMac}, true}, Drop{}},
      {OverRate{"cards", {KeyPart::etherSource}, 10, 40}, Drop{}},
  };
  std::vector<Rule> rules;
  for (std::size_t i = 0; i < lines.size(); ++i)
    rules.push_back({lines[i], i % 2 == 0 ? "line " + std::to_string(i) : "", i % 3 == 0});
  return rules;
}

inline std::vector<Rule> everyNatRule() {
  const Expr isUdp = L4Proto{{protocol::kUdp}};
  return {
      {{isUdp, Redirect{5353}}, "redirect", true},
      {{Redirect{}}, "", false},
      {{isUdp, DestinationNat{Ipv4{0x0a000001}, 53}}, "dnat with port", false},
      {{DestinationNat{Ipv4{0x0a000001}, std::nullopt}}, "dnat", true},
  };
}
inline std::vector<Rule> everySourceNatRule() {
  return {
      {{Interface{Direction::out, {"uplink"}}, Masquerade{true}}, "masquerade", true},
      {{Masquerade{false}}, "", false},
      {{SourceNat{Ipv4{0x0a000002}}}, "snat", false},
  };
}
inline std::vector<Rule> everyForwardRule() {  // what the kernel takes in few hooks only
  return {
      {{L4Proto{{protocol::kTcp}}, TcpFlags{tcpflag::kSyn, {tcpflag::kSyn}}, ClampMss{}}, "", true},
      {{Interface{Direction::out, {"uplink"}, true}, Log{"why", 3}}, "log", false},
      {{Log{"", 0}}, "", false},
  };
}
inline std::vector<Rule> everyBridgeRule() {
  const Mac mac{{0x00, 0x00, 0x10, 0x01, 0x01, 0xfe}};
  const Mac other{{0x02, 0x00, 0x10, 0x01, 0x01, 0xfe}};
  return {
      {{EtherAddress{Side::source, {mac}}}, "mac", true},
      {{EtherAddress{Side::destination, {mac, other}, true}, Drop{}}, "", false},
      {{EtherType{{ethertype::kIpv4, ethertype::kArp}}, Accept{}}, "", true},
      {{EtherType{{0x8100}, true}}, "", false},
      {{Protocol{{ethertype::kIpv4}}, Address{Side::source, {net("10.0.0.0/24")}}}, "", false},
      {{EtherType{{ethertype::kIpv4}},
        InSet{"clients", {KeyPart::inputName, KeyPart::etherSource, KeyPart::ipSource}, false},
        Accept{}},
       "client",
       false},
      {{InSet{"ports", {KeyPart::inputName, KeyPart::etherSource}, true}, Drop{}}, "mac", true},
      {{EtherType{{ethertype::kArp}}, Payload{PayloadBase::network, 0, {0, 1, 8, 0, 6, 4}, false},
        InSet{"clients", {KeyPart::inputName, KeyPart::arpSenderMac, KeyPart::arpSenderIp}, false}},
       "arp",
       true},
      {{EtherType{{ethertype::kIpv4}}, ShorterThan{20}, Drop{}}, "runt", true},
      {{OverRate{"rates", {KeyPart::inputName, KeyPart::etherSource}, 50, 200}, Drop{}}, "", true},
      {{OverRate{"links", {KeyPart::inputName}, 1, 1}}, "", true},
  };
}
inline std::vector<NamedSet> everySet() {
  return {{"clients", {KeyType::ifName, KeyType::etherAddress, KeyType::ipv4Address}, 256},
          {"ports", {KeyType::ifName, KeyType::etherAddress}, 0},
          {"rates", {KeyType::ifName, KeyType::etherAddress}, 1024, true, 60},
          {"links", {KeyType::ifName}, 7, true}};
}
inline std::vector<NamedSet> everyIpSet() {
  return {{"cards", {KeyType::etherAddress}, 16, true, 3600},
          {"flows", {KeyType::ipv4Address}, 65535, true},
          {"leases", {KeyType::etherAddress, KeyType::etherAddress}, 16},
          {"queries", {KeyType::ipv4Address}, 1, true, 1},
          {"routers", {KeyType::ipv4Address}, 1024}};
}

inline Ruleset everyExpr() {
  const auto base = [](ChainType type, Hook hook, std::int32_t at) {
    return Base{type, hook, at, Policy::drop, std::nullopt};
  };
  Table ip{Family::ip, kTableName, {}};
  ip.chains.push_back({"side", std::nullopt, {{{Drop{}}, "", true}}});
  ip.chains.push_back(
      {"filter", base(ChainType::filter, Hook::prerouting, priority::kMangle), everyFilterRule()});
  ip.chains.push_back(
      {"before", base(ChainType::nat, Hook::prerouting, priority::kDstNat), everyNatRule()});
  ip.chains.push_back(
      {"behind", base(ChainType::nat, Hook::postrouting, priority::kSrcNat), everySourceNatRule()});
  ip.chains.push_back({"forward", base(ChainType::filter, Hook::forward, -1), everyForwardRule()});
  ip.sets = everyIpSet();
  ip.chains.push_back({"routes", base(ChainType::route, Hook::output, -7), {}});
  Table inet{Family::inet, kTableName, {}};
  inet.chains.push_back({"in",
                         Base{ChainType::filter, Hook::input, 5, Policy::accept, std::nullopt},
                         {{{Reject{RejectWith::adminProhibited}}, "icmpx", true},
                          {{Reject{RejectWith::netUnreachable}}, "", false}}});
  Table bridge{Family::bridge, kTableName, {}};
  bridge.chains.push_back({"frames",
                           base(ChainType::filter, Hook::prerouting, priority::kBridgeFilter),
                           everyBridgeRule()});
  bridge.sets = everySet();
  Table netdev{Family::netdev, kTableName, {}};
  netdev.chains.push_back({"port",
                           Base{ChainType::filter, Hook::ingress, 0, Policy::drop, "lo"},
                           {{{Protocol{{ethertype::kIpv4}}, Accept{}}, "ipv4", true}}});
  Table arp{Family::arp, kTableName, {}};
  arp.chains.push_back({"in", base(ChainType::filter, Hook::input, 0), {}});
  Table ip6{Family::ip6, kTableName, {}};
  ip6.chains.push_back({"in", base(ChainType::filter, Hook::input, 0), {{{Drop{}}, "ipv6", true}}});
  return {{ip, ip6, inet, arp, bridge, netdev}};
}

}  // namespace orrery::nft
