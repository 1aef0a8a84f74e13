#include "routers/spec/field_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sandbox/base/strings.h"

namespace orrery {

Diagnostic& Reporter::error(const Span& span, std::string message) {
  out_.push_back(source_.at(span, std::move(message)));
  return out_.back();
}

Diagnostic& Reporter::warning(const Span& span, std::string message) {
  Diagnostic& diagnostic = error(span, std::move(message));
  diagnostic.warning = true;
  return diagnostic;
}

std::string didYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  const auto candidate = nearest(word, candidates);
  return candidate ? fmt::format("did you mean '{}'?", *candidate) : std::string();
}

FieldReader::FieldReader(const Node& table, Span span, std::string title, const KeyList& keys,
                         Reporter& reporter)
    : table_(table), span_(span), title_(std::move(title)), reporter_(reporter) {
  reportUnknownKeys(keys);
}

void FieldReader::reportUnknownKeys(const KeyList& keys) {
  for (const TableEntry& entry : table_.entries) {
    if (std::find(keys.keys.begin(), keys.keys.end(), entry.key) != keys.keys.end()) continue;
    Diagnostic& d =
        reporter_.error(entry.keySpan, fmt::format("unknown key '{}' in {}", entry.key, title_));
    d.expected = join(keys.keys, ", ");
    d.hint = didYouMean(entry.key, keys.keys);
  }
}

const Node* FieldReader::optional(const std::string& key) const {
  return find(table_, key);
}

const Node* FieldReader::required(const std::string& key, const std::string& expected) {
  const Node* node = optional(key);
  if (node == nullptr) {
    reporter_.error(span_, fmt::format("'{}' is missing in {}", key, title_)).expected = expected;
  }
  return node;
}

const Node* FieldReader::table(const std::string& key, const std::string& expected) {
  const Node* node = optional(key);
  if (node == nullptr || node->type == NodeType::table) return node;
  wrongType(*node, "'" + key + "'", expected);
  return nullptr;
}

const Node* FieldReader::array(const std::string& key, const std::string& expected) {
  const Node* node = optional(key);
  if (node == nullptr || node->type == NodeType::array) return node;
  wrongType(*node, "'" + key + "'", expected);
  return nullptr;
}

std::optional<bool> FieldReader::boolean(const std::string& key) {
  const Node* node = optional(key);
  if (node == nullptr) return std::nullopt;
  if (node->type == NodeType::boolean) return node->boolean;
  wrongType(*node, "'" + key + "'", "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer(const std::string& key, std::int64_t least,
                                                 std::int64_t most) {
  const Node* node = optional(key);
  if (node == nullptr) return std::nullopt;
  const std::string expected = fmt::format("a number from {} to {}", least, most);
  if (node->type != NodeType::integer) {
    wrongType(*node, "'" + key + "'", expected);
    return std::nullopt;
  }
  if (node->integer >= least && node->integer <= most) return node->integer;
  badValue(*node, fmt::format("'{}' is out of range", key), expected);
  return std::nullopt;
}

bool FieldReader::isString(const Node& node, const std::string& what, const std::string& expected) {
  if (node.type == NodeType::string) return true;
  wrongType(node, what, expected);
  if (node.type == NodeType::integer) {
    reporter_.list().back().hint = "it is a string: put it in quotes";
  }
  return false;
}

bool FieldReader::isArray(const Node& node, const std::string& what, const std::string& expected) {
  if (node.type == NodeType::array) return true;
  wrongType(node, what, fmt::format("an array, each item {}", expected));
  if (node.type == NodeType::string) {
    reporter_.list().back().hint = fmt::format("put it in brackets: [\"{}\"]", node.text);
  }
  return false;
}

void FieldReader::wrongType(const Node& node, const std::string& what,
                            const std::string& expected) {
  Diagnostic& d =
      reporter_.error(node.span, fmt::format("{} in {} has the wrong type", what, title_));
  d.expected = expected;
  d.got = describe(node);
}

void FieldReader::badValue(const Node& node, const std::string& message,
                           const std::string& expected) {
  Diagnostic& d = reporter_.error(node.span, message);
  d.expected = expected;
  d.got = describe(node);
}

}  // namespace orrery
