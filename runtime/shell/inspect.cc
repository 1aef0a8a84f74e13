#include "runtime/shell/inspect.h"

#include <algorithm>

#include "netns/namespace/netns.h"
#include "runtime/shell/sections.h"

namespace orrery {

const std::vector<InspectSection>& inspectSections() {
  static const std::vector<InspectSection> kSections = {
      {"links", "interfaces, their state and counters", readLinks},
      {"addresses", "IPv4 addresses", readAddresses},
      {"routes", "routes of every table, and rules", readRoutes},
      {"neighbours", "the ARP table", readNeighbours},
      {"ruleset", "nftables, with counters", readRuleset},
      {"filter", "the filters of its LAN, and what they dropped", readFilters},
      {"sockets", "who listens and who talks", readSockets},
      {"leases", "DHCP leases and reserved addresses", readLeases},
      {"services", "processes of the router", readServices},
      {"egress", "how traffic leaves", readEgress},
      {"seccomp", "the confinement of each service: process, profile, reasons", readSeccomp},
      {"bytecode", "the seccomp programs of the services", readBytecode, true},
      {"limits", "limits and use, of the router and of its clients", readLimits},
  };
  return kSections;
}

const InspectSection* findSection(std::string_view name) {
  const auto& sections = inspectSections();
  const auto at = std::ranges::find(sections, name, &InspectSection::name);
  return at == sections.end() ? nullptr : &*at;
}

Status printSection(Console& console, const InspectSection& section, const InspectTarget& target) {
  auto view = section.read(target);
  if (!view) return wrap(std::move(view).error(), "{}", section.name);
  for (const InspectBlock& block : view->blocks) {
    if (!block.title.empty())
      console.print(paint("# " + block.title + "\n", Tone::dim, console.mode().colour));
    if (const Table* table = std::get_if<Table>(&block.content)) {
      if (table->empty())
        console.print("(none)\n");
      else
        console.table(*table);
    } else {
      console.print(std::get<std::string>(block.content));
    }
  }
  return {};
}

Result<InspectView> forEachNamespace(const InspectTarget& target, const NamespacePart& part) {
  InspectView view;
  view.json = Json::object();
  for (const std::string& name : {target.paths.lanNetns, target.paths.egressNetns}) {
    const auto netns = openNetns(name);
    if (!netns && netns.error().err == ENOENT) continue;  // a direct router has one
    if (!netns) return tl::unexpected<Error>(netns.error());
    InspectBlock block{name, std::string()};
    auto json = part(*netns, block);
    if (!json) return wrap(std::move(json).error(), "{}", name);
    view.blocks.push_back(std::move(block));
    view.json.set(name, std::move(json).value());
  }
  if (view.blocks.empty())
    return sysError(ENOENT, "router '{}' has no namespace", target.id.text());
  return view;
}

}  // namespace orrery
