// links, addresses, routes, neighbours: what rtnetlink knows.
#include "netns/observe/snapshot.h"
#include "runtime/shell/sections.h"

namespace orrery {
namespace {

Result<Snapshot> observeIn(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
  return observe(rtnl);
}

std::string nameOf(const Snapshot& snapshot, int index) {
  const Link* link = snapshot.link(index);
  return link != nullptr ? link->name : fmt::format("if{}", index);
}

std::string linkState(const Link& link) {
  if (!link.up) return "down";
  return link.carrier ? "up" : "no carrier";
}

std::string portText(const Snapshot& snapshot, const Link& link) {
  if (!link.master) return "";
  return nameOf(snapshot, *link.master) + (link.isolated.value_or(false) ? " (isolated)" : "");
}

Json linkJson(const Snapshot& snapshot, const Link& link) {
  const LinkCounters& c = link.counters;
  Json json = Json::object({{"name", link.name},
                            {"kind", link.kind},
                            {"mac", toString(link.mac)},
                            {"mtu", link.mtu},
                            {"up", link.up},
                            {"carrier", link.carrier}});
  if (link.master) json.set("master", nameOf(snapshot, *link.master));
  if (link.isolated) json.set("isolated", *link.isolated);
  if (!link.parentDevice.empty()) json.set("parentDevice", link.parentDevice);
  json.set("counters", Json::object({{"rxPackets", c.rxPackets},
                                     {"rxBytes", c.rxBytes},
                                     {"rxErrors", c.rxErrors},
                                     {"rxDropped", c.rxDropped},
                                     {"txPackets", c.txPackets},
                                     {"txBytes", c.txBytes},
                                     {"txErrors", c.txErrors},
                                     {"txDropped", c.txDropped}}));
  return json;
}

std::string routeTarget(const Route& route) {
  if (route.destination.length == 0) return "default";
  return toString(route.destination);
}

Json routeJson(const Route& route) {
  Json json = Json::object({{"destination", toString(route.destination)},
                            {"type", toString(route.type)},
                            {"table", route.table},
                            {"metric", route.metric}});
  if (route.gateway) json.set("gateway", toString(*route.gateway));
  if (route.interface) json.set("interface", route.interface->str());
  if (route.source) json.set("source", toString(*route.source));
  return json;
}

std::string neighbourState(const Neighbour& n) {
  // NUD_*, linux/neighbour.h
  if (n.permanent()) return "permanent";
  if (n.failed()) return "failed";
  if ((n.state & 0x02) != 0) return "reachable";
  if ((n.state & 0x04) != 0) return "stale";
  if ((n.state & 0x18) != 0) return "probing";
  if ((n.state & 0x01) != 0) return "incomplete";
  return "none";
}

}  // namespace

Result<InspectView> readLinks(const InspectTarget& target) {
  return forEachNamespace(target, [](const NetnsFd& netns, InspectBlock& block) -> Result<Json> {
    ORRERY_TRY_ASSIGN(const Snapshot snapshot, observeIn(netns));
    Table table({"name",
                 "kind",
                 "state",
                 "mac",
                 {"mtu", Align::right},
                 "bridge",
                 {"rx packets", Align::right},
                 {"rx bytes", Align::right},
                 {"tx packets", Align::right},
                 {"tx bytes", Align::right},
                 {"dropped", Align::right}});
    Json list = Json::array();
    for (const Link& link : snapshot.links) {
      const LinkCounters& c = link.counters;
      table.row({link.name, link.loopback ? "loopback" : link.kind,
                 Cell(linkState(link), link.up && link.carrier ? Tone::good : Tone::warning),
                 toString(link.mac), fmt::format("{}", link.mtu), portText(snapshot, link),
                 fmt::format("{}", c.rxPackets), fmt::format("{}", c.rxBytes),
                 fmt::format("{}", c.txPackets), fmt::format("{}", c.txBytes),
                 fmt::format("{}", c.rxDropped + c.txDropped)});
      list.push(linkJson(snapshot, link));
    }
    block.content = std::move(table);
    return list;
  });
}

Result<InspectView> readAddresses(const InspectTarget& target) {
  return forEachNamespace(target, [](const NetnsFd& netns, InspectBlock& block) -> Result<Json> {
    ORRERY_TRY_ASSIGN(const Snapshot snapshot, observeIn(netns));
    Table table({"interface", "address", "peer"});
    Json list = Json::array();
    for (const Address& address : snapshot.addresses) {
      const std::string interface = nameOf(snapshot, address.index);
      const std::string peer = address.peer ? toString(*address.peer) : "";
      table.row({interface, toString(address.address), peer});
      Json json = Json::object({{"interface", interface}, {"address", toString(address.address)}});
      if (!peer.empty()) json.set("peer", peer);
      list.push(std::move(json));
    }
    block.content = std::move(table);
    return list;
  });
}

Result<InspectView> readRoutes(const InspectTarget& target) {
  return forEachNamespace(target, [](const NetnsFd& netns, InspectBlock& block) -> Result<Json> {
    ORRERY_TRY_ASSIGN(const Snapshot snapshot, observeIn(netns));
    Table table({"destination", "type", "gateway", "interface", {"table", Align::right}, "source"});
    Json routes = Json::array();
    for (const Route& route : snapshot.routes) {
      if (route.table == kLocalTable) continue;  // the kernel's own, one for each address
      table.row({routeTarget(route), toString(route.type),
                 route.gateway ? toString(*route.gateway) : "",
                 route.interface ? route.interface->str() : "", fmt::format("{}", route.table),
                 route.source ? toString(*route.source) : ""});
      routes.push(routeJson(route));
    }
    Json rules = Json::array();
    for (const Rule& rule : snapshot.rules) {
      if (rule.mask == 0) continue;  // the kernel's own three
      table.row({fmt::format("fwmark {:#x}", rule.mark), "rule", "", "",
                 fmt::format("{}", rule.table), ""});
      rules.push(
          Json::object({{"priority", rule.priority}, {"mark", rule.mark}, {"table", rule.table}}));
    }
    block.content = std::move(table);
    return Json::object({{"routes", std::move(routes)}, {"rules", std::move(rules)}});
  });
}

Result<InspectView> readNeighbours(const InspectTarget& target) {
  return forEachNamespace(target, [](const NetnsFd& netns, InspectBlock& block) -> Result<Json> {
    ORRERY_TRY_ASSIGN(const Snapshot snapshot, observeIn(netns));
    Table table({"address", "mac", "interface", "state"});
    Json list = Json::array();
    for (const Neighbour& n : snapshot.neighbours) {
      const std::string interface = nameOf(snapshot, n.index);
      const std::string mac = n.mac ? toString(*n.mac) : "";
      table.row({toString(n.address), mac, interface, neighbourState(n)});
      list.push(Json::object({{"address", toString(n.address)},
                              {"mac", n.mac ? Json(mac) : Json()},
                              {"interface", interface},
                              {"state", neighbourState(n)}}));
    }
    block.content = std::move(table);
    return list;
  });
}

}  // namespace orrery
