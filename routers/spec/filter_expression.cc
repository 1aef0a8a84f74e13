#include "routers/spec/filter_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "netns/addr/ip.h"
#include "routers/spec/field_reader.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

// Of pcap-filter(7). Lower case, as libpcap's scanner has them.
const std::vector<std::string>& words() {
  static const std::vector<std::string> kWords = {
      "ah",
      "and",
      "arp",
      "broadcast",
      "carp",
      "dst",
      "esp",
      "ether",
      "greater",
      "host",
      "icmp",
      "icmp6",
      "igmp",
      "ip",
      "ip6",
      "len",
      "less",
      "mask",
      "multicast",
      "net",
      "not",
      "or",
      "pim",
      "port",
      "portrange",
      "proto",
      "rarp",
      "sctp",
      "src",
      "tcp",
      "udp",
      "vrrp",
      "icmptype",
      "icmpcode",
      "icmp-echoreply",
      "icmp-unreach",
      "icmp-redirect",
      "icmp-echo",
      "icmp-timxceed",
      "icmp-paramprob",
      "icmp-tstamp",
      "icmp-ireq",
      "icmp-maskreq",
      "icmp-tstampreply",
      "icmp-ireqreply",
      "icmp-maskreply",
      "icmp-sourcequench",
      "icmp-routeradvert",
      "icmp-routersolicit",
      "tcpflags",
      "tcp-fin",
      "tcp-syn",
      "tcp-rst",
      "tcp-push",
      "tcp-ack",
      "tcp-urg",
  };
  return kWords;
}

constexpr std::string_view kSigns = "()[]:&|!<>=+-*/%^";

bool isBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool isDigit(char c) {
  return c >= '0' && c <= '9';
}
bool isLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
// What libpcap's scanner could read as one name. Longer than most tokens are, so that what it takes
// for one is never more than what is looked at here.
bool mayBeOfWord(char c) {
  return isDigit(c) || isLetter(c) || c == '-' || c == '.' || c == ':';
}

bool isNumber(std::string_view word) {
  if (word.starts_with("0x") || word.starts_with("0X"))
    return parseNumber<std::uint32_t>(word.substr(2), 16).has_value();
  return parseNumber<std::uint32_t>(word).has_value();
}
bool isPort(std::string_view word) {
  return parseNumber<std::uint16_t>(word).has_value();
}

// "10", "10.1", "10.1.1" or a whole address.
bool isAddress(std::string_view word) {
  const auto parts = split(word, '.');
  return parts.size() <= 4 && std::ranges::all_of(parts, [](std::string_view part) {
           return parseNumber<std::uint8_t>(part).has_value();
         });
}
template <class Is>
bool isPair(std::string_view word, char between, Is is) {
  const std::size_t at = word.find(between);
  return at != std::string_view::npos && is(word.substr(0, at)) && is(word.substr(at + 1));
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<ExpressionFault> run() {
    if (text_.size() > kMaxExpressionSize)
      return ExpressionFault{0, 1,
                             fmt::format("the expression has {} bytes; at most {} are possible",
                                         text_.size(), kMaxExpressionSize),
                             "split it: a frame must pass every filter"};
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (isBlank(c)) {
        ++at_;
      } else if (isDigit(c) || isLetter(c)) {
        if (auto fault = word()) return fault;
      } else if (auto fault = sign(c)) {
        return fault;
      }
    }
    if (last_.empty()) return ExpressionFault{0, 1, "the expression is empty", ""};
    return std::nullopt;
  }

 private:
  std::optional<ExpressionFault> sign(char c) {
    if (kSigns.find(c) == std::string_view::npos || text_.substr(at_, 2) == "::") {
      const bool plain = c >= ' ' && c < 0x7f;
      return ExpressionFault{
          at_, 1,
          plain ? fmt::format("'{}' has no meaning here", c)
                : fmt::format("a byte {:#04x} has no meaning here", static_cast<unsigned char>(c)),
          c == '\\' ? "give a protocol's number: \"ip proto 6\"" : ""};
    }
    last_ = text_.substr(at_++, 1);
    return std::nullopt;
  }

  std::optional<ExpressionFault> word() {
    std::size_t end = at_;
    while (end < text_.size() && mayBeOfWord(text_[end])) ++end;
    const std::string_view word = text_.substr(at_, end - at_);
    if (!isKnown(word)) return ExpressionFault{at_, word.size(), unknown(word), hintFor(word)};
    last_ = word;
    at_ = end;
    return std::nullopt;
  }

  bool isKnown(std::string_view word) const {
    if (isLetter(word.front()) && std::ranges::find(words(), word) != words().end()) return true;
    if (parseMac(word)) return true;
    // Elsewhere libpcap would look it up as a name.
    if (isPair(word, '-', isPort)) return last_ == "portrange";
    if (isPair(word, ':', isNumber)) return true;  // ether[0:2]
    return isNumber(word) || isAddress(word);
  }

  static std::string unknown(std::string_view word) {
    return fmt::format("'{}' is no word of a filter expression", word);
  }
  static std::string hintFor(std::string_view word) {
    const std::string meant = didYouMean(word, words());
    if (!meant.empty()) return meant;
    if (word.find(':') != std::string_view::npos)
      return "IPv6 passes no port, and MAC addresses are six pairs: \"52:54:00:ab:cd:01\"";
    if (word.find('-') != std::string_view::npos && isDigit(word.back()))
      return "to subtract, put blanks around '-'";
    return "names are not looked up, as the resolver would hear of them: give the address, port or "
           "protocol as a number";
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string_view last_;
};

}  // namespace

std::optional<ExpressionFault> checkExpression(std::string_view expression) {
  return Scanner(expression).run();
}

}  // namespace orrery
