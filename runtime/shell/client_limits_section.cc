// The second half of `inspect limits`: what each client may take, and what the rules dropped for
// it.
#include <algorithm>
#include <map>

#include "netns/conntrack/conntrack.h"
#include "netns/namespace/netns.h"
#include "netns/nft/nft.h"
#include "runtime/shell/sections.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

struct Row {
  const char* what;
  std::uint32_t ClientLimits::*limit;  // null: fixed by the design
  const char* rule;                    // the comment of the rules that count; null: tproxy's
};
constexpr Row kRows[] = {
    {"connections", &ClientLimits::connections, "connections"},
    {"new connections a second", &ClientLimits::newConnections, "new-connections"},
    {"packets a second into a tunnel", &ClientLimits::tunnelPackets, "tunnel-packets"},
    {"DNS queries a second", &ClientLimits::dnsQueries, "dns-flood"},
    {"DNS connections", nullptr, "dns-connections"},
    {"ARP frames a second", &ClientLimits::arpFrames, "arp-flood"},
    {"DHCP frames a second", &ClientLimits::dhcpFrames, "dhcp-flood"},
    {"DHCP under another's address", nullptr, "dhcp-forged"},
    {"broadcasts a second", &ClientLimits::broadcasts, "broadcast-flood"},
    {"pings of the router", nullptr, "ping-flood"},
    {"proxied connections", &ClientLimits::proxiedConnections, nullptr},
};

std::string limitText(const Row& row, const ClientLimits& limits) {
  if (row.limit == nullptr) return "fixed";
  return limits.*row.limit == 0 ? "unlimited" : fmt::format("{}", limits.*row.limit);
}

// Packets dropped, by the comment of their rule; a rule that is not there has no entry.
Result<std::map<std::string, std::uint64_t>> dropped(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NftSocket socket, NftSocket::open(netns));
  ORRERY_TRY_ASSIGN(const nft::CountedRuleset counted, dumpCountedRuleset(socket));
  std::map<std::string, std::uint64_t> out;
  for (const nft::NamedCount& named : nft::namedCounts(counted))
    if (named.drops) out[named.name] += named.count.packets;
  return out;
}

std::string trackedText(std::size_t count) {
  const auto most = readFile("/proc/sys/net/netfilter/nf_conntrack_max");
  return most ? fmt::format("{} of {} (the host's limit, of each namespace)", count, trim(*most))
              : fmt::format("{}", count);
}

}  // namespace

namespace {

// Who has how many, most first. All flows are asked for: not where many sections are shown at once.
Status addConnections(const InspectTarget& target, const NetnsFd& netns, InspectView& view) {
  if (target.brief) return {};
  ORRERY_TRY_ASSIGN(Conntrack conntrack, Conntrack::open(netns));
  ORRERY_TRY_ASSIGN(const auto flows, conntrack.list());
  std::map<Ipv4, std::uint32_t> counts;
  for (const TrackedFlow& flow : flows)
    if (target.spec->lan.address.contains(flow.source)) ++counts[flow.source];
  counts.erase(target.spec->lan.address.address);
  std::vector<std::pair<Ipv4, std::uint32_t>> order(counts.begin(), counts.end());
  std::ranges::sort(order, [](const auto& a, const auto& b) { return a.second > b.second; });
  Table table({"client", {"connections", Align::right}});
  Json list = Json::array();
  for (const auto& [client, count] : order) {
    table.row({toString(client), fmt::format("{}", count)});
    list.push(Json::object({{"client", toString(client)}, {"connections", count}}));
  }
  view.json.set("connections", std::move(list));
  view.blocks.push_back(InspectBlock{"connections now", std::move(table)});
  view.json.set("trackedConnections", static_cast<std::uint64_t>(flows.size()));
  view.blocks.push_back(InspectBlock{"connection tracking", trackedText(flows.size()) + "\n"});
  return {};
}

}  // namespace

Status addClientLimits(const InspectTarget& target, InspectView& view) {
  if (!target.spec) return {};
  auto netns = openNetns(target.id.text());
  if (!netns) return {};  // it is not up: there is nothing to count
  ORRERY_TRY_ASSIGN(const auto drops, dropped(*netns));
  const ClientLimits& limits = target.spec->clientLimits;
  const bool proxied = std::holds_alternative<TorEgress>(target.spec->egress) ||
                       std::holds_alternative<Socks5Egress>(target.spec->egress);
  Table table({"of each client", "limit", {"dropped", Align::right}});
  Json list = Json::array();
  for (const Row& row : kRows) {
    const auto found = row.rule == nullptr ? drops.end() : drops.find(row.rule);
    const bool counted = found != drops.end();
    const bool off = row.limit != nullptr && limits.*row.limit == 0;
    // The kernel could not be told to (RulesetResource::countsIfPossible).
    const bool missing = row.limit == &ClientLimits::connections && !counted && !off;
    // Nothing here could be beyond it: no DHCP, no tunnel, no proxy.
    const bool idle = !counted && !off && !missing && (row.rule != nullptr || !proxied);
    table.row({row.what,
               missing ? "none: the kernel lacks nft_connlimit"
                       : (idle ? "not here" : limitText(row, limits)),
               counted ? fmt::format("{}", found->second) : ""});
    Json json = Json::object({{"what", row.what}});
    if (row.limit != nullptr && !off && !missing && !idle) json.set("limit", limits.*row.limit);
    if (counted) json.set("dropped", found->second);
    list.push(std::move(json));
  }
  view.json.set("clients", std::move(list));
  view.blocks.push_back(InspectBlock{"clients", std::move(table)});
  return addConnections(target, *netns, view);
}

}  // namespace orrery
