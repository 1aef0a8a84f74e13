// The only user of nlohmann-json in this folder. Its exceptions end in specFromJson.
#include "routers/spec/spec_json.h"

#include <exception>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include "routers/spec/client_limits.h"
#include "routers/spec/values.h"

namespace orrery {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

// The value of a Result, or an exception with its message: this file is where both meet.
template <class T>
T valueOrThrow(Result<T> result) {
  if (!result) throw std::invalid_argument(result.error().message);
  return *std::move(result);
}

Ipv4 ipOf(const Json& j) {
  return valueOrThrow(parseIpv4(j.get<std::string>()));
}
Prefix4 prefixOf(const Json& j) {
  return valueOrThrow(parsePrefix4(j.get<std::string>()));
}
Mac macOf(const Json& j) {
  return valueOrThrow(parseMac(j.get<std::string>()));
}

template <class T, class Convert>
std::optional<T> optionalOf(const Json& object, const char* key, Convert convert) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  return convert(*found);
}
std::optional<std::string> textOf(const Json& object, const char* key) {
  return optionalOf<std::string>(object, key, [](const Json& j) { return j.get<std::string>(); });
}

// Numbers beyond the type's range must not wrap.
template <class T>
T numberOf(const Json& j) {
  if (!j.is_number_unsigned()) throw std::invalid_argument("a number is not a positive integer");
  const auto value = j.get<std::uint64_t>();
  if (value > std::numeric_limits<T>::max()) throw std::out_of_range("a number is out of range");
  return static_cast<T>(value);
}

Json listOf(const std::vector<Ipv4>& addresses) {
  Json list = Json::array();
  for (const Ipv4 address : addresses) list.push_back(toString(address));
  return list;
}
Json listOf(const std::vector<Prefix4>& prefixes) {
  Json list = Json::array();
  for (const Prefix4& prefix : prefixes) list.push_back(toString(prefix));
  return list;
}
std::vector<Ipv4> addressesOf(const Json& list) {
  std::vector<Ipv4> out;
  for (const Json& item : list) out.push_back(ipOf(item));
  return out;
}

// --- uplink
// ---------------------------------------------------------------------------------------

Json nicJson(const NicSelector& nic) {
  struct Write {
    Json operator()(const NicByMac& n) const { return {{"mac", toString(n.mac)}}; }
    Json operator()(const NicByPci& n) const { return {{"pci", n.slot}}; }
    Json operator()(const NicByName& n) const { return {{"name", n.name.str()}}; }
  };
  return std::visit(Write{}, nic);
}

NicSelector nicOf(const Json& j) {
  if (j.contains("mac")) return NicByMac{macOf(j.at("mac"))};
  if (j.contains("pci")) return NicByPci{j.at("pci").get<std::string>()};
  return NicByName{valueOrThrow(IfName::parse(j.at("name").get<std::string>()))};
}

Json uplinkJson(const Uplink& uplink) {
  Json out;
  if (const auto* router = std::get_if<RouterUplink>(&uplink)) {
    out["router"] = router->router;
    if (router->address) out["address"] = toString(*router->address);
    return out;
  }
  const auto& nic = std::get<NicUplink>(uplink);
  out["nic"] = nicJson(nic.nic);
  if (nic.fixed) {
    out["fixed"] = {{"address", toString(nic.fixed->address)},
                    {"gateway", toString(nic.fixed->gateway)},
                    {"dns", listOf(nic.fixed->dns)}};
  }
  if (nic.mac) out["mac"] = toString(*nic.mac);
  return out;
}

Uplink uplinkOf(const Json& j) {
  if (j.contains("router")) {
    return RouterUplink{j.at("router").get<std::string>(), optionalOf<Ipv4>(j, "address", ipOf)};
  }
  NicUplink nic;
  nic.nic = nicOf(j.at("nic"));
  nic.fixed = optionalOf<StaticUplink>(j, "fixed", [](const Json& f) {
    return StaticUplink{prefixOf(f.at("address")), ipOf(f.at("gateway")), addressesOf(f.at("dns"))};
  });
  nic.mac = optionalOf<Mac>(j, "mac", macOf);
  return nic;
}

// --- lan, dns, limits
// -----------------------------------------------------------------------------

Json filterJson(const FilterSpec& filter) {
  return {{"direction", toString(filter.direction)},
          {"pass", filter.pass},
          {"expression", filter.expression},
          {"why", filter.why},
          {"passes", toText(filter.passes)}};
}

FilterSpec filterOf(const Json& j) {
  FilterSpec filter;
  const auto direction = j.at("direction").get<std::string>();
  if (direction == toString(FilterDirection::toClient))
    filter.direction = FilterDirection::toClient;
  else if (direction != toString(FilterDirection::fromClient))
    throw std::invalid_argument("a filter of no direction");
  filter.pass = j.at("pass").get<bool>();
  filter.expression = j.at("expression").get<std::string>();
  filter.why = j.at("why").get<std::string>();
  filter.passes = valueOrThrow(parseProgram(j.at("passes").get<std::string>()));
  if (Status sound = checkProgram(filter.passes); !sound)
    throw std::invalid_argument(sound.error().message);
  (void)valueOrThrow(forBridgeHooks(filter.passes));
  return filter;
}

Json lanJson(const LanSpec& lan) {
  Json out = {{"address", toString(lan.address)},
              {"mac", toString(lan.mac)},
              {"clients_talk", lan.clientsTalk},
              {"mtu", lan.mtu}};
  if (lan.dhcp) {
    out["dhcp"] = {{"first", toString(lan.dhcp->first)},
                   {"last", toString(lan.dhcp->last)},
                   {"lease", lan.dhcp->lease.count()}};
  }
  for (const FilterSpec& filter : lan.filters) out["filters"].push_back(filterJson(filter));
  return out;
}

LanSpec lanOf(const Json& j) {
  LanSpec lan;
  lan.address = prefixOf(j.at("address"));
  lan.mac = macOf(j.at("mac"));
  lan.clientsTalk = j.at("clients_talk").get<bool>();
  lan.mtu = numberOf<std::uint16_t>(j.at("mtu"));
  lan.dhcp = optionalOf<DhcpSpec>(j, "dhcp", [](const Json& d) {
    return DhcpSpec{ipOf(d.at("first")), ipOf(d.at("last")),
                    std::chrono::seconds(numberOf<std::uint32_t>(d.at("lease")))};
  });
  if (const auto filters = j.find("filters"); filters != j.end())
    for (const Json& filter : *filters) lan.filters.push_back(filterOf(filter));
  return lan;
}

Json limitsJson(const LimitsSpec& limits) {
  Json out = {{"memory", limits.memory}, {"pids", limits.pids}};
  if (limits.cpus) out["cpus"] = *limits.cpus;
  if (limits.cpuQuota != 0) out["cpu_quota"] = limits.cpuQuota;
  return out;
}

LimitsSpec limitsOf(const Json& j) {
  return LimitsSpec{textOf(j, "cpus"), numberOf<std::uint64_t>(j.at("memory")),
                    numberOf<std::uint32_t>(j.at("pids")),
                    j.contains("cpu_quota") ? numberOf<std::uint32_t>(j.at("cpu_quota")) : 0};
}

// Left out where all is as by default.
Json clientLimitsJson(const ClientLimits& limits) {
  Json out = {{"given", limits.given}, {"proxied_buffers", limits.proxiedBuffers}};
  for (const ClientLimitField& field : kClientLimitFields) out[field.key] = limits.*field.value;
  return out;
}

ClientLimits clientLimitsOf(const Json& j) {
  ClientLimits limits;
  limits.given = j.at("given").get<bool>();
  limits.proxiedBuffers = numberOf<std::uint64_t>(j.at("proxied_buffers"));
  for (const ClientLimitField& field : kClientLimitFields)
    limits.*field.value = numberOf<std::uint32_t>(j.at(field.key));
  return limits;
}

// --- egress
// ---------------------------------------------------------------------------------------

Json endpointJson(const Endpoint& endpoint) {
  return {{"address", toString(endpoint.address)}, {"port", endpoint.port}, {"tcp", endpoint.tcp}};
}
Endpoint endpointOf(const Json& j) {
  return Endpoint{ipOf(j.at("address")), numberOf<std::uint16_t>(j.at("port")),
                  j.at("tcp").get<bool>()};
}

Json peerJson(const WireGuardPeer& peer) {
  Json out = {{"public_key", peer.publicKey},
              {"endpoint", endpointJson(peer.endpoint)},
              {"allowed_ips", listOf(peer.allowedIps)},
              {"keepalive", peer.keepalive}};
  if (peer.presharedKey) out["preshared_key"] = *peer.presharedKey;
  return out;
}
WireGuardPeer peerOf(const Json& j) {
  WireGuardPeer peer;
  peer.publicKey = j.at("public_key").get<std::string>();
  peer.presharedKey = textOf(j, "preshared_key");
  peer.endpoint = endpointOf(j.at("endpoint"));
  for (const Json& item : j.at("allowed_ips")) peer.allowedIps.push_back(prefixOf(item));
  peer.keepalive = numberOf<std::uint16_t>(j.at("keepalive"));
  return peer;
}

struct EgressWriter {
  Json operator()(const DirectEgress&) const { return Json::object(); }
  Json operator()(const OpenVpnEgress& e) const {
    Json out = {{"profile", e.profile}, {"text", e.text}, {"remotes", Json::array()}};
    for (const Endpoint& remote : e.remotes) out["remotes"].push_back(endpointJson(remote));
    if (e.auth) out["auth"] = *e.auth;
    return out;
  }
  Json operator()(const WireGuardEgress& e) const {
    Json out = {{"profile", e.profile},
                {"private_key", e.privateKey},
                {"address", toString(e.address)},
                {"dns", listOf(e.dns)},
                {"mtu", e.mtu},
                {"peers", Json::array()}};
    for (const WireGuardPeer& peer : e.peers) out["peers"].push_back(peerJson(peer));
    return out;
  }
  Json operator()(const TorEgress& e) const {
    Json out = {{"extra", e.extra}};
    if (e.torrc) out["torrc"] = *e.torrc;
    return out;
  }
  Json operator()(const Socks5Egress& e) const {
    Json out = {{"server", endpointJson(e.server)}};
    if (e.auth) out["auth"] = *e.auth;
    return out;
  }
};

Json egressJson(const EgressSpec& egress) {
  Json out = std::visit(EgressWriter{}, egress);
  out["type"] = egressName(egress);
  return out;
}

EgressSpec openVpnOf(const Json& j) {
  OpenVpnEgress e{
      j.at("profile").get<std::string>(), j.at("text").get<std::string>(), {}, textOf(j, "auth")};
  for (const Json& remote : j.at("remotes")) e.remotes.push_back(endpointOf(remote));
  return e;
}

EgressSpec wireGuardOf(const Json& j) {
  WireGuardEgress e;
  e.profile = j.at("profile").get<std::string>();
  e.privateKey = j.at("private_key").get<std::string>();
  e.address = prefixOf(j.at("address"));
  e.dns = addressesOf(j.at("dns"));
  e.mtu = numberOf<std::uint16_t>(j.at("mtu"));
  for (const Json& peer : j.at("peers")) e.peers.push_back(peerOf(peer));
  return e;
}

EgressSpec egressOf(const Json& j) {
  const auto type = j.at("type").get<std::string>();
  if (type == "direct") return DirectEgress{};
  if (type == "openvpn") return openVpnOf(j);
  if (type == "wireguard") return wireGuardOf(j);
  if (type == "tor") return TorEgress{textOf(j, "torrc"), j.at("extra").get<std::string>()};
  if (type == "socks5") return Socks5Egress{endpointOf(j.at("server")), textOf(j, "auth")};
  throw std::invalid_argument("'" + type + "' is not a type of egress");
}

Kind kindOf(const std::string& text) {
  for (const Kind kind : {Kind::universe, Kind::galaxy, Kind::star}) {
    if (text == toString(kind)) return kind;
  }
  throw std::invalid_argument("'" + text + "' is not a kind of router");
}

// Left out where nothing is asked for, so that older states read and print as before.
Json seccompJson(const SeccompSpec& seccomp) {
  Json out = {{"learn", seccomp.learn}, {"profiles", Json::array()}};
  for (const OwnSeccompProfile& p : seccomp.profiles)
    out["profiles"].push_back({{"service", p.service}, {"path", p.path}, {"text", p.text}});
  return out;
}

SeccompSpec seccompOf(const Json& j) {
  SeccompSpec out;
  out.learn = j.at("learn").get<bool>();
  for (const Json& p : j.at("profiles"))
    out.profiles.push_back({p.at("service").get<std::string>(), p.at("path").get<std::string>(),
                            p.at("text").get<std::string>()});
  return out;
}

RouterSpec specOf(const Json& j) {
  if (j.at("schema") != kSchema) throw std::invalid_argument("the schema is not known");
  RouterSpec spec;
  spec.id.network = valueOrThrow(parseNetworkName(j.at("network").get<std::string>()));
  spec.id.name = valueOrThrow(parseRouterName(j.at("name").get<std::string>()));
  spec.kind = kindOf(j.at("kind").get<std::string>());
  spec.uplink = uplinkOf(j.at("uplink"));
  spec.lan = lanOf(j.at("lan"));
  spec.dns = DnsSpec{addressesOf(j.at("dns").at("servers")), prefixOf(j.at("dns").at("names"))};
  spec.egress = egressOf(j.at("egress"));
  spec.limits = limitsOf(j.at("limits"));
  if (j.contains("client_limits")) spec.clientLimits = clientLimitsOf(j.at("client_limits"));
  if (j.contains("seccomp")) spec.seccomp = seccompOf(j.at("seccomp"));
  return spec;
}

}  // namespace

std::string specToJson(const RouterSpec& spec) {
  Json out = {
      {"schema", kSchema},
      {"network", spec.id.network},
      {"name", spec.id.name},
      {"kind", toString(spec.kind)},
      {"uplink", uplinkJson(spec.uplink)},
      {"lan", lanJson(spec.lan)},
      {"dns", {{"servers", listOf(spec.dns.servers)}, {"names", toString(spec.dns.names)}}},
      {"egress", egressJson(spec.egress)},
      {"limits", limitsJson(spec.limits)}};
  if (!(spec.clientLimits == ClientLimits{}))
    out["client_limits"] = clientLimitsJson(spec.clientLimits);
  if (!(spec.seccomp == SeccompSpec{})) out["seccomp"] = seccompJson(spec.seccomp);
  // Paths and profiles may hold bytes that are not UTF-8, which JSON cannot: they become U+FFFD.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<RouterSpec> specFromJson(std::string_view json) {
  try {
    return specOf(Json::parse(json));
  } catch (const std::exception& e) {
    return error("the router's spec (JSON) cannot be read: {}", e.what());
  }
}

}  // namespace orrery
