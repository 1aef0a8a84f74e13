// ruleset, sockets: what decides about packets, and who sends and takes them.
#include "netns/nft/nft.h"
#include "netns/observe/sockets.h"
#include "runtime/shell/sections.h"

namespace orrery {
namespace {

Json countsJson(const nft::CountedRuleset& counted) {
  Json counters = Json::array();
  for (const nft::NamedCount& named : nft::namedCounts(counted))
    counters.push(Json::object({{"table", named.table},
                                {"chain", named.chain},
                                {"name", named.name},
                                {"drops", named.drops},
                                {"packets", named.count.packets},
                                {"bytes", named.count.bytes}}));
  Json foreign = Json::array();
  for (const std::string& table : counted.foreign) foreign.push(table);
  return Json::object({{"text", nft::toText(counted)},
                       {"counters", std::move(counters)},
                       {"foreignTables", std::move(foreign)}});
}

std::string endpointText(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "",
                     port == 0 ? "*" : fmt::format("{}", port));
}

Json socketJson(const SocketInfo& s) {
  return Json::object({{"protocol", toString(s.protocol)},
                       {"ipv6", s.ipv6},
                       {"state", s.state},
                       {"localAddress", s.localAddress},
                       {"localPort", s.localPort},
                       {"remoteAddress", s.remoteAddress},
                       {"remotePort", s.remotePort},
                       {"uid", s.uid},
                       {"inode", s.inode},
                       {"receiveQueue", s.receiveQueue},
                       {"sendQueue", s.sendQueue}});
}

}  // namespace

Result<InspectView> readRuleset(const InspectTarget& target) {
  return forEachNamespace(target, [](const NetnsFd& netns, InspectBlock& block) -> Result<Json> {
    ORRERY_TRY_ASSIGN(NftSocket socket, NftSocket::open(netns));
    ORRERY_TRY_ASSIGN(const nft::CountedRuleset counted, dumpCountedRuleset(socket));
    std::string text = nft::toText(counted);
    for (const std::string& table : counted.foreign)
      text += "# not ours: table " + printable(table) + "\n";
    block.content = std::move(text);
    return countsJson(counted);
  });
}

Result<InspectView> readSockets(const InspectTarget& target) {
  return forEachNamespace(target, [](const NetnsFd& netns, InspectBlock& block) -> Result<Json> {
    ORRERY_TRY_ASSIGN(const auto sockets, listSockets(netns));
    Table table({"protocol",
                 "state",
                 "local",
                 "remote",
                 {"uid", Align::right},
                 {"recv-q", Align::right},
                 {"send-q", Align::right}});
    Json list = Json::array();
    for (const SocketInfo& s : sockets) {
      table.row({toString(s.protocol), s.state, endpointText(s.localAddress, s.localPort),
                 endpointText(s.remoteAddress, s.remotePort), fmt::format("{}", s.uid),
                 fmt::format("{}", s.receiveQueue), fmt::format("{}", s.sendQueue)});
      list.push(socketJson(s));
    }
    block.content = std::move(table);
    return list;
  });
}

}  // namespace orrery
