#include "netns/addr/ip.h"

#include <fmt/format.h>

#include <vector>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::uint8_t octet(Ipv4 address, int index) {
  return static_cast<std::uint8_t>(address.value >> (24 - 8 * index));
}

// A decimal number from 0 to `most`, without sign and leading zeros.
std::optional<std::uint8_t> parseSmall(std::string_view text, unsigned most) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto value = parseNumber<unsigned>(text);
  if (!value || *value > most) return std::nullopt;
  return static_cast<std::uint8_t>(*value);
}

// Octets in this range would, in hex, look like the decimal digits of 64 to 99.
constexpr bool needsTrueHex(std::uint8_t value) {
  return value >= 100 && value <= 153;
}

// 16 -> 0x16; from 154 on the hex form has a letter in it, so that it meets no decimal form.
constexpr std::uint8_t decimalDigits(std::uint8_t value) {
  return value < 100 ? static_cast<std::uint8_t>(value / 10 * 16 + value % 10) : value;
}

}  // namespace

Result<Ipv4> parseIpv4(std::string_view text) {
  const auto parts = split(text, '.');
  if (parts.size() != 4) return error("'{}' is not an IPv4 address: four octets expected", text);
  Ipv4 address;
  for (const std::string_view part : parts) {
    const auto value = parseSmall(part, 255);
    if (!value) {
      return error("'{}' is not an IPv4 address: '{}' is not a number from 0 to 255", text, part);
    }
    address.value = address.value << 8 | *value;
  }
  return address;
}

std::string toString(Ipv4 address) {
  return fmt::format("{}.{}.{}.{}", octet(address, 0), octet(address, 1), octet(address, 2),
                     octet(address, 3));
}

Ipv4 Prefix4::mask() const {
  return Ipv4{length == 0 ? 0 : ~std::uint32_t{0} << (32 - length)};
}
Ipv4 Prefix4::network() const {
  return Ipv4{address.value & mask().value};
}
Ipv4 Prefix4::broadcast() const {
  return Ipv4{address.value | ~mask().value};
}
bool Prefix4::contains(Ipv4 a) const {
  return (a.value & mask().value) == network().value;
}
bool Prefix4::overlaps(const Prefix4& o) const {
  return contains(o.network()) || o.contains(network());
}

Result<Prefix4> parsePrefix4(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return error("'{}' has no prefix length: 'address/length' expected", text);
  }
  Prefix4 prefix;
  ORRERY_TRY_ASSIGN(prefix.address, parseIpv4(text.substr(0, slash)));
  const auto length = parseSmall(text.substr(slash + 1), 32);
  if (!length) return error("'{}' has no prefix length from 0 to 32 behind its '/'", text);
  prefix.length = *length;
  return prefix;
}

std::string toString(const Prefix4& prefix) {
  return fmt::format("{}/{}", toString(prefix.address), prefix.length);
}

Result<Mac> parseMac(std::string_view text) {
  const auto parts = split(text, ':');
  Mac mac;
  if (parts.size() != mac.bytes.size()) {
    return error("'{}' is not a MAC address: six hex pairs with ':' between them expected", text);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto value = parseNumber<std::uint8_t>(parts[i], 16);
    if (!value || parts[i].size() != 2) {
      return error("'{}' is not a MAC address: '{}' is not a hex pair", text, parts[i]);
    }
    mac.bytes[i] = *value;
  }
  return mac;
}

std::string toString(const Mac& mac) {
  const auto& b = mac.bytes;
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4],
                     b[5]);
}

Mac macFromAddress(Ipv4 address, std::uint8_t network, bool local) {
  std::array<std::uint8_t, 4> octets{};
  bool trueHex = false;
  for (int i = 0; i < 4; ++i) {
    octets[static_cast<std::size_t>(i)] = octet(address, i);
    trueHex = trueHex || needsTrueHex(octet(address, i));
  }
  std::uint8_t first = 0x00;
  if (trueHex) {
    first = 0x02;
  } else if (local) {
    first = octets[0] == 10 ? 0x02 : 0x06;
  }
  Mac mac{{first, network}};
  for (std::size_t i = 0; i < 4; ++i) {
    mac.bytes[i + 2] = trueHex ? octets[i] : decimalDigits(octets[i]);
  }
  return mac;
}

Result<IfName> IfName::parse(std::string_view text) {
  if (text.empty()) return error("an interface name is empty");
  if (text.size() > kMaxIfNameLength) {
    return error("'{}' is too long for an interface: {} bytes, {} at most", text, text.size(),
                 kMaxIfNameLength);
  }
  if (text == "." || text == ".." || text == "all" || text == "default") {
    return error("'{}' cannot be an interface's name: the kernel uses it itself", text);
  }
  for (const char c : text) {
    // The kernel refuses blanks, '/' and ':', and fills in '%d'.
    if (c <= ' ' || c > '~' || c == '/' || c == ':' || c == '%') {
      return error("'{}' cannot be an interface's name: no blanks, '/', ':', '%' in it", text);
    }
  }
  return IfName(std::string(text));
}

}  // namespace orrery
