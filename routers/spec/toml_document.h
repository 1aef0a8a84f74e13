// A TOML text as a small tree of our own with the position of every key and value, so that the rest
// of the reader knows nothing of the TOML library and templates can be expanded on values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "routers/spec/diagnostic.h"

namespace orrery {

struct Span {
  std::size_t line = 0;    // from 1; 0: unknown
  std::size_t column = 0;  // in bytes, from 1
  std::size_t length = 1;  // bytes, not beyond the line's end
  friend bool operator==(const Span&, const Span&) = default;
};

// A text that can be shown line by line.
class Source {
 public:
  Source() = default;
  Source(std::string file, std::string text);
  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }
  std::string line(std::size_t number) const;  // from 1; empty beyond the end
  std::size_t lineCount() const { return starts_.size(); }
  Span spanAt(std::size_t offset, std::size_t length) const;
  Diagnostic at(const Span& span, std::string message) const;

 private:
  std::string file_;
  std::string text_;
  std::vector<std::size_t> starts_;  // offsets of the lines
};

enum class NodeType { string, integer, boolean, array, table, other };

struct TableEntry;

struct Node {
  NodeType type = NodeType::table;
  Span span;
  std::string text;  // of a string; of `other`, what it is ("a float")
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> items;          // of an array
  std::vector<TableEntry> entries;  // of a table, in the order of the text
};

struct TableEntry {
  std::string key;
  Span keySpan;
  Node value;
};

const Node* find(const Node& table, const std::string& key);
// '"abc"', "12", "a table": for the "got" of a diagnostic.
std::string describe(const Node& node);

// The tree, or the first syntax error. Texts over kMaxDefinitionSize, nested deeper than 16 levels
// or with a byte 0 are refused before the library sees them (its parser is recursive).
tl::expected<Node, Diagnostic> parseToml(const Source& source);

}  // namespace orrery
