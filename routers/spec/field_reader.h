// Reads the keys of one table: says what is missing, of a wrong type, out of range or unknown.
//
// Every method reports into the list that it was given and goes on, so that one pass finds all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routers/spec/diagnostic.h"
#include "routers/spec/toml_document.h"
#include "sandbox/base/result.h"

namespace orrery {

// Diagnostics about one source.
class Reporter {
 public:
  Reporter(const Source& source, Diagnostics& out) : source_(source), out_(out) {}
  // The returned reference is for expected, got and hint; it is valid until the next call.
  Diagnostic& error(const Span& span, std::string message);
  Diagnostic& warning(const Span& span, std::string message);
  const Source& source() const { return source_; }
  Diagnostics& list() { return out_; }

 private:
  const Source& source_;
  Diagnostics& out_;
};

struct KeyList {
  std::vector<std::string> keys;
};

class FieldReader {
 public:
  // `title` is how the table is called in messages: "[router.galaxy0.lan]". `span` is where missing
  // keys are reported. Keys of `table` that are not in `keys` are reported at once.
  FieldReader(const Node& table, Span span, std::string title, const KeyList& keys,
              Reporter& reporter);

  const Node* optional(const std::string& key) const;
  const Node* required(const std::string& key, const std::string& expected);

  // The value of a key that must be of the type; nothing if absent or wrong (which is reported).
  const Node* table(const std::string& key, const std::string& expected);
  const Node* array(const std::string& key, const std::string& expected);
  std::optional<bool> boolean(const std::string& key);
  std::optional<std::int64_t> integer(const std::string& key, std::int64_t least,
                                      std::int64_t most);

  // A string that `parse` (Result<T>(std::string_view)) understands.
  template <class Parse>
  auto text(const std::string& key, Parse parse, const std::string& expected)
      -> std::optional<typename decltype(parse(std::string_view()))::value_type> {
    const Node* node = optional(key);
    if (node == nullptr) return std::nullopt;
    return textOf(*node, "'" + key + "'", parse, expected);
  }
  // The same for a key that must be there.
  template <class Parse>
  auto requiredText(const std::string& key, Parse parse, const std::string& expected)
      -> std::optional<typename decltype(parse(std::string_view()))::value_type> {
    if (required(key, expected) == nullptr) return std::nullopt;
    return text(key, parse, expected);
  }
  // The same for a value that is at hand.
  template <class Parse>
  auto textOf(const Node& node, const std::string& what, Parse parse, const std::string& expected)
      -> std::optional<typename decltype(parse(std::string_view()))::value_type> {
    if (!isString(node, what, expected)) return std::nullopt;
    auto value = parse(std::string_view(node.text));
    if (!value) {
      badValue(node, value.error().message, expected);
      return std::nullopt;
    }
    return *std::move(value);
  }
  // An array of such strings.
  template <class Parse>
  auto texts(const std::string& key, Parse parse, const std::string& expected)
      -> std::vector<typename decltype(parse(std::string_view()))::value_type> {
    std::vector<typename decltype(parse(std::string_view()))::value_type> out;
    const Node* node = optional(key);
    if (node == nullptr || !isArray(*node, "'" + key + "'", expected)) return out;
    for (const Node& item : node->items) {
      if (auto value = textOf(item, "an item of '" + key + "'", parse, expected)) {
        out.push_back(*std::move(value));
      }
    }
    return out;
  }

  Reporter& reporter() { return reporter_; }
  const Span& span() const { return span_; }

 private:
  bool isString(const Node& node, const std::string& what, const std::string& expected);
  bool isArray(const Node& node, const std::string& what, const std::string& expected);
  void wrongType(const Node& node, const std::string& what, const std::string& expected);
  void badValue(const Node& node, const std::string& message, const std::string& expected);
  void reportUnknownKeys(const KeyList& keys);

  const Node& table_;
  Span span_;
  std::string title_;
  Reporter& reporter_;
};

// "did you mean 'x'?", or nothing if no candidate is near.
std::string didYouMean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace orrery
