#include "runtime/console/table.h"

#include <algorithm>
#include <cctype>

#include "runtime/control/events.h"

namespace orrery {
namespace {

const char* sequenceOf(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::dim:
      return "\x1b[2m";
    case Tone::good:
      return "\x1b[32m";
    case Tone::warning:
      return "\x1b[33m";
    case Tone::bad:
      return "\x1b[31m";
    case Tone::strong:
      return "\x1b[1m";
  }
  return "";
}

std::string capitals(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// `last` columns are not padded, so that no line ends in blanks.
void append(std::string& line, std::string_view text, Tone tone, std::size_t width, Align align,
            bool last, bool colour) {
  const std::size_t used = displayWidth(text);
  const std::string padding(width > used ? width - used : 0, ' ');
  if (align == Align::right) line += padding;
  line += paint(text, tone, colour);
  if (last) return;
  if (align == Align::left) line += padding;
  line += "  ";
}

}  // namespace

std::size_t displayWidth(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string paint(std::string_view text, Tone tone, bool colour) {
  const std::string_view sequence = colour ? sequenceOf(tone) : "";
  if (sequence.empty()) return std::string(text);
  return std::string(sequence) + std::string(text) + "\x1b[0m";
}

Table& Table::row(std::vector<Cell> cells) {
  cells.resize(columns_.size());
  for (Cell& cell : cells) {
    cell.text = printable(cell.text);
    if (cell.text.empty()) cell.text = "-";
  }
  rows_.push_back(std::move(cells));
  return *this;
}

std::string Table::render(bool colour) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = displayWidth(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, displayWidth(row[i].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](auto&& cellOf) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Cell& cell = cellOf(i);
      append(out, cell.text, cell.tone, widths[i], columns_[i].align, i + 1 == columns_.size(),
             colour);
    }
    out += '\n';
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_)
    titles.push_back(Cell(capitals(column.title), Tone::strong));
  line([&](std::size_t i) -> const Cell& { return titles[i]; });
  for (const auto& row : rows_) line([&](std::size_t i) -> const Cell& { return row[i]; });
  return out;
}

}  // namespace orrery
