#include "routers/spec/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "netns/addr/special.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

struct Unit {
  char letter;
  std::uint64_t factor;
};

// digits followed by one of the units; the factor is applied with a check for overflow.
template <std::size_t N>
std::optional<std::uint64_t> parseWithUnit(std::string_view text,
                                           const std::array<Unit, N>& units) {
  if (text.size() < 2) return std::nullopt;
  const auto number = parseNumber<std::uint64_t>(text.substr(0, text.size() - 1));
  for (const Unit& unit : units) {
    if (unit.letter != text.back() || !number) continue;
    if (*number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

constexpr std::array<Unit, 4> kTimes = {{{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}}};
constexpr std::array<Unit, 3> kSizes = {{{'K', 1u << 10}, {'M', 1u << 20}, {'G', 1u << 30}}};

bool isNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

Result<std::string> parseName(std::string_view text, std::string_view what) {
  if (text.empty() || !(text[0] >= 'a' && text[0] <= 'z') ||
      !std::all_of(text.begin(), text.end(), isNameByte)) {
    return error("'{}' is not a name for a {}: lower-case letters, digits and '-', first a letter",
                 text, what);
  }
  if (text.size() > kMaxIfNameLength) {
    return error("'{}' is too long for a {}: {} bytes, {} at most", text, what, text.size(),
                 kMaxIfNameLength);
  }
  return std::string(text);
}

// A CPU number as the kernel could have it (NR_CPUS is 8192 at most).
std::optional<unsigned> parseCpu(std::string_view text) {
  const auto cpu = parseNumber<unsigned>(text);
  if (!cpu || *cpu > 8191) return std::nullopt;
  return cpu;
}

bool isHexOf(std::string_view text, std::size_t digits) {
  return text.size() == digits && parseNumber<std::uint32_t>(text, 16).has_value();
}

}  // namespace

Result<std::chrono::seconds> parseDuration(std::string_view text) {
  const auto seconds = parseWithUnit(text, kTimes);
  if (!seconds) return error("'{}' is not a duration", text);
  return std::chrono::seconds(static_cast<std::int64_t>(*seconds));
}

Result<std::uint64_t> parseMemory(std::string_view text) {
  const auto bytes = parseWithUnit(text, kSizes);
  if (!bytes) return error("'{}' is not a size of memory", text);
  return *bytes;
}

std::string memoryText(std::uint64_t bytes) {
  for (auto unit = kSizes.rbegin(); unit != kSizes.rend(); ++unit) {
    if (bytes % unit->factor == 0) return fmt::format("{}{}", bytes / unit->factor, unit->letter);
  }
  return fmt::format("{}K", (bytes + 1023) / 1024);
}

Result<std::string> parseCpuList(std::string_view text) {
  for (const std::string_view part : split(text, ',')) {
    const std::size_t dash = part.find('-');
    const auto first = parseCpu(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parseCpu(part.substr(dash + 1));
    if (!first || !last) return error("'{}' is not a list of CPUs: '{}' is no number", text, part);
    if (*first > *last) {
      return error("'{}' is not a list of CPUs: '{}' ends before it begins", text, part);
    }
  }
  return std::string(text);
}

Result<std::uint32_t> parsePercent(std::string_view text) {
  const bool shaped = text.ends_with('%');
  const auto percent =
      shaped ? parseNumber<std::uint32_t>(text.substr(0, text.size() - 1)) : std::nullopt;
  if (!percent) return error("'{}' is not a percentage", text);
  return *percent;
}

Result<Mac> parseUnicastMac(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Mac mac, parseMac(text));
  if (mac == Mac{}) return error("the MAC address '{}' is zero: no interface can have it", text);
  if (mac.isMulticast()) {
    return error("the MAC address '{}' is a multicast address: bit 0 of its first byte is set",
                 text);
  }
  return mac;
}

Result<std::string> parsePciSlot(std::string_view text) {
  // domain ':' bus ':' device '.' function
  const bool shaped = text.size() == 12 && text[4] == ':' && text[7] == ':' && text[10] == '.';
  if (!shaped || !isHexOf(text.substr(0, 4), 4) || !isHexOf(text.substr(5, 2), 2) ||
      !isHexOf(text.substr(8, 2), 2) || text[11] < '0' || text[11] > '7') {
    return error("'{}' is not a PCI address", text);
  }
  return std::string(text);
}

Result<Endpoint> parseEndpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return error("'{}' has no port", text);
  Endpoint endpoint;
  ORRERY_TRY_ASSIGN(endpoint.address, parseHostAddress(text.substr(0, colon)));
  const auto port = parseNumber<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return error("'{}' has no port from 1 to 65535 behind its ':'", text);
  endpoint.port = *port;
  return endpoint;
}

bool isUnicastAddress(Ipv4 address) {
  const std::uint32_t first = address.value >> 24;
  return first != 0 && first != 127 && first < 224;
}

bool isHostAddress(Ipv4 address) {
  return !isNeverForwardedTo(address);
}

Result<Ipv4> parseHostAddress(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Ipv4 address, parseIpv4(text));
  if (kLinkLocal.contains(address)) {
    return error("'{}' is link-local: no router forwards it (RFC 3927)", text);
  }
  if (!isHostAddress(address)) {
    return error("'{}' is no host's address: it is zero, loopback, multicast or reserved", text);
  }
  return address;
}

Result<std::string> parseNetworkName(std::string_view text) {
  ORRERY_TRY_ASSIGN(std::string name, parseName(text, "network"));
  // Directories of ours beside those of the networks (runtime/engine/router_store.cc).
  for (const char* taken : {"ids", "lock"})
    if (name == taken)
      return error("'{}' cannot be a network's name: /run/orrery/{} has another use", name, name);
  return name;
}

Result<std::string> parseRouterName(std::string_view text) {
  ORRERY_TRY_ASSIGN(std::string name, parseName(text, "router (it is its bridge's name too)"));
  // Links that a router may hold beside its bridge, and names that the kernel keeps for itself.
  const std::size_t last = name.find_last_not_of("0123456789");
  const std::string stem = name.substr(0, last + 1);
  for (const char* taken : {"lo", "all", "default", "uplink", "egress", "host", "tun", "tap", "wg",
                            "veth", "eth", "ens", "nic"}) {
    if (stem == taken) {
      return error("'{}' cannot be a router's name: interfaces inside of routers are called so",
                   name);
    }
  }
  return name;
}

}  // namespace orrery
