#include "routers/contract/table.h"

#include <algorithm>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

std::string protocolsText(const Allowance& line) {
  if (line.form != FrameForm::ipv4) return toString(line.form);
  if (line.protocols.empty()) return "IPv4";
  std::vector<std::string> names;
  for (const std::uint8_t number : line.protocols) {
    if (number == 1)
      names.emplace_back("ICMP");
    else if (number == 6)
      names.emplace_back("TCP");
    else if (number == 17)
      names.emplace_back("UDP");
    else
      names.push_back(fmt::format("protocol {}", number));
  }
  return join(names, ", ");
}

// One router of each sort. Only the words of a line are printed, so any address will do.
struct Sample {
  std::string title;
  RouterSpec spec;
};

RouterSpec sampleOf(Kind kind, EgressSpec egress) {
  RouterSpec spec;
  spec.id = {"network0", toString(kind)};
  spec.kind = kind;
  spec.lan.address = {Ipv4{0x0a010101}, 24};
  spec.lan.dhcp = DhcpSpec{};
  spec.egress = std::move(egress);
  if (kind == Kind::universe)
    spec.uplink = NicUplink{};
  else
    spec.uplink = RouterUplink{};
  return spec;
}

std::vector<Sample> samples() {
  const Endpoint udp{Ipv4{0xc6120001}, 1194, false};
  const Endpoint tcp{Ipv4{0xc6120001}, 443, true};
  OpenVpnEgress openvpn, openvpnTcp;
  openvpn.remotes = {udp};
  openvpnTcp.remotes = {tcp};
  WireGuardEgress wireguard;
  wireguard.peers.emplace_back();
  wireguard.peers.back().endpoint = udp;
  Socks5Egress socks5;
  socks5.server = tcp;
  RouterSpec fixed = sampleOf(Kind::universe, DirectEgress{});
  NicUplink nic;
  nic.fixed = StaticUplink{};
  fixed.uplink = nic;
  return {{"universe, direct, DHCP", sampleOf(Kind::universe, DirectEgress{})},
          {"universe, direct, fixed address", fixed},
          {"galaxy, direct", sampleOf(Kind::galaxy, DirectEgress{})},
          {"galaxy, openvpn over UDP", sampleOf(Kind::galaxy, openvpn)},
          {"galaxy, openvpn over TCP", sampleOf(Kind::galaxy, openvpnTcp)},
          {"galaxy, wireguard", sampleOf(Kind::galaxy, wireguard)},
          {"galaxy, socks5", sampleOf(Kind::galaxy, socks5)},
          {"star, tor", sampleOf(Kind::star, TorEgress{})}};
}

std::string linesText(const LinkContract* link) {
  std::vector<std::string> texts;
  if (link != nullptr)
    for (const Allowance& line : link->allowed)
      if (line.way == Way::out) texts.push_back(toText(line));
  if (texts.empty()) return "nothing";
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return join(texts, "; ");
}

struct Group {
  std::string lines;
  std::vector<std::string> states;
};

// States that allow the same on a link, in the order in which the first of each comes.
std::vector<Group> groupsOf(const RouterSpec& spec, LinkSide side) {
  ContractFacts facts;
  facts.uplink = {Ipv4{0x0a000002}, Ipv4{0x0a000001}, Prefix4{Ipv4{0x0a000001}, 24}};
  facts.tunnel = Ipv4{0x0a400002};
  std::vector<Group> groups;
  for (const ContractState state : kContractStates) {
    const Contract contract = contractOf(spec, facts, state);
    const std::string lines = linesText(contract.link(side));
    auto at = std::find_if(groups.begin(), groups.end(),
                           [&](const Group& group) { return group.lines == lines; });
    if (at == groups.end()) at = groups.insert(groups.end(), Group{lines, {}});
    at->states.emplace_back(toString(state));
  }
  return groups;
}

bool hasLink(const RouterSpec& spec, LinkSide side) {
  return contractOf(spec, {}, ContractState::ready).link(side) != nullptr;
}

std::string rowsOf(const std::string& title, const RouterSpec& spec, LinkSide side) {
  std::string rows;
  for (const Group& group : groupsOf(spec, side))
    rows += fmt::format("| {} | {} | {} | {} |\n", title, toString(side), join(group.states, ", "),
                        group.lines);
  return rows;
}

}  // namespace

std::string toText(const Allowance& line) {
  if (line.form == FrameForm::arpRequest)
    return fmt::format("ARP for {}, from {}", line.destination.word, line.source.word);
  if (line.form == FrameForm::arpReply) return fmt::format("ARP answers of {}", line.source.word);
  std::string text =
      fmt::format("{} from {} to {}", protocolsText(line), line.source.word, line.destination.word);
  if (line.name == "server") text += ", its port";
  if (line.name != "server" && line.destinationPort)
    text += fmt::format(", port {}", *line.destinationPort);
  if (!line.exceptPorts.empty()) {
    std::vector<std::string> ports;
    for (const std::uint16_t port : line.exceptPorts) ports.push_back(std::to_string(port));
    text += " except ports " + join(ports, ", ");
  }
  if (line.options) text += ", with IP options too";
  if (line.openOnly) text += ", no new connection";
  return text;
}

std::string contractTable() {
  std::string text = "| router | link | states | may leave by it |\n|---|---|---|---|\n";
  for (const Sample& sample : samples())
    for (const LinkSide side : {LinkSide::uplink, LinkSide::tunnel})
      if (hasLink(sample.spec, side)) text += rowsOf(sample.title, sample.spec, side);
  text += rowsOf("every router", samples().front().spec, LinkSide::lan);
  return text;
}

}  // namespace orrery
