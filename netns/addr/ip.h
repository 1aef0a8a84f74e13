// Addresses and names as values: no system calls, no kernel headers, usable from every layer.
// IPv4 only: IPv6 is closed by construction in every namespace that we make (SECURITY.md).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace orrery {

struct Ipv4 {
  std::uint32_t value = 0;  // host byte order
  friend auto operator<=>(const Ipv4&, const Ipv4&) = default;
};

// Dotted quad, four decimal octets without leading zeros (no octal, no short forms).
Result<Ipv4> parseIpv4(std::string_view text);
std::string toString(Ipv4 address);

// An address with its prefix length; host bits are kept: "10.0.0.1/24".
struct Prefix4 {
  Ipv4 address;
  std::uint8_t length = 32;  // bits
  Ipv4 network() const;
  Ipv4 broadcast() const;
  Ipv4 mask() const;
  bool contains(Ipv4 a) const;
  bool overlaps(const Prefix4& o) const;
  friend auto operator<=>(const Prefix4&, const Prefix4&) = default;
};
Result<Prefix4> parsePrefix4(std::string_view text);
std::string toString(const Prefix4& prefix);

struct Mac {
  std::array<std::uint8_t, 6> bytes{};
  bool isMulticast() const { return (bytes[0] & 1) != 0; }
  friend auto operator<=>(const Mac&, const Mac&) = default;
};
Result<Mac> parseMac(std::string_view text);  // six hex pairs, colons
std::string toString(const Mac& mac);

// The MAC that an address has in network number `network` (0 for network0), after the Multiverse
// scheme: 00 : NN : a : b : c : d, where octets 0-99 are written with their decimal digits (16 ->
// 0x16) and 154-255 in hex (254 -> 0xfe). An address with an octet in 100-153 would collide with
// those and takes the form 02 : NN : true hex octets, `local` or not. `local` sets 02 in place of 00
// (in 10/8, where true hex begins with 0a and digits with 10; elsewhere 06, to stay clear of true
// hex). Injective over all addresses of a network; with `local`, and with both kinds mixed, over all
// addresses that share their first octet.
Mac macFromAddress(Ipv4 address, std::uint8_t network, bool local = false);

// An interface name as the kernel takes it: 1 to 15 bytes, no '/', no blank, not "." or "..", and
// not "all" or "default" (sysctl directories). dev_valid_name(), net/core/dev.c.
class IfName {
 public:
  IfName() = default;
  static Result<IfName> parse(std::string_view text);
  const std::string& str() const { return text_; }
  friend auto operator<=>(const IfName&, const IfName&) = default;

 private:
  explicit IfName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

inline constexpr std::size_t kMaxIfNameLength = 15;  // IFNAMSIZ - 1

}  // namespace orrery
