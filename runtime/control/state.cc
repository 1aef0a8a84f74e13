#include "runtime/control/state.h"

#include <array>
#include <limits>

namespace orrery {
namespace {

// Tables rather than switches: each enumeration is written and read, in one place.
template <class E>
struct Word {
  E value;
  const char* text;
};
constexpr std::array<Word<RouterPhase>, 5> kPhases{{{RouterPhase::starting, "starting"},
                                                    {RouterPhase::ready, "ready"},
                                                    {RouterPhase::degraded, "degraded"},
                                                    {RouterPhase::stopping, "stopping"},
                                                    {RouterPhase::failed, "failed"}}};
constexpr std::array<Word<RungState>, 3> kRungStates{
    {{RungState::pending, "pending"}, {RungState::ok, "ok"}, {RungState::failed, "failed"}}};
constexpr std::array<Word<ServicePhase>, 5> kServicePhases{{{ServicePhase::starting, "starting"},
                                                            {ServicePhase::running, "running"},
                                                            {ServicePhase::waiting, "waiting"},
                                                            {ServicePhase::stopped, "stopped"},
                                                            {ServicePhase::failed, "failed"}}};
constexpr std::array<Word<Kind>, 3> kKinds{
    {{Kind::universe, "universe"}, {Kind::galaxy, "galaxy"}, {Kind::star, "star"}}};

template <class E, std::size_t N>
const char* wordOf(const std::array<Word<E>, N>& words, E value) {
  for (const Word<E>& word : words)
    if (word.value == value) return word.text;
  return "?";
}

template <class E, std::size_t N>
std::optional<E> valueOf(const std::array<Word<E>, N>& words, std::string_view text) {
  for (const Word<E>& word : words)
    if (text == word.text) return word.value;
  return std::nullopt;
}

template <class E, std::size_t N>
Status readWord(const Json& json, const char* key, const std::array<Word<E>, N>& words, E& out) {
  const auto value = valueOf(words, json.text(key));
  if (!value) return error("state: '{}' is '{}'", key, json.text(key));
  out = *value;
  return {};
}

template <class T>
Status readNumber(const Json& json, const char* key, T& out) {
  const std::int64_t value = json.integer(key);
  if (value < 0 || value > std::int64_t{std::numeric_limits<T>::max()})
    return error("state: '{}' is {}, out of range", key, value);
  out = static_cast<T>(value);
  return {};
}

Json toJson(const Timestamp& time) {
  return Json::object({{"time", time.wall}, {"monotonicMs", time.monotonicMs}});
}
Timestamp timestampFrom(const Json& json) {
  return {json.text("time"), json.integer("monotonicMs")};
}

Json toJson(const EgressStatus& egress) {
  Json dns = Json::array();
  for (const Ipv4 server : egress.dns) dns.push(toString(server));
  Json json = Json::object({{"type", egress.type}, {"dns", std::move(dns)}});
  if (egress.tunnelAddress) json.set("tunnelAddress", toString(*egress.tunnelAddress));
  if (egress.endpoint)
    json.set("endpoint", Json::object({{"address", toString(egress.endpoint->address)},
                                       {"port", egress.endpoint->port},
                                       {"protocol", egress.endpoint->tcp ? "tcp" : "udp"}}));
  if (!egress.exitHint.empty()) json.set("exitHint", egress.exitHint);
  return json;
}

Status readEgress(const Json& json, EgressStatus& egress) {
  egress.type = json.text("type");
  egress.exitHint = json.text("exitHint");
  if (const std::string* address = json["tunnelAddress"].asString()) {
    ORRERY_TRY_ASSIGN(egress.tunnelAddress, parsePrefix4(*address));
  }
  if (const Json& endpoint = json["endpoint"]; endpoint.isObject()) {
    Endpoint read;
    ORRERY_TRY_ASSIGN(read.address, parseIpv4(endpoint.text("address")));
    ORRERY_TRY(readNumber(endpoint, "port", read.port));
    read.tcp = endpoint.text("protocol") == "tcp";
    egress.endpoint = read;
  }
  if (const Json::Array* servers = json["dns"].asArray())
    for (const Json& server : *servers) {
      const std::string* text = server.asString();
      if (text == nullptr) return error("state: a 'dns' server is no string");
      ORRERY_TRY_ASSIGN(const Ipv4 address, parseIpv4(*text));
      egress.dns.push_back(address);
    }
  return {};
}

Json toJson(const ServiceState& service) {
  return Json::object({{"name", service.name},
                       {"pid", service.pid},
                       {"phase", toString(service.phase)},
                       {"restarts", service.restarts},
                       {"lastExit", service.lastExit}});
}

Status readLists(const Json& json, RouterState& state) {
  if (const Json::Array* rungs = json["ladder"].asArray())
    for (const Json& item : *rungs) {
      Rung rung;
      rung.rung = item.text("rung");
      rung.detail = item.text("detail");
      ORRERY_TRY(readWord(item, "state", kRungStates, rung.state));
      state.ladder.push_back(std::move(rung));
    }
  if (const Json::Array* services = json["services"].asArray())
    for (const Json& item : *services) {
      ServiceState service;
      service.name = item.text("name");
      service.lastExit = item.text("lastExit");
      ORRERY_TRY(readNumber(item, "pid", service.pid));
      ORRERY_TRY(readNumber(item, "restarts", service.restarts));
      ORRERY_TRY(readWord(item, "phase", kServicePhases, service.phase));
      state.services.push_back(std::move(service));
    }
  if (const Json::Array* warnings = json["warnings"].asArray())
    for (const Json& item : *warnings)
      if (const std::string* warning = item.asString()) state.warnings.push_back(*warning);
  return {};
}

}  // namespace

const char* toString(RouterPhase phase) {
  return wordOf(kPhases, phase);
}
std::optional<RouterPhase> parseRouterPhase(std::string_view text) {
  return valueOf(kPhases, text);
}
const char* toString(RungState state) {
  return wordOf(kRungStates, state);
}
const char* toString(ServicePhase phase) {
  return wordOf(kServicePhases, phase);
}

Json toJson(const RouterState& state) {
  Json ladder = Json::array();
  for (const Rung& rung : state.ladder)
    ladder.push(Json::object(
        {{"rung", rung.rung}, {"state", toString(rung.state)}, {"detail", rung.detail}}));
  Json services = Json::array();
  for (const ServiceState& service : state.services) services.push(toJson(service));
  Json json = Json::object({{"schema", kStateSchema},
                            {"network", state.id.network},
                            {"router", state.id.name},
                            {"kind", wordOf(kKinds, state.kind)},
                            {"phase", toString(state.phase)},
                            {"reason", state.reason},
                            {"supervisorPid", state.supervisorPid},
                            {"started", toJson(state.started)},
                            {"since", toJson(state.since)},
                            {"ladder", std::move(ladder)}});
  if (state.progress)
    json.set("progress",
             Json::object({{"percent", state.progress->percent}, {"text", state.progress->text}}));
  json.set("egress", toJson(state.egress));
  json.set("services", std::move(services));
  if (!state.warnings.empty()) {
    Json warnings = Json::array();
    for (const std::string& warning : state.warnings) warnings.push(warning);
    json.set("warnings", std::move(warnings));
  }
  return json;
}

Result<RouterState> stateFromJson(const Json& json) {
  if (json.text("schema") != kStateSchema)
    return error("state: schema is '{}', expected '{}'", json.text("schema"), kStateSchema);
  RouterState state;
  state.id = {json.text("network"), json.text("router")};
  state.reason = json.text("reason");
  state.started = timestampFrom(json["started"]);
  state.since = timestampFrom(json["since"]);
  ORRERY_TRY(readWord(json, "kind", kKinds, state.kind));
  ORRERY_TRY(readWord(json, "phase", kPhases, state.phase));
  ORRERY_TRY(readNumber(json, "supervisorPid", state.supervisorPid));
  if (const Json& progress = json["progress"]; progress.isObject()) {
    StartProgress read;
    read.text = progress.text("text");
    ORRERY_TRY(readNumber(progress, "percent", read.percent));
    state.progress = std::move(read);
  }
  ORRERY_TRY(readEgress(json["egress"], state.egress));
  ORRERY_TRY(readLists(json, state));
  return state;
}

Result<RouterState> parseState(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Json json, parseJson(text));
  return stateFromJson(json);
}

Event phaseEvent(const RouterState& state) {
  Event event;
  event.router = state.id;
  event.name = kPhaseEvent;
  const bool bad = state.phase == RouterPhase::failed || state.phase == RouterPhase::degraded;
  event.severity = bad ? Severity::warning : Severity::info;
  event.fields.push_back({"phase", toString(state.phase)});
  if (!state.reason.empty()) event.fields.push_back({"reason", state.reason});
  event.time = state.since;
  return event;
}

const Rung* firstUnsettled(const RouterState& state) {
  for (const Rung& rung : state.ladder)
    if (rung.state != RungState::ok) return &rung;
  return nullptr;
}

}  // namespace orrery
