#include "runtime/control/json.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace orrery {
namespace {

// Length of the valid UTF-8 sequence at `text[at]`, 0 if there is none (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF).
std::size_t sequenceLength(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  const unsigned char second = byte(at + 1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f))
    return 0;
  return length;
}

void writeEscape(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
  }
}

void writeString(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequenceLength(text, at);
    const char c = text[at];
    if (length == 0)
      out += "\xef\xbf\xbd";
    else if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      writeEscape(out, c);
    else
      out.append(text.substr(at, length));
    at += std::max<std::size_t>(length, 1);
  }
  out += '"';
}

void newLine(std::string& out, int indent, int level) {
  if (indent == 0) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent * level), ' ');
}

}  // namespace

Json Json::object(std::initializer_list<Member> members) {
  Json json;
  json.value_ = Object(members);
  return json;
}

Json Json::array(Array items) {
  Json json;
  json.value_ = std::move(items);
  return json;
}

// One number has one form, so that a value compares equal after a round trip.
Json::Value Json::fromUnsigned(std::uint64_t number) {
  if (number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return Value(static_cast<std::int64_t>(number));
  return Value(number);
}

std::optional<bool> Json::asBool() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  return std::nullopt;
}

std::optional<std::int64_t> Json::asInteger() const {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return *value;
  return std::nullopt;
}

const Json& Json::operator[](std::string_view key) const {
  static const Json kNull;
  if (const Object* members = asObject())
    for (const Member& member : *members)
      if (member.first == key) return member.second;
  return kNull;
}

Json& Json::set(std::string key, Json value) {
  if (!isObject()) value_ = Object{};
  Object& members = std::get<Object>(value_);
  const auto at = std::ranges::find(members, key, &Member::first);
  if (at != members.end())
    at->second = std::move(value);
  else
    members.push_back(Member(std::move(key), std::move(value)));
  return *this;
}

Json& Json::push(Json value) {
  if (!isArray()) value_ = Array{};
  std::get<Array>(value_).push_back(std::move(value));
  return *this;
}

std::string Json::text(std::string_view key, std::string_view otherwise) const {
  const std::string* value = (*this)[key].asString();
  return value != nullptr ? *value : std::string(otherwise);
}

std::int64_t Json::integer(std::string_view key, std::int64_t otherwise) const {
  return (*this)[key].asInteger().value_or(otherwise);
}

bool Json::boolean(std::string_view key, bool otherwise) const {
  return (*this)[key].asBool().value_or(otherwise);
}

std::string Json::dump() const {
  std::string out;
  write(out, 0, 0);
  return out;
}

std::string Json::pretty() const {
  std::string out;
  write(out, 2, 0);
  return out;
}

void Json::write(std::string& out, int indent, int level) const {
  if (isNull()) {
    out += "null";
  } else if (const auto boolean = asBool()) {
    out += *boolean ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
    out += fmt::format("{}", *integer);
  } else if (const auto* large = std::get_if<std::uint64_t>(&value_)) {
    out += fmt::format("{}", *large);
  } else if (const auto* real = std::get_if<double>(&value_)) {
    out += std::isfinite(*real) ? fmt::format("{}", *real) : "null";
  } else if (const std::string* text = asString()) {
    writeString(out, *text);
  } else if (const Array* items = asArray()) {
    out += '[';
    for (std::size_t i = 0; i < items->size(); ++i) {
      if (i > 0) out += ',';
      newLine(out, indent, level + 1);
      (*items)[i].write(out, indent, level + 1);
    }
    if (!items->empty()) newLine(out, indent, level);
    out += ']';
  } else if (const Object* members = asObject()) {
    out += '{';
    for (std::size_t i = 0; i < members->size(); ++i) {
      if (i > 0) out += ',';
      newLine(out, indent, level + 1);
      writeString(out, (*members)[i].first);
      out += indent == 0 ? ":" : ": ";
      (*members)[i].second.write(out, indent, level + 1);
    }
    if (!members->empty()) newLine(out, indent, level);
    out += '}';
  }
}

}  // namespace orrery
