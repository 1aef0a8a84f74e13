// The only user of toml11 (3.7.1). The library throws, keeps tables without order and counts lines
// from the file's beginning for each position; so positions are taken as byte offsets from its
// regions, and order is restored from them.
#include "routers/spec/toml_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include <toml.hpp>

#include "routers/spec/reader.h"
#include "sandbox/base/strings.h"
#include "sandbox/base/utf8.h"

namespace orrery {
namespace {

using TomlValue = toml::basic_value<toml::discard_comments, std::map, std::vector>;

constexpr std::size_t kMaxNesting = 16;

// --- before the parse: depth and forbidden bytes
// ----------------------------------------------------

// Walks over the text as TOML's lexer would and finds the first place where brackets or dotted keys
// are nested too deeply.
class NestingScan {
 public:
  explicit NestingScan(std::string_view text) : text_(text) {}

  std::optional<std::size_t> firstTooDeep() {
    while (at_ < text_.size()) {
      const std::size_t here = at_;
      step();
      if (depth_ > kMaxNesting || dots_ > kMaxNesting) return here;
    }
    return std::nullopt;
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '"' || c == '\'') {
      skipString(c);
    } else {
      count(c);
      ++at_;
    }
  }

  void count(char c) {
    if (c == '[' || c == '{') ++depth_;
    if ((c == ']' || c == '}') && depth_ > 0) --depth_;
    if (c == '.') ++dots_;
    if (c == '\n' || c == '=' || c == ',') dots_ = 0;
  }

  void skipString(char quote) {
    const std::string triple(3, quote);
    const bool multiLine = text_.substr(at_, 3) == triple;
    at_ += multiLine ? 3 : 1;
    while (at_ < text_.size()) {
      if (multiLine ? text_.substr(at_, 3) == triple : text_[at_] == quote) {
        at_ += multiLine ? 3 : 1;
        return;
      }
      if (!multiLine && text_[at_] == '\n') return;  // not closed: the parser will say so
      at_ += quote == '"' && text_[at_] == '\\' ? 2 : 1;
    }
    at_ = text_.size();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t dots_ = 0;
};

std::optional<Diagnostic> refuseBeforehand(const Source& source) {
  const std::string& text = source.text();
  if (text.size() > kMaxDefinitionSize) {
    Diagnostic d;
    d.file = source.file();
    d.message = "the file is too large for a definition";
    d.expected = fmt::format("{} bytes at most", kMaxDefinitionSize);
    d.got = fmt::format("{} bytes", text.size());
    return d;
  }
  if (const std::size_t at = text.find('\0'); at != std::string::npos) {
    return source.at(source.spanAt(at, 1), "a byte 0: this is not a text file");
  }
  // toml11 3.7.1 reads outside of its text when a literal string is none
  // (parse_literal_string compares iterators of two texts).
  if (const auto at = firstInvalidUtf8(text)) {
    return source.at(source.spanAt(*at, 1), "a byte that is not UTF-8: this is not a TOML text");
  }
  if (const auto at = NestingScan(text).firstTooDeep()) {
    return source.at(source.spanAt(*at, 1),
                     fmt::format("nested too deeply: {} levels at most", kMaxNesting));
  }
  return std::nullopt;
}

// --- after a failed parse: the library's message, taken apart
// ---------------------------------------

// "[error] toml::parse_x: text" -> "text"
std::string coreOf(std::string_view line) {
  for (const std::string_view prefix : {"[error]", "bad format:"}) {
    line = trim(line);
    if (line.substr(0, prefix.size()) == prefix) line.remove_prefix(prefix.size());
  }
  line = trim(line);
  if (line.substr(0, 6) == "toml::") {
    const std::size_t colon = line.find(':', 6);
    if (colon != std::string_view::npos) line = trim(line.substr(colon + 1));
  }
  return std::string(line);
}

struct Underline {
  Span span;
  std::string comment;
};

// " 3 | key value" followed by "   |    ^--- missing =" holds a place.
std::vector<Underline> underlinesOf(const Source& source,
                                    const std::vector<std::string_view>& lines) {
  std::vector<Underline> found;
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const std::size_t bar = lines[i].find(" | ");
    if (bar == std::string_view::npos) continue;
    const auto number = parseNumber<std::size_t>(trim(lines[i].substr(0, bar)));
    const std::size_t mark = lines[i + 1].find_first_of("^~", bar);
    if (!number || mark == std::string_view::npos) continue;
    const std::size_t end = lines[i + 1].find_first_not_of("^~-", mark);
    Underline underline;
    underline.span = Span{*number, std::min(mark - bar - 2, source.line(*number).size() + 1), 1};
    if (end != std::string_view::npos) underline.comment = trim(lines[i + 1].substr(end));
    found.push_back(std::move(underline));
  }
  return found;
}

// What a person most often means by a line that TOML does not know.
std::string hintFor(const std::string& line) {
  const std::string_view text = trim(line);
  if (!text.empty() && text.front() == '[' && text.find(']') == std::string_view::npos) {
    return "the header's closing ']' is missing";
  }
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return "a setting is written: key = value";
  const std::string_view value = trim(text.substr(equals + 1));
  if (value.empty()) return "a value must follow the '='";
  const bool quoted = value.front() == '"' || value.front() == '\'';
  if (quoted && value.find(value.front(), 1) == std::string_view::npos) {
    return "the closing quote is missing";
  }
  for (const char* word : {"yes", "no", "on", "off", "True", "False"}) {
    if (value == word) return "write true or false";
  }
  if (value.front() == '[' || value.front() == '{') {
    return "a ',', a closing bracket or the quotes of a value may be missing";
  }
  return quoted ? "" : "addresses, names, durations and sizes are strings: put them in quotes";
}

// The library's remarks are of use only where they say what it waited for.
void addRemark(Diagnostic& d, std::string_view remark) {
  constexpr std::string_view kShould = "should be ";
  constexpr std::string_view kExpected = "expected ";
  constexpr std::string_view kGot = ", but got ";
  if (remark.substr(0, kShould.size()) == kShould) {
    d.expected = remark.substr(kShould.size());
  } else if (remark.substr(0, kExpected.size()) == kExpected) {
    const std::size_t got = std::min(remark.find(kGot), remark.size());
    d.expected = remark.substr(kExpected.size(), got - kExpected.size());
    if (got < remark.size()) d.got = remark.substr(got + kGot.size());
    if (!d.got.empty() && d.got.back() == '.') d.got.pop_back();
  }
}

Diagnostic syntaxError(const Source& source, std::string_view what) {
  const auto lines = split(what, '\n');
  const auto underlines = underlinesOf(source, lines);
  const std::string core = coreOf(lines.front());
  if (underlines.empty()) {
    Diagnostic d;
    d.file = source.file();
    d.message = "syntax: " + core;
    return d;
  }
  if (core.find("already exists") != std::string::npos) {
    // The first place is that of the older one.
    const std::size_t open = core.find('"');
    const std::string name =
        open == std::string::npos ? "" : core.substr(open + 1, core.rfind('"') - open - 1);
    Diagnostic d =
        source.at(underlines.back().span, fmt::format("syntax: '{}' is there twice", name));
    d.hint = fmt::format("the other one: line {}", underlines.front().span.line);
    return d;
  }
  Diagnostic d = source.at(underlines.front().span, "syntax: " + core);
  addRemark(d, underlines.front().comment);
  d.hint = hintFor(d.sourceLine);
  return d;
}

// --- after a good parse: our tree
// -------------------------------------------------------------------

class TreeBuilder {
 public:
  explicit TreeBuilder(const Source& source) : source_(source) {}

  Node build(const TomlValue& value) const {
    Node node;
    node.span = spanOf(value);
    if (value.is_string()) {
      node.type = NodeType::string;
      node.text = value.as_string().str;
    } else if (value.is_integer()) {
      node.type = NodeType::integer;
      node.integer = value.as_integer();
    } else if (value.is_boolean()) {
      node.type = NodeType::boolean;
      node.boolean = value.as_boolean();
    } else if (value.is_array()) {
      node.type = NodeType::array;
      for (const TomlValue& item : value.as_array()) node.items.push_back(build(item));
    } else if (value.is_table()) {
      addEntries(node, value);
    } else {
      node.type = NodeType::other;
      node.text = value.is_floating() ? "a floating-point number" : "a date or time";
    }
    return node;
  }

 private:
  void addEntries(Node& node, const TomlValue& value) const {
    node.type = NodeType::table;
    for (const auto& [key, child] : value.as_table()) {
      TableEntry entry;
      entry.key = key;
      entry.value = build(child);
      entry.keySpan = keySpanOf(key, entry.value.span);
      node.entries.push_back(std::move(entry));
    }
    std::sort(node.entries.begin(), node.entries.end(),
              [](const TableEntry& a, const TableEntry& b) {
                return std::pair(a.keySpan.line, a.keySpan.column) <
                       std::pair(b.keySpan.line, b.keySpan.column);
              });
  }

  Span spanOf(const TomlValue& value) const {
    const auto* region = dynamic_cast<const toml::detail::region*>(toml::detail::get_region(value));
    if (region == nullptr) return {};
    const auto offset = static_cast<std::size_t>(region->first() - region->begin());
    return source_.spanAt(offset, region->size());
  }

  // The library keeps the place of a value only. A key stands before it, or in the table's header.
  Span keySpanOf(const std::string& key, const Span& value) const {
    const std::string line = source_.line(value.line);
    const std::string_view before = trim(std::string_view(line).substr(0, value.column - 1));
    if (!before.empty() && before.back() == '=') {
      const std::size_t end = line.rfind('=', value.column - 2);
      const std::size_t at = line.rfind(key, end);
      if (at != std::string::npos)
        return Span{value.line, at + 1, std::max<std::size_t>(key.size(), 1)};
    }
    const std::size_t at = line.find(key, value.column == 0 ? 0 : value.column - 1);
    if (at == std::string::npos || key.empty()) return value;
    return Span{value.line, at + 1, key.size()};
  }

  const Source& source_;
};

}  // namespace

tl::expected<Node, Diagnostic> parseToml(const Source& source) {
  if (auto refused = refuseBeforehand(source)) return tl::unexpected(*std::move(refused));
  try {
    std::istringstream stream(source.text());
    return TreeBuilder(source).build(
        toml::parse<toml::discard_comments, std::map, std::vector>(stream, "definition"));
  } catch (const std::exception& e) {
    return tl::unexpected(syntaxError(source, e.what()));
  }
}

}  // namespace orrery
