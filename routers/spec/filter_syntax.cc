#include "routers/spec/filter_syntax.h"

#include <algorithm>
#include <array>
#include <vector>

namespace orrery {
namespace {

constexpr std::string_view kEnds = " \t\r\n()[]&|!<>=+*/%^";  // of a word
constexpr std::string_view kBlanks = kEnds.substr(0, 4);
constexpr std::array<std::string_view, 8> kDoubleSigns = {
    "&&", "||", "!=", ">=", "<=", "==", "<<", ">>"};

struct Token {
  std::size_t offset;
  std::size_t length;
};

std::size_t lengthAt(std::string_view text) {
  for (const std::string_view sign : kDoubleSigns)
    if (text.starts_with(sign)) return sign.size();
  return std::clamp<std::size_t>(text.find_first_of(kEnds), 1, text.size());  // 1: a sign
}

std::vector<Token> tokensOf(std::string_view text) {
  std::vector<Token> tokens;
  for (std::size_t at = text.find_first_not_of(kBlanks); at < text.size();
       at = text.find_first_not_of(kBlanks, at)) {
    tokens.push_back({at, lengthAt(text.substr(at))});
    at += tokens.back().length;
  }
  return tokens;
}

// What closes what is open at the end of the text, innermost first.
std::string closersOf(std::string_view text) {
  std::string open;
  for (const char c : text) {
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if ((c == ')' || c == ']') && !open.empty()) open.pop_back();
  }
  return {open.rbegin(), open.rend()};
}

// A word of each kind that may come next. What the grammar takes and libpcap then refuses for its
// meaning ("ether host 192.0.2.1") serves as well.
constexpr std::array<std::string_view, 10> kNextWords = {"",
                                                         " 1",
                                                         " 192.0.2.1",
                                                         " 02:00:00:00:00:01",
                                                         " tcp",
                                                         " host 192.0.2.1",
                                                         " dst host 192.0.2.1",
                                                         " 1 = 0",
                                                         " port 1",
                                                         " proto 1"};
constexpr std::string_view kComparison = " = 0";  // makes an arithmetic expression a condition

class Beginnings {
 public:
  Beginnings(const FilterCompiler& compiler, const Prefix4& lan) : compiler_(compiler), lan_(lan) {}

  bool isOne(const std::string& text) const {
    const std::string closers = closersOf(text);
    // Behind another word it would be taken for a host's name, and asked for.
    if (text.ends_with("portrange")) return isClosedBy(text + " 1-2", closers);
    return std::ranges::any_of(kNextWords, [&](std::string_view word) {
      return isClosedBy(text + std::string(word), closers);
    });
  }

 private:
  // The comparison may belong behind any of the closers, or nowhere.
  bool isClosedBy(const std::string& text, const std::string& closers) const {
    if (parses(text + closers)) return true;
    for (std::size_t i = 0; i <= closers.size(); ++i)
      if (parses(text + closers.substr(0, i) + std::string(kComparison) + closers.substr(i)))
        return true;
    return false;
  }
  bool parses(const std::string& text) const {
    const auto program = compiler_.compile(text, lan_);
    return program || !isSyntaxError(program.error());
  }

  const FilterCompiler& compiler_;
  const Prefix4& lan_;
};

}  // namespace

bool isSyntaxError(const Error& error) {
  return error.message.find("syntax error") != std::string::npos;
}

ExpressionFault syntaxFault(const std::string& expression, const FilterCompiler& compiler,
                            const Prefix4& lan) {
  const Beginnings beginnings(compiler, lan);
  const std::vector<Token> tokens = tokensOf(expression);
  // What a beginning begins with is one too, so the first word that ends them is found by halves.
  const auto fault = std::ranges::partition_point(tokens, [&](const Token& token) {
    return beginnings.isOne(expression.substr(0, token.offset + token.length));
  });
  if (fault == tokens.end())
    return {expression.size(), 1, "the expression ends too early", "something must follow here"};
  return {fault->offset, fault->length, "nothing goes on like this",
          "the grammar is that of tcpdump: pcap-filter(7)"};
}

}  // namespace orrery
