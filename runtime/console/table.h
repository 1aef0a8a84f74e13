// Aligned columns of text. Pure: values in, text out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace orrery {

enum class Tone { plain, dim, good, warning, bad, strong };

struct Cell {
  std::string text;
  Tone tone = Tone::plain;
  Cell() = default;
  Cell(std::string t, Tone o = Tone::plain) : text(std::move(t)), tone(o) {}  // NOLINT: implicit
  Cell(const char* t, Tone o = Tone::plain) : text(t), tone(o) {}             // NOLINT
};

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
  Column(const char* t, Align a = Align::left) : title(t), align(a) {}  // NOLINT: implicit
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty; more cells than columns are an error of the caller and cut.
  Table& row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  std::size_t size() const { return rows_.size(); }

  // A header line in capitals and one line a row, two blanks between columns, no trailing blanks.
  // Control bytes in cells are made visible; an empty cell is "-".
  std::string render(bool colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// What a terminal needs of columns for valid UTF-8: one for each code point.
std::size_t displayWidth(std::string_view text);
std::string paint(std::string_view text, Tone tone, bool colour);

}  // namespace orrery
