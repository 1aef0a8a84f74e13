// The rulesets of routers/firewall and the contract say the same, over a grid of packets.
#include <gtest/gtest.h>

#include "routers/contract/frame_builder.h"
#include "routers/contract/judge.h"
#include "tests/support/ruleset_eval.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using namespace frame;
using test::EvalPacket;
using test::RulesetEval;

const char* const kDestinations[] = {
    "198.18.1.10",     "198.18.1.11",     "198.18.1.20",  "198.18.1.30", "198.18.1.31",
    "9.9.9.9",         "8.8.8.8",         "198.51.100.7", "10.0.0.1",    "10.0.0.2",
    "10.0.0.9",        "10.1.1.2",        "10.1.1.254",   "10.2.2.254",  "10.64.0.1",
    "192.168.1.1",     "172.16.0.1",      "172.32.0.1",   "100.64.0.1",  "100.128.0.1",
    "192.0.0.1",       "192.0.0.8",       "192.0.0.9",    "192.0.0.171", "192.0.1.1",
    "169.254.169.254", "127.0.0.1",       "0.0.0.1",      "224.0.0.251", "239.255.255.250",
    "240.0.0.1",       "255.255.255.255", "10.0.0.255"};
const char* const kSources[] = {"10.0.0.7",  "10.0.0.8", "10.1.1.2",   "10.1.1.254",
                                "127.0.0.1", "0.0.0.0",  "198.18.1.10"};
const std::uint8_t kIcmpTypes[] = {0, 3, 5, 8, 11, 12, 13};
const std::uint8_t kProtocols[] = {1, 2, 6, 17, 41, 47, 50, 132};
const std::uint16_t kPorts[] = {1,   53,   67,   68,   80,   123,   443,
                                853, 1080, 1194, 5353, 9001, 51820, 65535};

struct Sent {
  Ipv4Header header;
  std::uint16_t sourcePort = 40000, destinationPort = 0;
  std::uint8_t icmpType = 0;
};

Bytes bytesOf(const Sent& sent) {
  switch (sent.header.protocol) {
    case kUdp:
      return udp(sent.header, sent.sourcePort, sent.destinationPort, "x");
    case kTcp:
      return tcp(sent.header, sent.sourcePort, sent.destinationPort, kSyn);
    case kIcmp:
      return icmp(sent.header, sent.icmpType, 0, "x");
    default:
      return ipv4(sent.header, Bytes(24));
  }
}

EvalPacket packetOf(const Sent& sent, const char* link) {
  EvalPacket packet;
  packet.out = link;
  packet.source = sent.header.source;
  packet.destination = sent.header.destination;
  packet.protocol = sent.header.protocol;
  packet.icmpType = sent.icmpType;
  if (sent.header.protocol == kTcp || sent.header.protocol == kUdp) {
    packet.sourcePort = sent.sourcePort;
    packet.destinationPort = sent.destinationPort;
  }
  return packet;
}

template <class F>
void forEachPacket(F use) {
  for (const char* source : kSources)
    for (const char* destination : kDestinations)
      for (const std::uint8_t protocol : kProtocols) {
        Sent sent;
        sent.header.source = samples::ip(source);
        sent.header.destination = samples::ip(destination);
        sent.header.protocol = protocol;
        if (protocol == kIcmp)
          for (const std::uint8_t type : kIcmpTypes) {
            sent.icmpType = type;
            use(sent);
          }
        else if (protocol == kTcp || protocol == kUdp)
          for (const std::uint16_t port : kPorts) {
            sent.destinationPort = port;
            use(sent);
          }
        else
          use(sent);
      }
}

ContractFacts facts() {
  ContractFacts f;
  f.uplink = samples::facts();
  return f;
}

std::string textOf(const Bytes& packet) {
  return describeFrame({Way::out, packet, packet.size(), false}, false);
}

bool allows(const LinkContract& link, const Bytes& packet, Way way = Way::out) {
  return judge(&link, {way, packet, packet.size(), false}).breach == Breach::none;
}

// Judged as bare IP: the grid is about addresses, protocols and ports.
LinkContract bare(const Contract& contract, LinkSide side) {
  LinkContract link = *contract.link(side);
  link.ethernet = false;
  return link;
}

// What the daemons of an egress namespace may send: equal, packet for packet.
TEST(Agreement, EgressRulesetsSendWhatTheContractAllowsAndNoMore) {
  int allowed = 0;
  for (const RouterSpec& spec : {samples::galaxyOpenVpn(), samples::galaxyWireGuard(),
                                 samples::galaxySocks5(), samples::star()}) {
    SCOPED_TRACE(spec.id.name);
    const RulesetEval rules(egressRuleset(spec, samples::facts()));
    for (const ContractState state :
         {ContractState::starting, ContractState::ready, ContractState::egressDown}) {
      const LinkContract link = bare(contractOf(spec, facts(), state), LinkSide::uplink);
      forEachPacket([&](const Sent& sent) {
        EvalPacket packet = packetOf(sent, "uplink");
        const bool passes = rules.passes(nft::Hook::output, packet);
        const Bytes bytes = bytesOf(sent);
        EXPECT_EQ(passes, allows(link, bytes)) << textOf(bytes);
        allowed += passes ? 1 : 0;
      });
    }
  }
  EXPECT_GT(allowed, 100) << "the grid must hit what is allowed";
}

constexpr Mac kOurs{{0x02, 0, 0, 0, 0, 7}}, kTheirs{{0x02, 0, 0, 0, 0, 1}};

struct ArpSent {
  std::uint16_t operation;
  Ipv4 sender, target;
};
std::vector<ArpSent> arpGrid() {
  std::vector<ArpSent> grid;
  for (const int operation : {0, 1, 2, 3, 8})
    for (const char* sender : kSources)
      for (const char* target : kDestinations)
        grid.push_back(
            {static_cast<std::uint16_t>(operation), samples::ip(sender), samples::ip(target)});
  return grid;
}
Bytes arpBytes(const ArpSent& sent) {
  return arp(sent.operation, kOurs, sent.sender, kTheirs, sent.target);
}

// ARP of an egress namespace: nothing is sent that the contract does not allow, its requests to the
// letter (answers go to whoever asked: their target's subnet is the sysctls' business).
TEST(Agreement, EgressRulesetsSendTheArpOfTheContractAndNoMore) {
  for (const RouterSpec& spec : {samples::galaxyOpenVpn(), samples::galaxyWireGuard(),
                                 samples::galaxySocks5(), samples::star()}) {
    SCOPED_TRACE(spec.id.name);
    const RulesetEval rules(egressRuleset(spec, samples::facts()), nft::Family::arp);
    const Contract contract = contractOf(spec, facts(), ContractState::ready);
    int requests = 0, answers = 0;
    for (const ArpSent& sent : arpGrid()) {
      const Bytes message = arpBytes(sent);
      const Bytes wire = ethernet(kTheirs, kOurs, kArp, message);
      EvalPacket packet;
      packet.out = "uplink";
      packet.network = message;
      const bool passes = rules.passes(nft::Hook::output, packet);
      const bool allowed =
          judge(contract, LinkSide::uplink, {Way::out, wire, wire.size(), false}).breach ==
          Breach::none;
      if (sent.operation == 2)
        EXPECT_TRUE(passes || !allowed) << sent.sender.value << " " << sent.target.value;
      else
        EXPECT_EQ(passes, allowed) << sent.operation << " " << sent.sender.value;
      requests += passes && sent.operation == 1 ? 1 : 0;
      answers += passes && sent.operation == 2 ? 1 : 0;
      packet.out = "other";
      EXPECT_FALSE(rules.passes(nft::Hook::output, packet));
    }
    EXPECT_EQ(requests, 1) << "for the gateway, from our own address";
    EXPECT_GT(answers, 0);
  }
}

// What comes back and is taken in is on the list of what may come in.
TEST(Agreement, EgressRulesetsTakeInNothingThatTheContractDoesNotExpect) {
  for (const RouterSpec& spec : {samples::galaxyOpenVpn(), samples::galaxyWireGuard(),
                                 samples::galaxySocks5(), samples::star()}) {
    SCOPED_TRACE(spec.id.name);
    const RulesetEval rules(egressRuleset(spec, samples::facts()));
    const LinkContract link =
        bare(contractOf(spec, facts(), ContractState::ready), LinkSide::uplink);
    forEachPacket([&](Sent sent) {
      std::swap(sent.header.source, sent.header.destination);
      std::swap(sent.sourcePort, sent.destinationPort);
      EvalPacket packet = packetOf(sent, "");
      packet.in = "uplink";
      packet.state = sent.header.protocol == kIcmp ? EvalPacket::State::related
                                                   : EvalPacket::State::established;
      packet.tcpFlags = nft::tcpflag::kAck;
      if (!rules.passes(nft::Hook::prerouting, packet) || !rules.passes(nft::Hook::input, packet))
        return;
      Bytes bytes = bytesOf(sent);
      if (sent.header.protocol == kTcp) bytes[33] = kAck;
      EXPECT_TRUE(allows(link, bytes, Way::in)) << textOf(bytes);
    });
  }
}

// Destinations that the kernel's routing gives to nobody else: rules leave them to it.
bool routedNowhere(Ipv4 destination) {
  return destination.value == 0 || destination.value >> 24 == 127 ||
         destination.value >> 28 == 0xe || destination.value == 0xffffffff ||
         destination == samples::ip("10.0.0.255");
}

// A direct router forwards, then masquerades: what passes leaves from its own address.
TEST(Agreement, ADirectRouterForwardsWhatTheContractAllows) {
  for (const RouterSpec& spec : {samples::galaxyDirect(), samples::universeStatic()}) {
    SCOPED_TRACE(spec.id.name);
    const RulesetEval rules(lanRuleset(spec));
    const LinkContract link =
        bare(contractOf(spec, facts(), ContractState::ready), LinkSide::uplink);
    const char* uplink = spec.kind == Kind::universe ? "ens1" : "uplink";
    forEachPacket([&](Sent sent) {
      if (routedNowhere(sent.header.destination)) return;
      EvalPacket packet = packetOf(sent, uplink);
      packet.in = spec.id.name;
      const bool guarded = rules.passes(nft::Hook::prerouting, packet);
      EXPECT_EQ(guarded, spec.lan.address.contains(sent.header.source) &&
                             sent.header.source != spec.lan.address.address)
          << toString(sent.header.source);
      // A source of the LAN stands for whatever the guard lets through.
      if (sent.header.source != samples::ip("10.0.0.7") ||
          !rules.passes(nft::Hook::forward, packet))
        return;
      EXPECT_TRUE(allows(link, bytesOf(sent))) << textOf(bytesOf(sent));
    });
  }
}

// The router's own packets: its resolver's questions and nothing to surprise.
TEST(Agreement, ARouterItselfSendsWhatTheContractAllows) {
  for (const RouterSpec& spec :
       {samples::galaxyDirect(), samples::universeStatic(), samples::universe()}) {
    const RulesetEval rules(lanRuleset(spec));
    const LinkContract link =
        bare(contractOf(spec, facts(), ContractState::ready), LinkSide::uplink);
    const char* uplink = spec.kind == Kind::universe ? "ens1" : "uplink";
    forEachPacket([&](Sent sent) {
      if (routedNowhere(sent.header.destination) || sent.header.source != samples::ip("10.0.0.7"))
        return;
      EvalPacket packet = packetOf(sent, uplink);
      if (!rules.passes(nft::Hook::output, packet)) return;
      EXPECT_TRUE(allows(link, bytesOf(sent))) << textOf(bytesOf(sent));
    });
  }
}

// Into a tunnel: DNS of clients never, all else from the tunnel's own address.
TEST(Agreement, ATunnelCarriesWhatTheContractAllows) {
  ContractFacts f = facts();
  f.tunnel = samples::ip("10.0.0.7");
  int forwarded = 0;
  RouterSpec wireguard = samples::galaxyWireGuard();
  std::get<WireGuardEgress>(wireguard.egress).address = samples::net("10.0.0.7/32");
  for (const RouterSpec& spec : {samples::galaxyOpenVpn(), wireguard}) {
    const std::string tunnel = spec.id.name == "galaxy0" ? "tun0" : "wg0";
    const RulesetEval rules(lanRuleset(spec));
    const LinkContract link = bare(contractOf(spec, f, ContractState::ready), LinkSide::tunnel);
    forEachPacket([&](Sent sent) {
      if (routedNowhere(sent.header.destination) || sent.header.source != samples::ip("10.0.0.7"))
        return;
      EvalPacket packet = packetOf(sent, tunnel.c_str());
      packet.in = spec.id.name;
      if (!rules.passes(nft::Hook::forward, packet)) return;
      ++forwarded;
      EXPECT_TRUE(allows(link, bytesOf(sent))) << textOf(bytesOf(sent));
      EXPECT_TRUE(sent.destinationPort != 53 && sent.destinationPort != 853);
    });
  }
  EXPECT_GT(forwarded, 100);
}

// A proxied LAN forwards nothing to anywhere; there is no link to judge it by.
TEST(Agreement, AProxiedLanForwardsNothing) {
  for (const RouterSpec& spec : {samples::galaxySocks5(), samples::star()}) {
    const RulesetEval rules(lanRuleset(spec));
    forEachPacket([&](const Sent& sent) {
      for (const char* out : {"uplink", "tun0", "eth0", "star0", "galaxy2"}) {
        EvalPacket packet = packetOf(sent, out);
        packet.in = spec.id.name;
        for (const auto state : {EvalPacket::State::fresh, EvalPacket::State::established}) {
          packet.state = state;
          EXPECT_FALSE(rules.passes(nft::Hook::forward, packet));
        }
      }
    });
  }
}

}  // namespace
}  // namespace orrery
