// leases, services, egress, limits: what files, procfs and the supervisor's state say.
#include <algorithm>

#include "routers/kinds/desired.h"
#include "runtime/shell/proc_status.h"
#include "runtime/shell/sections.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/cgroup/cgroup.h"

namespace orrery {
namespace {

Result<RouterState> stateOf(const InspectTarget& target) {
  if (!target.state)
    return sysError(ENOENT, "router '{}' has no state: it was never started", target.id.text());
  return *target.state;
}

struct Lease {
  std::string address, mac, name, expires;
};

// dnsmasq's file: expiry (seconds since 1970, 0: never), MAC, address, name or "*", client id.
std::vector<Lease> parseLeases(std::string_view text) {
  std::vector<Lease> leases;
  for (const std::string_view line : split(text, '\n')) {
    const auto words = splitWords(line);
    if (words.size() < 4) continue;
    const auto seconds = parseNumber<std::int64_t>(words[0]);
    if (!seconds) continue;
    leases.push_back({std::string(words[2]), std::string(words[1]),
                      words[3] == "*" ? "" : std::string(words[3]),
                      *seconds == 0 ? "never" : rfc3339(*seconds * 1000)});
  }
  return leases;
}

// A v1 or v2 control file, "" where it is missing.
std::string controlFile(const std::string& directory, const char* name) {
  if (directory.empty()) return "";
  const auto text = readFile(directory + "/" + name, 4096);
  return text ? std::string(trim(*text)) : "";
}

struct LimitFile {
  const char* what;
  LimitKind kind;
  std::string CgroupLayout::*tree1;  // v1
  const char* name1;
  const char* name2;  // v2
};
constexpr LimitFile kLimitFiles[] = {
    {"memory use", LimitKind::bytes, &CgroupLayout::memory, "memory.usage_in_bytes",
     "memory.current"},
    {"memory limit", LimitKind::bytes, &CgroupLayout::memory, "memory.limit_in_bytes",
     "memory.max"},
    {"processes", LimitKind::count, &CgroupLayout::pids, "pids.current", "pids.current"},
    {"process limit", LimitKind::count, &CgroupLayout::pids, "pids.max", "pids.max"},
    {"cpus", LimitKind::text, &CgroupLayout::cpuset, "cpuset.cpus", "cpuset.cpus"},
};

// The quota is one file on v2 and two on v1, and what came of it another.
void addCpuQuota(const CgroupTree& tree, const std::string& group, Table& table, Json& json) {
  const auto use = tree.cpuQuota(group);
  if (!use) {
    table.row({"cpu quota", tree.exists(group) ? "unlimited" : ""});
    json.set("cpu-quota", Json());
    return;
  }
  constexpr double kMicro = 1e-6;
  table.row({"cpu quota", fmt::format("{}% of one CPU", use->percent)});
  table.row(
      {"cpu throttled", fmt::format("in {} of {} periods, {:.1f} s", use->throttled, use->periods,
                                    static_cast<double>(use->throttledTime.count()) * kMicro)});
  json.set("cpu-quota", use->percent);
  json.set("cpu-throttled", Json::object({{"periods", use->periods},
                                          {"throttled", use->throttled},
                                          {"microseconds", use->throttledTime.count()}}));
}

}  // namespace

Result<InspectView> readLeases(const InspectTarget& target) {
  const auto text = readForeignFile(target.paths.leases);
  if (!text && text.error().err != ENOENT) return tl::unexpected<Error>(text.error());
  Table table({"address", "mac", "name", "expires"});
  Json list = Json::array();
  const auto add = [&](const Lease& lease, bool reserved) {
    table.row({lease.address, lease.mac, lease.name, lease.expires});
    list.push(Json::object({{"address", lease.address},
                            {"mac", lease.mac},
                            {"name", lease.name},
                            {"expires", lease.expires},
                            {"reserved", reserved}}));
  };
  for (const Lease& lease : parseLeases(text ? *text : "")) add(lease, false);
  // One file for each reserved address: "MAC,address".
  const std::string reserved = reservationDirectory(target.id);
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(reserved));
  for (const std::string& name : names) {
    const auto line = readFile(reserved + "/" + name, 4096);
    if (line) add({name, std::string(split(trim(*line), ',').front()), "", "reserved"}, true);
  }
  InspectView view;
  view.blocks.push_back(InspectBlock{"", std::move(table)});
  view.json = std::move(list);
  return view;
}

Result<InspectView> readServices(const InspectTarget& target) {
  ORRERY_TRY_ASSIGN(const RouterState state, stateOf(target));
  Table table({"service",
               "state",
               {"pid", Align::right},
               {"rss", Align::right},
               {"threads", Align::right},
               {"restarts", Align::right},
               "last exit"});
  Json list = Json::array();
  for (const ServiceState& service : state.services) {
    const auto process = target.running ? readProcStatus(service.pid) : std::nullopt;
    const auto field = [&](const char* name) { return process ? process->text(name) : ""; };
    table.row({service.name, target.running ? toString(service.phase) : "down",
               process ? fmt::format("{}", service.pid) : "", field("VmRSS"), field("Threads"),
               fmt::format("{}", service.restarts), service.lastExit});
    list.push(Json::object({{"name", service.name},
                            {"phase", target.running ? toString(service.phase) : "down"},
                            {"pid", process ? Json(service.pid) : Json()},
                            {"rss", field("VmRSS")},
                            {"restarts", service.restarts},
                            {"lastExit", service.lastExit}}));
  }
  InspectView view;
  view.blocks.push_back(InspectBlock{"", std::move(table)});
  view.json = std::move(list);
  return view;
}

Result<InspectView> readEgress(const InspectTarget& target) {
  ORRERY_TRY_ASSIGN(const RouterState state, stateOf(target));
  InspectView view;
  Json whole = toJson(state);
  view.json = Json::object({{"egress", whole["egress"]}, {"ladder", whole["ladder"]}});
  const EgressStatus& egress = state.egress;
  std::string dns;
  for (const Ipv4 server : egress.dns) dns += (dns.empty() ? "" : " ") + toString(server);
  Table facts({"egress", "address", "server", "dns", "exit"});
  facts.row({egress.type, egress.tunnelAddress ? toString(*egress.tunnelAddress) : "",
             egress.endpoint
                 ? fmt::format("{}:{}", toString(egress.endpoint->address), egress.endpoint->port)
                 : "",
             dns, egress.exitHint});
  view.blocks.push_back(InspectBlock{"", std::move(facts)});
  Table ladder({"check", "state", "detail"});
  for (const Rung& rung : state.ladder) ladder.row({rung.rung, toString(rung.state), rung.detail});
  view.blocks.push_back(InspectBlock{"ladder", std::move(ladder)});
  return view;
}

LimitValue limitValue(LimitKind kind, std::string_view file) {
  if (file.empty()) return {};
  if (kind == LimitKind::text) return {std::string(file), Json(file)};
  const auto number = parseNumber<std::uint64_t>(file);
  // v2 says "max". v1's memory counters say the most pages that fit into 63 bits.
  constexpr std::uint64_t kNoLimit = (1ull << 63) - (1ull << 16);
  if (!number || *number >= kNoLimit) return {file == "max" || number ? "unlimited" : "", Json()};
  if (kind == LimitKind::count) return {std::string(file), Json(*number)};
  if (*number < 1024) return {fmt::format("{} B", *number), Json(*number)};
  double amount = static_cast<double>(*number) / 1024;
  const char* unit = "KiB";
  for (const char* next : {"MiB", "GiB", "TiB"}) {
    if (amount < 1024) break;
    amount /= 1024;
    unit = next;
  }
  // A round limit is shown as it was given.
  const bool whole = amount == static_cast<double>(static_cast<std::uint64_t>(amount));
  return {whole ? fmt::format("{:.0f} {}", amount, unit) : fmt::format("{:.1f} {}", amount, unit),
          Json(*number)};
}

Result<InspectView> readLimits(const InspectTarget& target) {
  ORRERY_TRY_ASSIGN(const CgroupTree tree, CgroupTree::probe());
  const CgroupLayout& layout = tree.layout();
  const bool v1 = layout.version == CgroupLayout::Version::v1;
  const std::string group = target.id.network + "/" + target.id.name;
  const std::string below = "/orrery/" + group;
  Table table({"what", "value"});
  InspectView view;
  view.json = Json::object();
  for (const LimitFile& file : kLimitFiles) {
    const std::string& top = v1 ? layout.*file.tree1 : layout.unified;
    const std::string value =
        top.empty() ? "" : controlFile(top + below, v1 ? file.name1 : file.name2);
    LimitValue limit = limitValue(file.kind, value);
    table.row({file.what, limit.text});
    std::string key = file.what;
    std::ranges::replace(key, ' ', '-');
    view.json.set(std::move(key), std::move(limit.json));
  }
  addCpuQuota(tree, group, table, view.json);
  view.blocks.push_back(InspectBlock{v1 ? "cgroup v1" : "cgroup v2", std::move(table)});
  ORRERY_TRY(addClientLimits(target, view));
  return view;
}

}  // namespace orrery
