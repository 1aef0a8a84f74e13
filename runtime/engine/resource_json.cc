#include "runtime/engine/resource_json.h"

namespace orrery {
namespace {

// --- to JSON
// --------------------------------------------------------------------------------------

struct ToJson {
  Json operator()(const FileResource& r) const {
    return Json::object({{"kind", "file"}, {"path", r.path}, {"mode", r.mode}, {"text", r.text}});
  }
  Json operator()(const NetnsResource& r) const {
    return Json::object({{"kind", "netns"}, {"name", r.name}});
  }
  Json operator()(const SysctlsResource& r) const {
    return Json::object({{"kind", "sysctls"}, {"netns", r.netns}});
  }
  Json operator()(const RulesetResource& r) const {
    return Json::object({{"kind", "ruleset"}, {"netns", r.netns}});
  }
  Json operator()(const BridgeResource& r) const {
    return Json::object({{"kind", "bridge"},
                         {"netns", r.netns},
                         {"name", r.name.str()},
                         {"mac", toString(r.mac)},
                         {"mtu", r.mtu}});
  }
  Json operator()(const VethResource& r) const {
    Json json = Json::object({{"kind", "veth"},
                              {"netns", r.netns},
                              {"name", r.name.str()},
                              {"mac", toString(r.mac)},
                              {"mtu", r.mtu},
                              {"portNetns", r.portNetns},
                              {"portName", r.portName.str()},
                              {"portIsolated", r.portIsolated}});
    if (r.portBridge) json.set("portBridge", r.portBridge->str());
    if (r.address) json.set("address", toString(*r.address));
    return json;
  }
  Json operator()(const NicResource& r) const {
    return Json::object({{"kind", "nic"},
                         {"hostName", r.hostName},
                         {"hostMac", toString(r.hostMac)},
                         {"hostUp", r.hostUp},
                         {"hostMtu", r.hostMtu},
                         {"permanentMac", toString(r.permanentMac)},
                         {"netns", r.netns},
                         {"name", r.name.str()},
                         {"mac", toString(r.mac)}});
  }
  Json operator()(const LinkUpResource& r) const {
    return Json::object({{"kind", "up"}, {"netns", r.netns}, {"name", r.name.str()}});
  }
  Json operator()(const AddressResource& r) const {
    Json json = Json::object({{"kind", "address"},
                              {"netns", r.netns},
                              {"interface", r.interface.str()},
                              {"address", toString(r.address)}});
    if (r.ofLink) json.set("ofLink", true);
    return json;
  }
  Json operator()(const RouteResource& r) const {
    Json json = Json::object({{"kind", "route"},
                              {"netns", r.netns},
                              {"destination", toString(r.destination)},
                              {"interface", r.interface.str()},
                              {"table", r.table},
                              {"local", r.local}});
    if (r.gateway) json.set("gateway", toString(*r.gateway));
    return json;
  }
  Json operator()(const MarkRuleResource& r) const {
    return Json::object(
        {{"kind", "rule"}, {"netns", r.netns}, {"mark", r.mark}, {"table", r.table}});
  }
  Json operator()(const CgroupResource& r) const {
    Json json = Json::object({{"kind", "cgroup"},
                              {"path", r.path},
                              {"memory", r.limits.memory},
                              {"pids", r.limits.pids}});
    if (r.limits.cpus) json.set("cpus", *r.limits.cpus);
    if (r.limits.cpuQuota != 0) json.set("cpuQuota", r.limits.cpuQuota);
    return json;
  }
  Json operator()(const SupervisorResource& r) const {
    return Json::object(
        {{"kind", "supervisor"}, {"network", r.router.network}, {"router", r.router.name}});
  }
};

// --- from JSON
// ------------------------------------------------------------------------------------

Result<IfName> nameIn(const Json& json, std::string_view member) {
  return IfName::parse(json.text(member));
}

template <class T>
T number(const Json& json, std::string_view member) {
  return static_cast<T>(json.integer(member));
}

Result<Resource> bridgeFrom(const Json& json) {
  BridgeResource r;
  r.netns = json.text("netns");
  ORRERY_TRY_ASSIGN(r.name, nameIn(json, "name"));
  ORRERY_TRY_ASSIGN(r.mac, parseMac(json.text("mac")));
  r.mtu = number<std::uint16_t>(json, "mtu");
  return Resource{r};
}

Result<Resource> vethFrom(const Json& json) {
  VethResource r;
  r.netns = json.text("netns");
  ORRERY_TRY_ASSIGN(r.name, nameIn(json, "name"));
  ORRERY_TRY_ASSIGN(r.mac, parseMac(json.text("mac")));
  r.mtu = number<std::uint16_t>(json, "mtu");
  r.portNetns = json.text("portNetns");
  ORRERY_TRY_ASSIGN(r.portName, nameIn(json, "portName"));
  r.portIsolated = json.boolean("portIsolated", true);
  if (!json["portBridge"].isNull()) {
    ORRERY_TRY_ASSIGN(r.portBridge, nameIn(json, "portBridge"));
  }
  if (!json["address"].isNull()) {
    ORRERY_TRY_ASSIGN(r.address, parseIpv4(json.text("address")));
  }
  return Resource{r};
}

Result<Resource> nicFrom(const Json& json) {
  NicResource r;
  r.hostName = json.text("hostName");
  ORRERY_TRY_ASSIGN(r.hostMac, parseMac(json.text("hostMac")));
  r.hostUp = json.boolean("hostUp");
  r.hostMtu = number<std::uint16_t>(json, "hostMtu");
  ORRERY_TRY_ASSIGN(r.permanentMac, parseMac(json.text("permanentMac")));
  r.netns = json.text("netns");
  ORRERY_TRY_ASSIGN(r.name, nameIn(json, "name"));
  ORRERY_TRY_ASSIGN(r.mac, parseMac(json.text("mac")));
  return Resource{r};
}

Result<Resource> routeFrom(const Json& json) {
  RouteResource r;
  r.netns = json.text("netns");
  ORRERY_TRY_ASSIGN(r.destination, parsePrefix4(json.text("destination")));
  ORRERY_TRY_ASSIGN(r.interface, nameIn(json, "interface"));
  r.table = number<std::uint32_t>(json, "table");
  r.local = json.boolean("local");
  if (!json["gateway"].isNull()) {
    ORRERY_TRY_ASSIGN(r.gateway, parseIpv4(json.text("gateway")));
  }
  return Resource{r};
}

Result<Resource> upFrom(const Json& json) {
  ORRERY_TRY_ASSIGN(const IfName name, nameIn(json, "name"));
  return Resource{LinkUpResource{json.text("netns"), name}};
}

Result<Resource> addressFrom(const Json& json) {
  ORRERY_TRY_ASSIGN(const IfName interface, nameIn(json, "interface"));
  ORRERY_TRY_ASSIGN(const Prefix4 address, parsePrefix4(json.text("address")));
  return Resource{AddressResource{json.text("netns"), interface, address, json.boolean("ofLink")}};
}

Resource cgroupFrom(const Json& json) {
  CgroupResource r;
  r.path = json.text("path");
  r.limits.memory = number<std::uint64_t>(json, "memory");
  r.limits.pids = number<std::uint32_t>(json, "pids");
  if (!json["cpus"].isNull()) r.limits.cpus = json.text("cpus");
  if (!json["cpuQuota"].isNull()) r.limits.cpuQuota = number<std::uint32_t>(json, "cpuQuota");
  return r;
}

}  // namespace

Json toJson(const Resource& resource) {
  return std::visit(ToJson{}, resource);
}

Result<Resource> resourceFromJson(const Json& json) {
  const std::string kind = json.text("kind");
  if (kind == "file")
    return Resource{
        FileResource{json.text("path"), number<std::uint32_t>(json, "mode"), json.text("text")}};
  if (kind == "netns") return Resource{NetnsResource{json.text("name")}};
  if (kind == "sysctls") return Resource{SysctlsResource{json.text("netns"), {}}};
  if (kind == "ruleset") return Resource{RulesetResource{json.text("netns"), {}}};
  if (kind == "bridge") return bridgeFrom(json);
  if (kind == "veth") return vethFrom(json);
  if (kind == "nic") return nicFrom(json);
  if (kind == "up") return upFrom(json);
  if (kind == "address") return addressFrom(json);
  if (kind == "route") return routeFrom(json);
  if (kind == "rule")
    return Resource{MarkRuleResource{json.text("netns"), number<std::uint32_t>(json, "mark"),
                                     number<std::uint32_t>(json, "table")}};
  if (kind == "cgroup") return Resource{cgroupFrom(json)};
  if (kind == "supervisor")
    return Resource{SupervisorResource{RouterId{json.text("network"), json.text("router")}}};
  return error("resource of unknown kind '{}'", kind);
}

}  // namespace orrery
