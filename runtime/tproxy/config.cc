#include "runtime/tproxy/config.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include <nlohmann/json.hpp>

namespace orrery::tproxy {
namespace {

using Json = nlohmann::json;

Status refuseUnknown(const Json& object, std::string_view where,
                     std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return error("{}: expected an object", where);
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return error("{}: unknown key '{}'", where, key);
    }
  }
  return {};
}

Result<std::string> text(const Json& object, const char* key, std::size_t most) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return error("'{}': expected a text", key);
  auto value = found->get<std::string>();
  if (value.empty() || value.size() > most) {
    return error("'{}': expected 1 to {} bytes, got {}", key, most, value.size());
  }
  return value;
}

// Leaves `out` alone if the key is absent.
Status number(const Json& object, const char* key, std::uint32_t least, std::uint32_t most,
              std::uint32_t& out) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() < least ||
      found->get<std::uint64_t>() > most) {
    return error("'{}': expected a number from {} to {}", key, least, most);
  }
  out = found->get<std::uint32_t>();
  return {};
}

Status seconds(const Json& object, const char* key, std::uint32_t least,
               std::chrono::seconds& out) {
  auto value = static_cast<std::uint32_t>(out.count());
  ORRERY_TRY(number(object, key, least, 30 * 86400, value));
  out = std::chrono::seconds(value);
  return {};
}

Result<Upstream> parseUpstream(const Json& json) {
  ORRERY_TRY(refuseUnknown(json, "upstream", {"unix", "address", "port", "user", "password"}));
  if (json.contains("unix")) {
    if (json.size() != 1) return error("upstream: 'unix' stands alone");
    ORRERY_TRY_ASSIGN(std::string path, text(json, "unix", 107));  // sun_path, unix(7)
    return Upstream(UnixUpstream{std::move(path)});
  }
  TcpUpstream tcp;
  ORRERY_TRY_ASSIGN(const std::string address, text(json, "address", 15));
  ORRERY_TRY_ASSIGN(tcp.address, parseIpv4(address));
  std::uint32_t port = tcp.port;
  ORRERY_TRY(number(json, "port", 1, 65535, port));
  tcp.port = static_cast<std::uint16_t>(port);
  if (json.contains("user") || json.contains("password")) {
    Credentials credentials;
    ORRERY_TRY_ASSIGN(credentials.user, text(json, "user", 255));
    ORRERY_TRY_ASSIGN(credentials.password, text(json, "password", 255));
    tcp.credentials = std::move(credentials);
  }
  return Upstream(std::move(tcp));
}

Result<Limits> parseLimits(const Json& json) {
  ORRERY_TRY(refuseUnknown(json, "limits",
                           {"connections", "per_client", "pipes", "pipes_per_client", "names", "dns_tcp", "dns_rate",
                            "dns_burst", "handshake_seconds", "idle_seconds"}));
  Limits limits;
  ORRERY_TRY(number(json, "connections", 1, 1 << 20, limits.connections));
  ORRERY_TRY(number(json, "per_client", 1, 1 << 20, limits.perClient));
  ORRERY_TRY(number(json, "pipes", 0, 1 << 20, limits.pipes));
  ORRERY_TRY(number(json, "pipes_per_client", 0, 1 << 20, limits.pipesPerClient));
  ORRERY_TRY(number(json, "names", 1, 1 << 22, limits.names));
  ORRERY_TRY(number(json, "dns_tcp", 1, 65536, limits.dnsTcp));
  ORRERY_TRY(number(json, "dns_rate", 1, 1 << 20, limits.dnsRate));
  ORRERY_TRY(number(json, "dns_burst", 1, 1 << 20, limits.dnsBurst));
  ORRERY_TRY(seconds(json, "handshake_seconds", 1, limits.handshake));
  ORRERY_TRY(seconds(json, "idle_seconds", 0, limits.idle));
  return limits;
}

}  // namespace

Result<Config> parseConfig(std::string_view source) {
  const Json json = Json::parse(source, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return error("configuration: not JSON");
  ORRERY_TRY(
      refuseUnknown(json, "configuration", {"upstream", "isolation", "names", "lan", "limits"}));
  if (!json.contains("upstream")) return error("configuration: 'upstream' is missing");
  Config config;
  ORRERY_TRY_ASSIGN(config.upstream, parseUpstream(json["upstream"]));
  if (json.contains("isolation")) {
    if (!json["isolation"].is_boolean()) return error("'isolation': expected true or false");
    config.isolation = json["isolation"].get<bool>();
  }
  if (json.contains("names")) {
    ORRERY_TRY_ASSIGN(const std::string range, text(json, "names", 18));
    ORRERY_TRY_ASSIGN(config.names, parsePrefix4(range));
  }
  if (config.names.length > 30) return error("'names': a range of at least 4 addresses is needed");
  ORRERY_TRY_ASSIGN(const std::string lan, text(json, "lan", 18));
  ORRERY_TRY_ASSIGN(config.lan, parsePrefix4(lan));
  if (config.lan.overlaps(config.names)) {
    return error("'names': {} overlaps the LAN {}", toString(config.names), toString(config.lan));
  }
  if (json.contains("limits")) {
    ORRERY_TRY_ASSIGN(config.limits, parseLimits(json["limits"]));
  }
  return config;
}

std::string toJson(const Config& config) {
  Json upstream;
  if (const auto* path = std::get_if<UnixUpstream>(&config.upstream)) {
    upstream = {{"unix", path->path}};
  } else {
    const auto& tcp = std::get<TcpUpstream>(config.upstream);
    upstream = {{"address", toString(tcp.address)}, {"port", tcp.port}};
    if (tcp.credentials) {
      upstream["user"] = tcp.credentials->user;
      upstream["password"] = tcp.credentials->password;
    }
  }
  const Limits& l = config.limits;
  const Json json = {{"upstream", upstream},
                     {"isolation", config.isolation},
                     {"names", toString(config.names)},
                     {"lan", toString(config.lan)},
                     {"limits",
                      {{"connections", l.connections},
                       {"per_client", l.perClient},
                       {"pipes", l.pipes},
                       {"pipes_per_client", l.pipesPerClient},
                       {"names", l.names},
                       {"dns_tcp", l.dnsTcp},
                       {"dns_rate", l.dnsRate},
                       {"dns_burst", l.dnsBurst},
                       {"handshake_seconds", l.handshake.count()},
                       {"idle_seconds", l.idle.count()}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::uint64_t openFilesNeeded(const Limits& limits) {
  constexpr std::uint64_t kOwn = 32;  // listeners, epoll, control, spare pipes
  return std::uint64_t{2} * limits.connections + std::uint64_t{2} * limits.pipes + limits.dnsTcp +
         kOwn;
}

}  // namespace orrery::tproxy
