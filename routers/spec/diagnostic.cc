#include "routers/spec/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "sandbox/base/utf8.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxShown = 140;  // bytes of a source line

bool isControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
bool isContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Each control byte becomes one blank or '?', so that columns stay where they are; and so does what
// is no character.
std::string plain(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (isControl(c)) c = c == '\t' || c == '\n' || c == '\r' ? ' ' : '?';
  }
  std::size_t from = 0;
  while (const auto at = firstInvalidUtf8(std::string_view(out).substr(from))) {
    from += *at;
    out[from] = '?';
  }
  return out;
}

std::size_t columnsOf(std::string_view text) {  // one for each code point
  return text.size() -
         static_cast<std::size_t>(std::count_if(text.begin(), text.end(), isContinuation));
}

std::string place(const Diagnostic& d) {
  if (d.line == 0) return plain(d.file);
  if (d.column == 0) return fmt::format("{}:{}", plain(d.file), d.line);
  return fmt::format("{}:{}:{}", plain(d.file), d.line, d.column);
}

// The source line and what is underlined in it; of a long line, the part around the column.
std::string excerpt(const Diagnostic& d) {
  if (d.sourceLine.empty()) return {};
  const std::size_t column = std::min(d.column == 0 ? 0 : d.column - 1, d.sourceLine.size());
  std::size_t begin =
      column > kMaxShown / 2 && d.sourceLine.size() > kMaxShown ? column - kMaxShown / 2 : 0;
  while (begin > 0 && isContinuation(d.sourceLine[begin])) --begin;
  std::size_t end = std::min(begin + kMaxShown, d.sourceLine.size());
  while (end < d.sourceLine.size() && isContinuation(d.sourceLine[end])) ++end;
  const std::string shown = plain(std::string_view(d.sourceLine).substr(begin, end - begin));
  std::string out = fmt::format("    {}\n", shown);
  if (d.column == 0) return out;
  const std::size_t at = column - begin;
  const std::string_view marked =
      std::string_view(shown).substr(at, std::max<std::size_t>(d.length, 1));
  out += fmt::format("    {}^{}\n", std::string(columnsOf(shown.substr(0, at)), ' '),
                     std::string(std::max<std::size_t>(columnsOf(marked), 1) - 1, '~'));
  return out;
}

}  // namespace

std::string toText(const Diagnostic& d) {
  std::string out =
      fmt::format("{}: {}: {}\n", place(d), d.warning ? "warning" : "error", plain(d.message));
  out += excerpt(d);
  if (!d.expected.empty()) out += fmt::format("  expected: {}\n", plain(d.expected));
  if (!d.got.empty()) out += fmt::format("  got: {}\n", plain(d.got));
  if (!d.hint.empty()) out += fmt::format("  {}\n", plain(d.hint));
  return out;
}

std::string toText(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics) out += toText(diagnostic);
  return out;
}

}  // namespace orrery
