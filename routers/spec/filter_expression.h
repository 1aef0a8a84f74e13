// The words of a filter expression, before libpcap sees them. Pure.
//
// libpcap takes what it does not know for a host's, network's, port's or protocol's name and asks
// the resolver, from the host's own namespace: a definition with "host bank.example" would tell the
// host's DNS server. So only words that libpcap knows, numbers, and addresses in digits pass, in a
// form that it can take for nothing else. What tells about more than the frame ("inbound"), goes
// back in the program ("protochain") or is of links that no port is ("vlan", "wlan") is no word.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace orrery {

inline constexpr std::size_t kMaxExpressionSize = 1000;  // bytes

struct ExpressionFault {
  std::size_t offset = 0;  // bytes
  std::size_t length = 1;
  std::string message;
  std::string hint;  // "": none
  friend bool operator==(const ExpressionFault&, const ExpressionFault&) = default;
};
// The first fault; nothing if libpcap may have it (which may still refuse it).
std::optional<ExpressionFault> checkExpression(std::string_view expression);

}  // namespace orrery
