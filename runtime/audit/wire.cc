#include "runtime/audit/wire.h"

#include <algorithm>

namespace orrery::audit {
namespace {

constexpr std::size_t kMaxLinks = 64;
constexpr std::chrono::minutes kMostPatience{1};

Json prefixesJson(const std::vector<Prefix4>& prefixes) {
  Json list = Json::array();
  for (const Prefix4& prefix : prefixes) list.push(toString(prefix));
  return list;
}

Result<std::vector<Prefix4>> prefixesFrom(const Json& json) {
  std::vector<Prefix4> prefixes;
  if (json.asArray() == nullptr) return error("a list of prefixes is expected");
  for (const Json& item : *json.asArray()) {
    if (item.asString() == nullptr) return error("a prefix is expected");
    ORRERY_TRY_ASSIGN(const Prefix4 prefix, parsePrefix4(*item.asString()));
    prefixes.push_back(prefix);
  }
  return prefixes;
}

Json partyJson(const Party& party) {
  return Json::object({{"word", party.word},
                       {"among", prefixesJson(party.among)},
                       {"except", prefixesJson(party.except)}});
}

Result<Party> partyFrom(const Json& json) {
  Party party;
  party.word = json.text("word");
  ORRERY_TRY_ASSIGN(party.among, prefixesFrom(json["among"]));
  ORRERY_TRY_ASSIGN(party.except, prefixesFrom(json["except"]));
  return party;
}

template <class T>
Json numbersJson(const std::vector<T>& numbers) {
  Json list = Json::array();
  for (const T number : numbers) list.push(number);
  return list;
}

template <class T>
std::vector<T> numbersFrom(const Json& json) {
  std::vector<T> numbers;
  if (json.asArray() != nullptr)
    for (const Json& item : *json.asArray())
      numbers.push_back(static_cast<T>(item.asInteger().value_or(0)));
  return numbers;
}

Json portJson(const std::optional<std::uint16_t>& port) {
  return port ? Json(*port) : Json();
}
std::optional<std::uint16_t> portFrom(const Json& json) {
  const auto number = json.asInteger();
  if (!number) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

Json lineJson(const Allowance& line) {
  return Json::object({{"name", line.name},
                       {"out", line.way == Way::out},
                       {"form", static_cast<int>(line.form)},
                       {"source", partyJson(line.source)},
                       {"destination", partyJson(line.destination)},
                       {"protocols", numbersJson(line.protocols)},
                       {"sourcePort", portJson(line.sourcePort)},
                       {"destinationPort", portJson(line.destinationPort)},
                       {"exceptPorts", numbersJson(line.exceptPorts)},
                       {"icmpTypes", numbersJson(line.icmpTypes)},
                       {"openOnly", line.openOnly},
                       {"options", line.options},
                       {"broadcast", line.broadcast}});
}

Result<Allowance> lineFrom(const Json& json) {
  Allowance line;
  line.name = json.text("name");
  line.way = json.boolean("out") ? Way::out : Way::in;
  const std::int64_t form = json.integer("form", -1);
  if (form < 0 || form > 2) return error("no such form of frame: {}", form);
  line.form = static_cast<FrameForm>(form);
  ORRERY_TRY_ASSIGN(line.source, partyFrom(json["source"]));
  ORRERY_TRY_ASSIGN(line.destination, partyFrom(json["destination"]));
  line.protocols = numbersFrom<std::uint8_t>(json["protocols"]);
  line.sourcePort = portFrom(json["sourcePort"]);
  line.destinationPort = portFrom(json["destinationPort"]);
  line.exceptPorts = numbersFrom<std::uint16_t>(json["exceptPorts"]);
  line.icmpTypes = numbersFrom<std::uint8_t>(json["icmpTypes"]);
  line.openOnly = json.boolean("openOnly");
  line.options = json.boolean("options");
  line.broadcast = json.boolean("broadcast");
  return line;
}

std::string hex(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::vector<std::uint8_t> unhex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
  return bytes;
}

std::optional<Breach> breachNamed(std::string_view name) {
  for (std::size_t i = 0; i < kBreaches; ++i)
    if (name == toString(static_cast<Breach>(i))) return static_cast<Breach>(i);
  return std::nullopt;
}

Result<Violation> violationFrom(const Json& json) {
  Violation violation;
  const auto breach = breachNamed(json.text("breach"));
  if (!breach) return error("no such breach: {}", json.text("breach"));
  violation.breach = *breach;
  violation.count = static_cast<std::uint64_t>(json.integer("count"));
  violation.firstTime = json.integer("firstTime");
  violation.first = json.text("first");
  violation.bytes = unhex(json.text("bytes"));
  violation.probes = numbersFrom<unsigned>(json["probes"]);
  return violation;
}

}  // namespace

Json toJson(const LinkContract& contract) {
  Json lines = Json::array();
  for (const Allowance& line : contract.allowed) lines.push(lineJson(line));
  Json json = Json::object({{"side", toString(contract.side)}, {"ethernet", contract.ethernet}});
  if (contract.mac) json.set("mac", toString(*contract.mac));
  json.set("allowed", std::move(lines));
  return json;
}

Result<LinkContract> linkContractFromJson(const Json& json) {
  LinkContract contract;
  const auto side = parseLinkSide(json.text("side"));
  if (!side) return error("no such side: {}", json.text("side"));
  contract.side = *side;
  contract.ethernet = json.boolean("ethernet", true);
  if (!json.text("mac").empty()) {
    ORRERY_TRY_ASSIGN(contract.mac, parseMac(json.text("mac")));
  }
  if (json["allowed"].asArray() == nullptr) return error("'allowed' is no list");
  for (const Json& item : *json["allowed"].asArray()) {
    ORRERY_TRY_ASSIGN(Allowance line, lineFrom(item));
    contract.allowed.push_back(std::move(line));
  }
  return contract;
}

Json toJson(const AuditorConfig& config) {
  Json links = Json::array();
  for (std::size_t i = 0; i < config.links.size(); ++i) {
    const WatchedLink& link = config.links[i];
    links.push(Json::object({{"name", link.name},
                             {"fd", config.fds[i]},
                             {"farEnd", link.farEnd},
                             {"probesMayPass", link.probesMayPass},
                             {"contract", toJson(link.contract)}}));
  }
  return Json::object({{"session", config.session},
                       {"patience", config.patience.count()},
                       {"links", std::move(links)}});
}

Result<AuditorConfig> configFromJson(const Json& json) {
  AuditorConfig config;
  config.session = json.text("session");
  if (!config.session.empty() && config.session.size() != kSessionBytes)
    return error("a session has {} bytes", kSessionBytes);
  config.patience = std::chrono::milliseconds(json.integer("patience"));
  if (config.patience.count() < 0 || config.patience > kMostPatience)
    return error("a patience of {} ms", config.patience.count());
  const auto* links = json["links"].asArray();
  if (links == nullptr || links->empty() || links->size() > kMaxLinks)
    return error("1 to {} links are expected", kMaxLinks);
  for (const Json& item : *links) {
    WatchedLink link;
    link.name = item.text("name");
    link.farEnd = item.boolean("farEnd");
    link.probesMayPass = item.boolean("probesMayPass");
    ORRERY_TRY_ASSIGN(link.contract, linkContractFromJson(item["contract"]));
    config.links.push_back(std::move(link));
    config.fds.push_back(static_cast<int>(item.integer("fd", -1)));
  }
  return config;
}

Json toJson(const AuditorOrder& order) {
  if (!order.contracts) return Json::object({{"order", "report"}});
  Json contracts = Json::array();
  for (const LinkContract& contract : *order.contracts) contracts.push(toJson(contract));
  return Json::object({{"order", "contracts"}, {"contracts", std::move(contracts)}});
}

Result<AuditorOrder> orderFromJson(const Json& json) {
  AuditorOrder order;
  if (json.text("order") == "report") return order;
  const auto* contracts = json["contracts"].asArray();
  if (json.text("order") != "contracts" || contracts == nullptr)
    return error("no such order: '{}'", json.text("order"));
  order.contracts.emplace();
  for (const Json& item : *contracts) {
    ORRERY_TRY_ASSIGN(LinkContract contract, linkContractFromJson(item));
    order.contracts->push_back(std::move(contract));
  }
  return order;
}

Json toJson(const Violation& violation) {
  return Json::object({{"breach", toString(violation.breach)},
                       {"count", violation.count},
                       {"firstTime", violation.firstTime},
                       {"first", violation.first},
                       {"bytes", hex(violation.bytes)},
                       {"probes", numbersJson(violation.probes)}});
}

Json toJson(const LinkReport& report) {
  Json violations = Json::array();
  for (const Violation& violation : report.violations) violations.push(toJson(violation));
  return Json::object({{"link", report.name},
                       {"frames", report.frames},
                       {"strays", report.strays},
                       {"lost", report.lost},
                       {"violations", std::move(violations)},
                       {"passed", numbersJson(report.passed)}});
}

Result<LinkReport> linkReportFromJson(const Json& json) {
  LinkReport report;
  report.name = json.text("link");
  report.frames = static_cast<std::uint64_t>(json.integer("frames"));
  report.strays = static_cast<std::uint64_t>(json.integer("strays"));
  report.lost = static_cast<std::uint64_t>(json.integer("lost"));
  if (json["violations"].asArray() == nullptr) return error("'violations' is no list");
  for (const Json& item : *json["violations"].asArray()) {
    ORRERY_TRY_ASSIGN(Violation violation, violationFrom(item));
    report.violations.push_back(std::move(violation));
  }
  report.passed = numbersFrom<unsigned>(json["passed"]);
  return report;
}

}  // namespace orrery::audit
