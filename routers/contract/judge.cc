#include "routers/contract/judge.h"

#include <algorithm>

namespace orrery {
namespace {

constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kArpLength = 28;
constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kIcmpHeader = 8;
constexpr std::uint16_t kTypeIpv4 = 0x0800, kTypeArp = 0x0806, kTypeIpv6 = 0x86dd;
constexpr std::uint16_t kTypeVlan = 0x8100, kTypeServiceVlan = 0x88a8;
constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17;
constexpr std::uint8_t kFlagSyn = 0x02, kFlagAck = 0x10;

using Bytes = std::span<const std::uint8_t>;

std::uint16_t be16(Bytes b, std::size_t at) {
  return static_cast<std::uint16_t>(b[at] << 8 | b[at + 1]);
}
Ipv4 address(Bytes b, std::size_t at) {
  return {static_cast<std::uint32_t>(be16(b, at)) << 16 | be16(b, at + 2)};
}
Mac mac(Bytes b, std::size_t at) {
  Mac m;
  std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(at), m.bytes.size(), m.bytes.begin());
  return m;
}

// RFC 826. The sender's hardware address must be the frame's own: else it speaks for another.
void readArp(Bytes b, FrameFacts& facts) {
  if (b.size() < kArpLength) {
    facts.unreadable = Breach::runt;
    return;
  }
  const std::uint16_t operation = be16(b, 6);
  const bool known = be16(b, 0) == 1 && be16(b, 2) == kTypeIpv4 && b[4] == 6 && b[5] == 4 &&
                     (operation == 1 || operation == 2);
  if (!known || mac(b, 8) != facts.sourceMac) {
    facts.unreadable = Breach::arp;
    return;
  }
  facts.form = operation == 1 ? FrameForm::arpRequest : FrameForm::arpReply;
  facts.source = address(b, 14);
  facts.destination = address(b, 24);
}

// The first fragment must hold the whole header of its transport: a shorter one hides its ports.
void readTransport(Bytes b, std::size_t length, FrameFacts& facts) {
  std::size_t needed = 0;
  if (facts.protocol == kTcp) needed = kTcpHeader;
  if (facts.protocol == kUdp) needed = kUdpHeader;
  if (facts.protocol == kIcmp) needed = kIcmpHeader;
  if (needed == 0) return;
  if (length < needed || b.size() < needed) {
    facts.unreadable = Breach::malformed;
    return;
  }
  if (facts.protocol == kIcmp) {
    facts.icmpType = b[0];
    return;
  }
  facts.sourcePort = be16(b, 0);
  facts.destinationPort = be16(b, 2);
  if (facts.protocol == kTcp) facts.opensConnection = (b[13] & (kFlagSyn | kFlagAck)) == kFlagSyn;
}

// Loose or strict. Options are a byte (end, no operation) or type, length, data (RFC 791, 3.1);
// what cannot be read on is taken for one.
bool hasSourceRoute(Bytes options) {
  constexpr std::uint8_t kEnd = 0, kNop = 1, kLoose = 0x83, kStrict = 0x89;
  while (!options.empty() && options[0] != kEnd) {
    if (options[0] == kLoose || options[0] == kStrict) return true;
    if (options[0] == kNop) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return true;
    options = options.subspan(options[1]);
  }
  return false;
}

// `wire`: bytes that the packet has on the wire, padding included; `b` may be cut.
void readIpv4(Bytes b, std::size_t wire, FrameFacts& facts) {
  if (b.size() < kIpv4Header) {
    facts.unreadable = Breach::runt;
    return;
  }
  const std::size_t header = static_cast<std::size_t>(b[0] & 15) * 4;
  const std::size_t total = be16(b, 2);
  facts.protocol = b[9];
  facts.source = address(b, 12);
  facts.destination = address(b, 16);
  if (b[0] >> 4 != 4 || header < kIpv4Header || total < header || total > wire ||
      b.size() < header) {
    facts.unreadable = Breach::malformed;
    return;
  }
  facts.options = header > kIpv4Header;
  if (hasSourceRoute(b.subspan(kIpv4Header, header - kIpv4Header))) {
    facts.unreadable = Breach::options;
    return;
  }
  const std::uint16_t fragment = be16(b, 6) & 0x3fff;  // offset and "more fragments"
  facts.fragment = fragment != 0;
  facts.laterFragment = (fragment & 0x1fff) != 0;
  if (!facts.laterFragment)
    readTransport(b.subspan(header, std::min(b.size(), total) - header), total - header, facts);
}

void readNetwork(std::uint16_t type, Bytes b, std::size_t wire, FrameFacts& facts) {
  switch (type) {
    case kTypeIpv4:
      readIpv4(b, wire, facts);
      return;
    case kTypeArp:
      readArp(b, facts);
      return;
    case kTypeIpv6:
      facts.unreadable = Breach::ipv6;
      return;
    case kTypeVlan:
    case kTypeServiceVlan:
      facts.unreadable = Breach::vlan;
      return;
    default:
      facts.unreadable = Breach::etherType;
      return;
  }
}

// How far a frame got along one line: the furthest of all lines tells what is wrong with it.
enum Reached { nothing, form, source, destination, protocol, port, all };

Breach breachAt(Reached reached, const FrameFacts& facts) {
  switch (reached) {
    case nothing:
      return facts.form == FrameForm::ipv4 ? Breach::source : Breach::arp;
    case form:
      return facts.form == FrameForm::ipv4 ? Breach::source : Breach::arp;
    case source:
      return facts.form == FrameForm::ipv4 ? Breach::destination : Breach::arp;
    case destination:
      return Breach::protocol;
    case protocol:
      return Breach::port;
    case port:
      return Breach::newConnection;
    case all:
      return Breach::none;
  }
  return Breach::malformed;
}

bool protocolFits(const Allowance& line, const FrameFacts& facts) {
  if (!line.protocols.empty() && std::find(line.protocols.begin(), line.protocols.end(),
                                           facts.protocol) == line.protocols.end())
    return false;
  if (line.icmpTypes.empty() || facts.laterFragment) return true;
  return facts.icmpType && std::find(line.icmpTypes.begin(), line.icmpTypes.end(),
                                     *facts.icmpType) != line.icmpTypes.end();
}

bool portsFit(const Allowance& line, const FrameFacts& facts) {
  if (facts.laterFragment) return true;
  if (line.sourcePort && facts.sourcePort != line.sourcePort) return false;
  if (line.destinationPort && facts.destinationPort != line.destinationPort) return false;
  return !facts.destinationPort || std::find(line.exceptPorts.begin(), line.exceptPorts.end(),
                                             *facts.destinationPort) == line.exceptPorts.end();
}

Reached along(const Allowance& line, Way way, const FrameFacts& facts) {
  if (line.way != way || line.form != facts.form) return nothing;
  if (!line.source.contains(facts.source)) return form;
  if (!line.destination.contains(facts.destination)) return source;
  if (facts.form != FrameForm::ipv4) return all;
  if (!protocolFits(line, facts)) return destination;
  if (!portsFit(line, facts)) return protocol;
  if (line.openOnly && facts.opensConnection) return port;
  return all;
}

bool isGroup(const FrameFacts& facts) {
  const bool address = facts.form == FrameForm::ipv4 && facts.destination.value >= 0xe0000000;
  return address || (facts.destinationMac && facts.destinationMac->isMulticast());
}

bool mayWear(const Allowance& line, const FrameFacts& facts) {
  const bool toAll = facts.destinationMac && facts.destinationMac->isMulticast();
  return line.broadcast || !toAll;
}

Verdict judgeFacts(const LinkContract& link, Way way, const FrameFacts& facts) {
  Reached furthest = nothing;
  bool options = false;
  for (const Allowance& line : link.allowed) {
    const Reached reached = along(line, way, facts);
    furthest = std::max(furthest, reached);
    if (reached != all || !mayWear(line, facts)) continue;
    if (!facts.options || line.options) return {Breach::none, false, &line};
    options = true;
  }
  if (options) return {Breach::options, false, nullptr};
  if (furthest == all || (furthest <= source && isGroup(facts) && facts.form == FrameForm::ipv4))
    return {Breach::multicast, false, nullptr};
  return {breachAt(furthest, facts), false, nullptr};
}

std::string endText(Ipv4 at, const std::optional<std::uint16_t>& port) {
  return port ? fmt::format("{}:{}", toString(at), *port) : toString(at);
}

std::string protocolText(const FrameFacts& facts) {
  if (facts.form != FrameForm::ipv4) return toString(facts.form);
  switch (facts.protocol) {
    case kTcp:
      return "TCP";
    case kUdp:
      return "UDP";
    case kIcmp:
      return facts.icmpType ? fmt::format("ICMP type {}", *facts.icmpType) : "ICMP";
    default:
      return fmt::format("IPv4 protocol {}", facts.protocol);
  }
}

}  // namespace

FrameFacts readFrame(const FrameView& frame, bool ethernet) {
  FrameFacts facts;
  const Bytes b = frame.bytes;
  if (!ethernet) {
    if (b.empty() || frame.tagged)
      facts.unreadable = b.empty() ? Breach::runt : Breach::vlan;
    else
      readNetwork(b[0] >> 4 == 6 ? kTypeIpv6 : kTypeIpv4, b, frame.length, facts);
    return facts;
  }
  if (b.size() < kEthernetHeader || frame.length < kEthernetHeader) {
    facts.unreadable = Breach::runt;
    return facts;
  }
  facts.destinationMac = mac(b, 0);
  facts.sourceMac = mac(b, 6);
  const std::uint16_t type = frame.tagged ? kTypeVlan : be16(b, 12);
  readNetwork(type, b.subspan(kEthernetHeader), frame.length - kEthernetHeader, facts);
  return facts;
}

Verdict judge(const LinkContract* link, const FrameView& frame) {
  Verdict verdict;
  if (link == nullptr) {
    verdict.breach = Breach::noLink;
  } else {
    const FrameFacts facts = readFrame(frame, link->ethernet);
    if (facts.unreadable != Breach::none)
      verdict.breach = facts.unreadable;
    else if (frame.way == Way::out && link->mac && facts.sourceMac &&
             *facts.sourceMac != *link->mac)
      verdict.breach = Breach::mac;
    else
      verdict = judgeFacts(*link, frame.way, facts);
  }
  verdict.stray = verdict.breach != Breach::none && frame.way == Way::in;
  return verdict;
}

std::string describeFrame(const FrameView& frame, bool ethernet) {
  const FrameFacts facts = readFrame(frame, ethernet);
  const bool addressed = facts.source.value != 0 || facts.destination.value != 0;
  if (addressed)
    return fmt::format("{} {} > {}{}, {} bytes", protocolText(facts),
                       endText(facts.source, facts.sourcePort),
                       endText(facts.destination, facts.destinationPort),
                       facts.fragment ? " (fragment)" : "", frame.length);
  if (!facts.sourceMac) return fmt::format("{} bytes without a header", frame.length);
  const std::uint16_t type = frame.tagged ? kTypeVlan : be16(frame.bytes, 12);
  return fmt::format("EtherType {:#06x} {} > {}, {} bytes", type, toString(*facts.sourceMac),
                     toString(*facts.destinationMac), frame.length);
}

const char* toString(Breach breach) {
  switch (breach) {
    case Breach::none:
      return "none";
    case Breach::noLink:
      return "no-link";
    case Breach::runt:
      return "runt";
    case Breach::malformed:
      return "malformed";
    case Breach::vlan:
      return "vlan";
    case Breach::ipv6:
      return "ipv6";
    case Breach::etherType:
      return "ethertype";
    case Breach::mac:
      return "mac";
    case Breach::options:
      return "options";
    case Breach::multicast:
      return "multicast";
    case Breach::source:
      return "source";
    case Breach::destination:
      return "destination";
    case Breach::protocol:
      return "protocol";
    case Breach::port:
      return "port";
    case Breach::newConnection:
      return "new-connection";
    case Breach::arp:
      return "arp";
    case Breach::probe:
      return "probe";
  }
  return "?";
}

const char* sentence(Breach breach) {
  switch (breach) {
    case Breach::none:
      return "the contract allows it";
    case Breach::noLink:
      return "nothing may appear on this link";
    case Breach::runt:
      return "it is shorter than its headers";
    case Breach::malformed:
      return "its headers contradict each other";
    case Breach::vlan:
      return "no frame may carry a VLAN tag";
    case Breach::ipv6:
      return "IPv6 is closed";
    case Breach::etherType:
      return "only IPv4 and ARP may appear";
    case Breach::mac:
      return "its source MAC is not the router's";
    case Breach::options:
      return "it carries a source route, or options where none may be";
    case Breach::multicast:
      return "multicast and broadcast never leave";
    case Breach::source:
      return "its source address is not the router's own on this link";
    case Breach::destination:
      return "the router has nothing to send to that address";
    case Breach::protocol:
      return "that protocol is not allowed to that address";
    case Breach::port:
      return "that port is not allowed at that address";
    case Breach::newConnection:
      return "no process runs that could open a connection";
    case Breach::arp:
      return "the router has nobody to ask or to answer like that";
    case Breach::probe:
      return "it carries what a client sent, unprotected";
  }
  return "?";
}

}  // namespace orrery
