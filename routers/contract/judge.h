// Frames held against the contract. Pure, no allocation for a frame that is allowed; any bytes at
// all may be given (tests/fuzz/contract_fuzz.cc).
//
// Formats: IEEE 802.3 with Ethernet II types, ARP (RFC 826), IPv4 (RFC 791), the first bytes of TCP
// (RFC 9293), UDP (RFC 768) and ICMP (RFC 792). IPv6, VLAN tags and source routes are never
// allowed: they are named, not parsed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "routers/contract/contract.h"

namespace orrery {

// A frame as a packet socket hands it over.
struct FrameView {
  Way way = Way::out;
  std::span<const std::uint8_t> bytes;  // from the destination MAC on; may be cut at the end
  std::size_t length = 0;               // on the wire
  bool tagged = false;                  // a VLAN tag that the kernel has taken out of `bytes`
};

enum class Breach : std::uint8_t {
  none,
  noLink,         // the link should not be there
  runt,           // shorter than its headers
  malformed,      // lengths or versions that contradict each other
  vlan,           // a VLAN tag
  ipv6,           // any IPv6
  etherType,      // neither IPv4 nor ARP
  mac,            // a source MAC that is not ours
  options,        // IP options (source routes, record route)
  multicast,      // multicast or broadcast, by MAC or by address
  source,         // another source address than allowed
  destination,    // … destination
  protocol,       // … protocol or ICMP type
  port,           // … port
  newConnection,  // a TCP connection where none may begin
  arp,            // an ARP whose sender or target is not allowed
  probe,          // carries the mark of a probe that must not get here (runtime/audit)
};
inline constexpr std::size_t kBreaches = 17;
const char* toString(Breach breach);  // "ipv6", "source", …

// What the headers say; for text.
struct FrameFacts {
  Breach unreadable = Breach::none;  // why the rest is empty
  std::optional<Mac> sourceMac, destinationMac;
  FrameForm form = FrameForm::ipv4;
  Ipv4 source, destination;
  std::uint8_t protocol = 0;
  bool options = false;        // IP options
  bool fragment = false;       // any piece of a datagram
  bool laterFragment = false;  // not the first: no ports
  std::optional<std::uint16_t> sourcePort, destinationPort;
  std::optional<std::uint8_t> icmpType;
  bool opensConnection = false;  // SYN without ACK
};
FrameFacts readFrame(const FrameView& frame, bool ethernet);

struct Verdict {
  Breach breach = Breach::none;
  bool stray = false;             // came in, and nobody asked for it: no leak
  const Allowance* by = nullptr;  // the line that allows it
  bool leak() const { return breach != Breach::none && !stray; }
};
// `link` null: nothing may appear.
Verdict judge(const LinkContract* link, const FrameView& frame);
inline Verdict judge(const Contract& contract, LinkSide side, const FrameView& frame) {
  return judge(contract.link(side), frame);
}

// "UDP 10.0.0.2:5353 > 224.0.0.251:5353, 60 bytes"
std::string describeFrame(const FrameView& frame, bool ethernet);
// "multicast and broadcast never leave"
const char* sentence(Breach breach);

}  // namespace orrery
