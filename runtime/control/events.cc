#include "runtime/control/events.h"

#include <time.h>

#include <array>
#include <chrono>

namespace orrery {
namespace {

constexpr std::string_view kEventSchema = "orrery.event/1";
constexpr std::array kSeverities = {Severity::debug, Severity::info, Severity::warning,
                                    Severity::error};

std::int64_t milliseconds(clockid_t clock) {
  timespec ts{};
  (void)::clock_gettime(clock, &ts);  // cannot fail for the clocks that we name
  return std::int64_t{ts.tv_sec} * 1000 + ts.tv_nsec / 1'000'000;
}

const char* colourOf(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return "\x1b[2m";
    case Severity::info:
      return "";
    case Severity::warning:
      return "\x1b[33m";
    case Severity::error:
      return "\x1b[31m";
  }
  return "";
}

std::string quotedIfNeeded(std::string_view value) {
  std::string text = printable(value);
  if (!text.empty() && text.find_first_of(" \"=") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

Status readFields(const Json& fields, Event& event) {
  if (fields.isNull()) return {};
  if (!fields.isObject()) return error("event: 'fields' is no object");
  for (const Json::Member& member : *fields.asObject()) {
    const std::string* value = member.second.asString();
    if (value == nullptr) return error("event: field '{}' is no string", member.first);
    event.fields.push_back({member.first, *value});
  }
  return {};
}

}  // namespace

const char* toString(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return "debug";
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "error";
}

std::optional<Severity> parseSeverity(std::string_view text) {
  for (const Severity severity : kSeverities)
    if (text == toString(severity)) return severity;
  return std::nullopt;
}

std::string rfc3339(std::int64_t unixMilliseconds) {
  using namespace std::chrono;
  const sys_time<std::chrono::milliseconds> moment{std::chrono::milliseconds(unixMilliseconds)};
  const auto day = floor<days>(moment);
  const year_month_day date(day);
  const hh_mm_ss time(moment - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

Timestamp Timestamp::now() {
  return {rfc3339(milliseconds(CLOCK_REALTIME)), milliseconds(CLOCK_BOOTTIME)};
}

Json toJson(const Event& event) {
  Json json = Json::object({{"schema", kEventSchema},
                            {"time", event.time.wall},
                            {"severity", toString(event.severity)},
                            {"network", event.router.network},
                            {"router", event.router.name}});
  if (!event.service.empty()) json.set("service", event.service);
  json.set("event", event.name);
  if (!event.fields.empty()) {
    Json fields = Json::object();
    for (const auto& [name, value] : event.fields) fields.set(name, value);
    json.set("fields", std::move(fields));
  }
  return json;
}

std::string toJsonLine(const Event& event) {
  return toJson(event).dump();
}

std::string toHumanLine(const Event& event, bool colour) {
  // "2026-01-31T12:00:00.123Z": the day is of no use on a terminal.
  const std::string_view wall = event.time.wall;
  std::string out(wall.size() == 24 ? wall.substr(11, 12) : wall);
  out += ' ';
  out += printable(event.router.name);
  if (!event.service.empty()) out += '/' + printable(event.service);
  const std::string_view paint = colour ? colourOf(event.severity) : "";
  out += fmt::format(" {}{}{}", paint, printable(event.name), paint.empty() ? "" : "\x1b[0m");
  for (const auto& [name, value] : event.fields)
    out += fmt::format(" {}={}", printable(name), quotedIfNeeded(value));
  return out;
}

Result<Event> eventFromJson(const Json& json) {
  if (json.text("schema") != kEventSchema) return error("event: not of schema '{}'", kEventSchema);
  Event event;
  event.router = {json.text("network"), json.text("router")};
  event.service = json.text("service");
  event.name = json.text("event");
  event.time.wall = json.text("time");
  if (event.name.empty()) return error("event: no name");
  const auto severity = parseSeverity(json.text("severity"));
  if (!severity) return error("event: unknown severity '{}'", json.text("severity"));
  event.severity = *severity;
  ORRERY_TRY(readFields(json["fields"], event));
  return event;
}

Result<Event> parseEvent(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Json json, parseJson(text));
  return eventFromJson(json);
}

std::string_view fieldOf(const Event& event, std::string_view name) {
  for (const auto& [key, value] : event.fields)
    if (key == name) return value;
  return "";
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8: 0xc2 0x80…0x9f.
    const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                    (static_cast<unsigned char>(text[i + 1]) & 0xe0) == 0x80;
    if (c < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", c);
    else if (c1)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    else
      out += text[i];
  }
  return out;
}

}  // namespace orrery
