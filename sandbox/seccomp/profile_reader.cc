// TOML → Profile. toml11 throws and stays in this file.
#include <algorithm>
#include <sstream>

#include <toml.hpp>

#include "sandbox/base/strings.h"
#include "sandbox/base/utf8.h"
#include "sandbox/seccomp/constants.h"
#include "sandbox/seccomp/profile.h"

namespace orrery {
namespace {

constexpr std::uint64_t kLower32 = 0xffffffffULL;
// toml11 descends recursively; this bounds its depth long before the stack ends.
constexpr std::ptrdiff_t kMaxBrackets = 1000;
constexpr std::size_t kMaxNames = 1000;  // in one list

bool isProfileName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}
  Result<Profile> read(const toml::value& root);

 private:
  // "profile 'tor', line 12: " before the text.
  template <class... A>
  tl::unexpected<Error> at(const toml::value& v, fmt::format_string<A...> f, A&&... a) const {
    return error("seccomp profile '{}', line {}: {}", name_, v.location().line(),
                 fmt::format(f, std::forward<A>(a)...));
  }
  Status checkKeys(const toml::value& table, const std::vector<std::string>& known) const;
  Result<std::string> text(const toml::value& v, std::string_view key) const;
  Result<std::vector<std::string>> texts(const toml::value& v, std::string_view key) const;
  Result<std::int64_t> number(const toml::value& v, std::string_view key) const;
  Result<SeccompAction> action(const toml::value& v) const;
  Result<std::uint64_t> word(const toml::value& v, std::string_view word) const;
  Result<std::uint64_t> bits(const toml::value& v) const;
  Result<std::vector<std::uint64_t>> values(const toml::value& v, bool combine) const;
  Result<SeccompCondition> condition(const toml::value& v) const;
  Status matcher(const toml::value& v, std::uint64_t width, SeccompCondition& out) const;
  Status checkUseful(const toml::value& v, const SeccompCondition& c) const;
  Result<SeccompRule> rule(const toml::value& v) const;
  Result<SeccompMeasured> measured(const toml::value& v) const;
  Result<std::vector<SeccompException>> exceptions(const toml::value& v) const;
  Result<std::string> reason(const toml::value& v, std::string_view missing) const;

  std::string name_;
};

// What the author wrote, for tables.
std::string written(const toml::value& v) {
  if (v.is_string()) return v.as_string().str;
  if (v.is_integer()) return fmt::format("{:#x}", v.as_integer());
  std::vector<std::string> parts;
  if (v.is_array())
    for (const toml::value& e : v.as_array()) parts.push_back(written(e));
  return join(parts, ", ");
}

Status Reader::checkKeys(const toml::value& table, const std::vector<std::string>& known) const {
  for (const auto& [key, value] : table.as_table()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const auto meant = nearest(key, known);
    return at(value, "unknown key '{}'{}", key,
              meant ? fmt::format(" (did you mean '{}'?)", *meant)
                    : fmt::format("; expected one of {}", join(known, ", ")));
  }
  return {};
}

Result<std::string> Reader::text(const toml::value& v, std::string_view key) const {
  if (!v.is_string()) return at(v, "'{}' must be a string", key);
  return v.as_string().str;
}

Result<std::vector<std::string>> Reader::texts(const toml::value& v, std::string_view key) const {
  if (!v.is_array()) return at(v, "'{}' must be a list of strings", key);
  if (v.as_array().size() > kMaxNames) return at(v, "'{}' has too many entries", key);
  std::vector<std::string> out;
  for (const toml::value& e : v.as_array()) {
    ORRERY_TRY_ASSIGN(std::string entry, text(e, key));
    if (std::find(out.begin(), out.end(), entry) != out.end())
      return at(e, "'{}' names '{}' twice", key, entry);
    out.push_back(std::move(entry));
  }
  return out;
}

Result<std::int64_t> Reader::number(const toml::value& v, std::string_view key) const {
  if (!v.is_integer()) return at(v, "'{}' must be a number", key);
  return v.as_integer();
}

Result<SeccompAction> Reader::action(const toml::value& v) const {
  ORRERY_TRY_ASSIGN(const std::string name, text(v, "action"));
  auto parsed = parseSeccompAction(name);
  if (!parsed) return at(v, "{}", parsed.error().message);
  return *parsed;
}

Result<std::uint64_t> Reader::word(const toml::value& v, std::string_view word) const {
  if (const auto known = seccompConstant(word)) return *known;
  const bool hex = word.substr(0, 2) == "0x";
  const auto parsed =
      hex ? parseNumber<std::uint64_t>(word.substr(2), 16) : parseNumber<std::uint64_t>(word);
  if (parsed) return *parsed;
  const auto meant = nearest(word, seccompConstantNames());
  return at(v, "unknown constant '{}'{}", word,
            meant ? fmt::format(" (did you mean '{}'?)", *meant)
                  : std::string("; write a number, or add it to sandbox/seccomp/constants.cc"));
}

Result<std::uint64_t> Reader::bits(const toml::value& v) const {
  if (v.is_integer()) {
    if (v.as_integer() < 0) return at(v, "a value must not be negative");
    return static_cast<std::uint64_t>(v.as_integer());
  }
  ORRERY_TRY_ASSIGN(const std::string names, text(v, "value"));
  std::uint64_t all = 0;
  for (const std::string_view part : split(names, '|')) {
    ORRERY_TRY_ASSIGN(const std::uint64_t value, word(v, trim(part)));
    all |= value;
  }
  return all;
}

// A list of values; with `combine` their union as one.
Result<std::vector<std::uint64_t>> Reader::values(const toml::value& v, bool combine) const {
  if (!v.is_array() || v.as_array().empty()) return at(v, "expected a list of values");
  if (v.as_array().size() > kMaxNames) return at(v, "too many values");
  std::vector<std::uint64_t> out;
  std::uint64_t all = 0;
  for (const toml::value& e : v.as_array()) {
    ORRERY_TRY_ASSIGN(const std::uint64_t value, bits(e));
    all |= value;
    if (std::find(out.begin(), out.end(), value) != out.end())
      return at(e, "value {:#x} stands there twice", value);
    out.push_back(value);
  }
  if (combine) return std::vector<std::uint64_t>{all};
  std::sort(out.begin(), out.end());
  return out;
}

Status Reader::matcher(const toml::value& v, std::uint64_t width, SeccompCondition& out) const {
  std::string matcherKey;
  for (const char* key : {"eq", "in", "none_of", "only"}) {
    if (!v.contains(key)) continue;
    if (!matcherKey.empty()) return at(v, "'{}' and '{}' in one condition", matcherKey, key);
    matcherKey = key;
  }
  if (matcherKey.empty()) return at(v, "a condition needs one of eq, in, none_of, only");
  const toml::value& wanted = v.as_table().at(matcherKey);
  out.mask = width;
  std::string masked;
  if (v.contains("masked")) {
    if (matcherKey != "eq" && matcherKey != "in")
      return at(v, "'masked' goes with 'eq' or 'in', not with '{}'", matcherKey);
    const toml::value& mask = v.as_table().at("masked");
    ORRERY_TRY_ASSIGN(out.mask, bits(mask));
    masked = fmt::format(" & {}", written(mask));
  }
  const bool flags = matcherKey == "none_of" || matcherKey == "only";
  if (matcherKey == "eq") {
    ORRERY_TRY_ASSIGN(const std::uint64_t value, bits(wanted));
    out.values = {value};
  } else {
    ORRERY_TRY_ASSIGN(out.values, values(wanted, flags));
  }
  for (const std::uint64_t value : out.values)
    if ((value & ~width) != 0) return at(v, "value {:#x} does not fit in 32 bits", value);
  if ((out.mask & ~width) != 0) return at(v, "mask {:#x} does not fit in 32 bits", out.mask);
  if (flags) {
    out.mask = matcherKey == "none_of" ? out.values[0] : width & ~out.values[0];
    out.values = {0};
  }
  out.text = fmt::format("arg{}{} {} {}", out.arg, masked, matcherKey == "eq" ? "==" : matcherKey,
                         written(wanted));
  return {};
}

Status Reader::checkUseful(const toml::value& v, const SeccompCondition& c) const {
  if (c.mask == 0) return at(v, "the condition '{}' always holds", c.text);
  for (const std::uint64_t value : c.values)
    if ((value & ~c.mask) != 0)
      return at(v, "the condition '{}' never holds: {:#x} has bits outside of the mask", c.text,
                value);
  return {};
}

Result<SeccompCondition> Reader::condition(const toml::value& v) const {
  if (!v.is_table()) return at(v, "'when' must be a list of conditions, each in braces");
  ORRERY_TRY(checkKeys(v, {"arg", "width", "masked", "eq", "in", "none_of", "only"}));
  if (!v.contains("arg")) return at(v, "a condition needs 'arg'");
  ORRERY_TRY_ASSIGN(const std::int64_t arg, number(v.as_table().at("arg"), "arg"));
  if (arg < 0 || arg > 5) return at(v, "'arg' is {}; calls have arguments 0 to 5", arg);
  std::uint64_t width = kLower32;
  if (v.contains("width")) {
    ORRERY_TRY_ASSIGN(const std::int64_t n, number(v.as_table().at("width"), "width"));
    if (n != 32 && n != 64) return at(v, "'width' is {}; it must be 32 or 64", n);
    if (n == 64) width = ~0ULL;
  }
  SeccompCondition out;
  out.arg = static_cast<unsigned>(arg);
  ORRERY_TRY(matcher(v, width, out));
  ORRERY_TRY(checkUseful(v, out));
  return out;
}

Result<SeccompRule> Reader::rule(const toml::value& v) const {
  if (!v.is_table()) return at(v, "'rule' must be a list of tables: [[rule]]");
  ORRERY_TRY(checkKeys(v, {"calls", "when", "action", "why"}));
  SeccompRule out;
  out.line = v.location().line();
  if (!v.contains("calls")) return at(v, "a rule needs 'calls'");
  ORRERY_TRY_ASSIGN(out.calls, texts(v.as_table().at("calls"), "calls"));
  if (out.calls.empty()) return at(v, "'calls' is empty");
  ORRERY_TRY_ASSIGN(
      out.why, reason(v, fmt::format("a rule needs 'why': who needs {}, for what", out.calls[0])));
  if (v.contains("action")) {
    ORRERY_TRY_ASSIGN(out.action, action(v.as_table().at("action")));
  }
  if (!v.contains("when")) return out;
  const toml::value& when = v.as_table().at("when");
  if (!when.is_array() || when.as_array().empty())
    return at(when, "'when' must be a list of conditions, each in braces");
  for (const toml::value& c : when.as_array()) {
    ORRERY_TRY_ASSIGN(SeccompCondition one, condition(c));
    out.when.push_back(std::move(one));
  }
  return out;
}

Result<std::string> Reader::reason(const toml::value& v, std::string_view missing) const {
  if (!v.contains("why")) return at(v, "{}", missing);
  ORRERY_TRY_ASSIGN(std::string why, text(v.as_table().at("why"), "why"));
  if (trim(why).empty()) return at(v, "'why' is empty");
  return why;
}

Result<SeccompMeasured> Reader::measured(const toml::value& v) const {
  if (!v.is_table()) return at(v, "'measured' must be a table: [measured]");
  ORRERY_TRY(checkKeys(v, {"source", "calls"}));
  SeccompMeasured out;
  if (!v.contains("source")) return at(v, "measured counts need 'source': how they were counted");
  ORRERY_TRY_ASSIGN(out.source, text(v.as_table().at("source"), "source"));
  if (!v.contains("calls") || !v.as_table().at("calls").is_table())
    return at(v, "measured counts need 'calls', a table of names and counts");
  for (const auto& [call, count] : v.as_table().at("calls").as_table()) {
    ORRERY_TRY_ASSIGN(const std::int64_t n, number(count, call));
    if (n <= 0) return at(count, "'{}' was counted {} times", call, n);
    out.calls.emplace_back(call, static_cast<std::uint64_t>(n));
  }
  if (out.calls.empty() || out.calls.size() > kMaxNames)
    return at(v, "{} calls were counted", out.calls.size());
  std::sort(out.calls.begin(), out.calls.end());
  return out;
}

Result<std::vector<SeccompException>> Reader::exceptions(const toml::value& v) const {
  if (!v.is_array()) return at(v, "'exception' must be a list of tables: [[exception]]");
  std::vector<SeccompException> out;
  for (const toml::value& e : v.as_array()) {
    if (!e.is_table()) return at(e, "'exception' must be a list of tables: [[exception]]");
    ORRERY_TRY(checkKeys(e, {"law", "why"}));
    SeccompException one;
    one.profile = name_;
    one.line = e.location().line();
    if (!e.contains("law")) return at(e, "an exception needs 'law': from which one");
    ORRERY_TRY_ASSIGN(one.law, text(e.as_table().at("law"), "law"));
    ORRERY_TRY_ASSIGN(one.why, reason(e, "an exception needs 'why'"));
    out.push_back(std::move(one));
  }
  return out;
}

Result<Profile> Reader::read(const toml::value& root) {
  ORRERY_TRY(
      checkKeys(root, {"schema", "extends", "default", "laws", "measured", "exception", "rule"}));
  const auto& table = root.as_table();
  if (!root.contains("schema")) return at(root, "'schema = 1' is missing");
  ORRERY_TRY_ASSIGN(const std::int64_t schema, number(table.at("schema"), "schema"));
  if (schema != 1) return at(table.at("schema"), "schema {} is unknown; this is 1", schema);
  Profile out;
  out.name = name_;
  if (root.contains("extends")) {
    ORRERY_TRY_ASSIGN(out.extends, texts(table.at("extends"), "extends"));
  }
  if (root.contains("measured")) {
    ORRERY_TRY_ASSIGN(out.measured, measured(table.at("measured")));
  }
  if (root.contains("exception")) {
    ORRERY_TRY_ASSIGN(out.exceptions, exceptions(table.at("exception")));
  }
  if (root.contains("default")) {
    ORRERY_TRY_ASSIGN(const SeccompAction fallback, action(table.at("default")));
    if (fallback.kind == SeccompAction::Kind::allow)
      return at(table.at("default"), "a default of 'allow' makes no sandbox");
    out.defaultAction = fallback;
  }
  if (root.contains("laws")) {
    ORRERY_TRY_ASSIGN(const std::string laws, text(table.at("laws"), "laws"));
    if (laws != "service" && laws != "supervisor")
      return at(table.at("laws"), "'laws' is 'service' or 'supervisor', not '{}'", laws);
    if (laws == "supervisor") out.laws = LawSet::supervisor;
  }
  if (!root.contains("rule")) return out;
  const toml::value& rules = table.at("rule");
  if (!rules.is_array()) return at(rules, "'rule' must be a list of tables: [[rule]]");
  for (const toml::value& r : rules.as_array()) {
    ORRERY_TRY_ASSIGN(SeccompRule one, rule(r));
    out.rules.push_back(std::move(one));
  }
  return out;
}

}  // namespace

Result<Profile> readProfile(std::string_view name, std::string_view tomlText) {
  if (!isProfileName(name))
    return error("seccomp profile '{}': a name has 1 to 64 of a-z, 0-9, '-', '_'", name);
  if (tomlText.size() > kMaxProfileText)
    return error("seccomp profile '{}': {} bytes; the limit is {}", name, tomlText.size(),
                 kMaxProfileText);
  // toml11 3.7.1 reads outside of its text when a literal string is none.
  if (const auto at = firstInvalidUtf8(tomlText))
    return error("seccomp profile '{}': byte {} is not UTF-8", name, *at);
  const auto brackets =
      std::count_if(tomlText.begin(), tomlText.end(), [](char c) { return c == '[' || c == '{'; });
  if (brackets > kMaxBrackets)
    return error("seccomp profile '{}': more than {} brackets", name, kMaxBrackets);
  try {
    std::istringstream in{std::string(tomlText)};
    return Reader(name).read(toml::parse(in, std::string(name) + ".toml"));
  } catch (const std::exception& e) {
    return error("seccomp profile '{}': {}", name, e.what());
  }
}

}  // namespace orrery
