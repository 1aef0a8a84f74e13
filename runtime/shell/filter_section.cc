// filter: what the definition's filters have dropped at the ports of the LAN.
#include "netns/namespace/netns.h"
#include "netns/nft/nft.h"
#include "routers/firewall/firewall.h"
#include "runtime/shell/sections.h"

namespace orrery {
namespace {

nft::RuleCount droppedBy(const std::vector<nft::NamedCount>& counts, const FilterSpec& filter,
                         std::size_t number) {
  nft::RuleCount sum;
  for (const nft::NamedCount& count : counts)
    if (count.drops && count.chain == toString(filter.direction) &&
        count.name == filterName(number)) {
      sum.packets += count.count.packets;
      sum.bytes += count.count.bytes;
    }
  return sum;
}

}  // namespace

Result<InspectView> readFilters(const InspectTarget& target) {
  if (!target.spec) return sysError(ENOENT, "the definition of '{}'", target.id.text());
  ORRERY_TRY_ASSIGN(const NetnsFd netns, openNetns(target.paths.lanNetns));
  ORRERY_TRY_ASSIGN(NftSocket socket, NftSocket::open(netns));
  ORRERY_TRY_ASSIGN(const nft::CountedRuleset counted, dumpCountedRuleset(socket));
  const auto counts = nft::namedCounts(counted);
  Table table({"filter",
               "direction",
               "",
               "expression",
               {"dropped", Align::right},
               {"bytes", Align::right},
               "why"});
  Json list = Json::array();
  const auto& filters = target.spec->lan.filters;
  for (std::size_t i = 0; i < filters.size(); ++i) {
    const FilterSpec& filter = filters[i];
    const nft::RuleCount dropped = droppedBy(counts, filter, i);
    const char* does = filter.pass ? "pass" : "drop";
    table.row({filterName(i), toString(filter.direction), does, printable(filter.expression),
               fmt::format("{}", dropped.packets), fmt::format("{}", dropped.bytes),
               printable(filter.why)});
    list.push(Json::object({{"name", filterName(i)},
                            {"direction", toString(filter.direction)},
                            {"does", does},
                            {"expression", filter.expression},
                            {"why", filter.why},
                            {"instructions", filter.passes.size()},
                            {"droppedPackets", dropped.packets},
                            {"droppedBytes", dropped.bytes}}));
  }
  InspectView view;
  view.blocks.push_back({"", std::move(table)});
  view.json = std::move(list);
  return view;
}

}  // namespace orrery
