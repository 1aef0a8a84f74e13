// JSON as a value: what the control protocol, the state files and `routerctl --json` are made of.
//
// Objects keep the order in which keys were added, so output is stable. Parsing is strict (RFC
// 8259), limited in size and depth before anything is built, and never throws. Texts are UTF-8; a
// byte that is not is written as U+FFFD, because interface names and log lines may hold anything.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "sandbox/base/result.h"

namespace orrery {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;                                           // null
  Json(std::nullptr_t) {}                                     // NOLINT: implicit by design
  Json(const char* text) : value_(std::string(text)) {}       // NOLINT
  Json(std::string text) : value_(std::move(text)) {}         // NOLINT
  Json(std::string_view text) : value_(std::string(text)) {}  // NOLINT
  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  Json(T number) : value_(fromNumber(number)) {}  // NOLINT
  template <class T>
  Json(const std::optional<T>& o) {
    if (o) *this = Json(*o);
  }  // NOLINT

  static Json object(std::initializer_list<Member> members = {});
  static Json array(Array items = {});

  bool isNull() const { return std::holds_alternative<std::monostate>(value_); }
  bool isObject() const { return std::holds_alternative<Object>(value_); }
  bool isArray() const { return std::holds_alternative<Array>(value_); }
  const Object* asObject() const { return std::get_if<Object>(&value_); }
  const Array* asArray() const { return std::get_if<Array>(&value_); }
  const std::string* asString() const { return std::get_if<std::string>(&value_); }
  std::optional<bool> asBool() const;
  std::optional<std::int64_t> asInteger() const;  // none for fractions and out of range

  // Member of an object; null if there is none or this is no object.
  const Json& operator[](std::string_view key) const;
  Json& set(std::string key, Json value);  // replaces or appends; a null becomes an object
  Json& push(Json value);                  // a null becomes an array

  // "" or the default if the member is missing or of another type.
  std::string text(std::string_view key, std::string_view otherwise = "") const;
  std::int64_t integer(std::string_view key, std::int64_t otherwise = 0) const;
  bool boolean(std::string_view key, bool otherwise = false) const;

  std::string dump() const;    // one line, no newline inside or at the end
  std::string pretty() const;  // indented by two, ends without newline

  friend bool operator==(const Json&, const Json&) = default;

 private:
  using Value = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string,
                             Array, Object>;
  template <class T>
  static Value fromNumber(T number) {
    if constexpr (std::is_same_v<T, bool>)
      return Value(number);
    else if constexpr (std::is_floating_point_v<T>)
      return Value(static_cast<double>(number));
    else if constexpr (std::is_signed_v<T>)
      return Value(static_cast<std::int64_t>(number));
    else
      return fromUnsigned(static_cast<std::uint64_t>(number));
  }
  static Value fromUnsigned(std::uint64_t number);
  void write(std::string& out, int indent, int level) const;

  Value value_;
};

inline constexpr std::size_t kMaxJsonDepth = 16;       // nested arrays and objects
inline constexpr std::size_t kMaxJsonText = 4u << 20;  // bytes

// Errors name the byte offset. Duplicate keys are refused.
Result<Json> parseJson(std::string_view text, std::size_t maxBytes = kMaxJsonText,
                       std::size_t maxDepth = kMaxJsonDepth);

}  // namespace orrery
