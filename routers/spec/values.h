// The small notations of a definition: durations, sizes, lists, names. Each error is a sentence
// that names the text.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "netns/addr/ip.h"
#include "routers/spec/router_spec.h"

namespace orrery {

Result<std::chrono::seconds> parseDuration(std::string_view text);  // "9000s" "15m" "2h" "1d"
Result<std::uint64_t> parseMemory(std::string_view text);           // "64M": bytes, K, M, G (1024)
Result<std::string> parseCpuList(std::string_view text);            // "0", "0-1,3" (cpuset(7))
Result<std::uint32_t> parsePercent(std::string_view text);          // "50%", "200%"
Result<Mac> parseUnicastMac(std::string_view text);                 // not multicast, not zero
Result<std::string> parsePciSlot(std::string_view text);            // "0000:02:01.0"
Result<Endpoint> parseEndpoint(std::string_view text);              // "192.0.2.1:1080"
Result<Ipv4> parseHostAddress(std::string_view text);               // isHostAddress()
Result<std::string> parseNetworkName(std::string_view text);
// Also the bridge's name: 15 bytes at most, and none that our own links have.
Result<std::string> parseRouterName(std::string_view text);

std::string memoryText(std::uint64_t bytes);  // in the largest unit that divides it

// 0.0.0.0/8, loopback, multicast and above are nobody's.
bool isUnicastAddress(Ipv4 address);
// One that routers forward to: not link-local, nor another that netns/addr/special.h names.
bool isHostAddress(Ipv4 address);

}  // namespace orrery
