#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "routers/spec/toml_document.h"

namespace orrery {

Source::Source(std::string file, std::string text)
    : file_(std::move(file)), text_(std::move(text)) {
  starts_.push_back(0);
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') starts_.push_back(i + 1);
  }
}

std::string Source::line(std::size_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  const std::size_t begin = starts_[number - 1];
  std::size_t end = number < starts_.size() ? starts_[number] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r') --end;
  return text_.substr(begin, end - begin);
}

Span Source::spanAt(std::size_t offset, std::size_t length) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
  const auto number = static_cast<std::size_t>(next - starts_.begin());
  const std::size_t column = offset - starts_[number - 1] + 1;
  const std::size_t size = line(number).size();
  const std::size_t room = size >= column ? size - column + 1 : 1;
  return Span{number, column, std::max<std::size_t>(1, std::min(length, room))};
}

Diagnostic Source::at(const Span& span, std::string message) const {
  Diagnostic d;
  d.file = file_;
  d.line = span.line;
  d.column = span.column;
  d.length = span.length;
  d.message = std::move(message);
  // A machine's endless line is not worth showing, least of all once for each fault in it.
  constexpr std::size_t kMaxLine = 512;
  const std::string text = line(span.line);
  if (text.size() <= kMaxLine) d.sourceLine = text;
  return d;
}

const Node* find(const Node& table, const std::string& key) {
  for (const TableEntry& entry : table.entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string describe(const Node& node) {
  constexpr std::size_t kMost = 60;
  switch (node.type) {
    case NodeType::string:
      if (node.text.size() > kMost) return fmt::format("\"{}…\"", node.text.substr(0, kMost));
      return fmt::format("\"{}\"", node.text);
    case NodeType::integer:
      return fmt::format("the number {}", node.integer);
    case NodeType::boolean:
      return node.boolean ? "true" : "false";
    case NodeType::array:
      return fmt::format("an array of {}", node.items.size());
    case NodeType::table:
      return "a table";
    case NodeType::other:
      return node.text;
  }
  return {};
}

}  // namespace orrery
