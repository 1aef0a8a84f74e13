// Reads what attached.h compares: rtnetlink, sock_diag, and procfs for what those do not tell.
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "netns/namespace/netns.h"
#include "netns/observe/sockets.h"
#include "runtime/audit/attached.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery::audit {
namespace {

using NeighbourTaker = std::function<void(const ndmsg&, const Attributes&)>;

Status eachNeighbour(Rtnl& rtnl, const char* label, const ndmsg& wanted,
                     const std::function<void()>& restart, const NeighbourTaker& take) {
  return rtnl.dump(NlMessage(label, RTM_GETNEIGH, 0, wanted), restart,
                   [&](const NlReply& reply) -> Status {
                     const auto head = readValue<ndmsg>(reply.payload);
                     if (reply.type == RTM_NEWNEIGH && head)
                       take(*head, Attributes(afterHeader(reply.payload, sizeof *head)));
                     return {};
                   });
}

Result<std::vector<ForwardingEntry>> forwardingEntries(Rtnl& rtnl) {
  std::vector<ForwardingEntry> found;
  ndmsg wanted{};
  wanted.ndm_family = PF_BRIDGE;
  ORRERY_TRY(eachNeighbour(
      rtnl, "list forwarding entries", wanted, [&] { found.clear(); },
      [&](const ndmsg& head, const Attributes& attributes) {
        const auto mac = attributes.mac(NDA_LLADDR);
        // Others are of the link's own receive filter.
        if (mac && attributes.find(NDA_MASTER)) found.push_back({head.ndm_ifindex, *mac});
      }));
  return found;
}

Result<std::vector<ProxyNeighbour>> proxyNeighbours(Rtnl& rtnl) {
  std::vector<ProxyNeighbour> found;
  ndmsg wanted{};
  wanted.ndm_family = AF_INET;
  wanted.ndm_flags = NTF_PROXY;
  ORRERY_TRY(eachNeighbour(
      rtnl, "list proxy neighbours", wanted, [&] { found.clear(); },
      [&](const ndmsg& head, const Attributes& attributes) {
        const auto address = attributes.ipv4(NDA_DST);
        if (address && (head.ndm_flags & NTF_PROXY) != 0)
          found.push_back({head.ndm_ifindex, *address});
      }));
  return found;
}

// Of the namespace of the calling thread; "" where the kernel has none.
std::string netFile(const char* name) {
  return readFile(std::string("/proc/thread-self/net/") + name).value_or("");
}

// Each line but the first, in words.
std::vector<std::vector<std::string_view>> rowsOf(const std::string& text) {
  std::vector<std::vector<std::string_view>> rows;
  const auto lines = split(text, '\n');
  for (std::size_t i = 1; i < lines.size(); ++i)
    if (auto words = splitWords(lines[i]); !words.empty()) rows.push_back(std::move(words));
  return rows;
}

template <class T>
T numberAt(const std::vector<std::string_view>& words, std::size_t at) {
  return at < words.size() ? parseNumber<T>(words[at]).value_or(0) : 0;
}

// Columns "… uid timeout inode …" of net/ipv4/raw.c and its like; packet: "… User Inode".
std::vector<SocketSeen> procSockets() {
  struct Source {
    const char* file;
    const char* protocol;
    std::size_t uid, inode;  // columns
  };
  constexpr Source kSources[] = {
      {"raw", "raw", 7, 9},       {"raw6", "raw", 7, 9},        {"icmp", "ping", 7, 9},
      {"icmp6", "ping", 7, 9},    {"udplite", "udplite", 7, 9}, {"udplite6", "udplite", 7, 9},
      {"packet", "packet", 7, 8},
  };
  std::vector<SocketSeen> found;
  for (const Source& source : kSources) {
    const std::string text = netFile(source.file);
    for (const auto& words : rowsOf(text))
      found.push_back({.protocol = source.protocol,
                       .uid = numberAt<std::uint32_t>(words, source.uid),
                       .inode = numberAt<std::uint64_t>(words, source.inode)});
  }
  for (const char* file : {"sctp/eps", "sctp/assocs"})
    if (const std::string text = netFile(file); !rowsOf(text).empty())
      found.push_back({.protocol = "sctp"});
  return found;
}

// /proc/net/igmp: a line "index device : …" for each link, then one for each group, in hexadecimal
// as in memory.
std::vector<Membership> memberships() {
  std::vector<Membership> found;
  std::string link;
  const std::string text = netFile("igmp");
  for (const auto& words : rowsOf(text)) {
    if (words.size() > 2 && words[2] == ":") {
      link = std::string(words[1]);
      continue;
    }
    if (const auto group = parseNumber<std::uint32_t>(words.front(), 16))
      found.push_back({link, Ipv4{ntohl(*group)}});
  }
  return found;
}

// Destination, its length, source, its length, next hop, metric, …, device at the end. Routes of lo
// are the kernel's own, and refuse.
std::vector<std::string> ipv6Routes() {
  std::vector<std::string> found;
  const std::string text = "\n" + netFile("ipv6_route");
  for (const auto& words : rowsOf(text))
    if (words.size() >= 10 && words.back() != "lo")
      found.push_back(fmt::format("{}/{} by '{}'", words[0], words[1], words.back()));
  return found;
}

Status addSockets(const NetnsFd& netns, std::vector<SocketSeen>& out) {
  ORRERY_TRY_ASSIGN(const auto sockets, listSockets(netns));
  for (const SocketInfo& s : sockets)
    // A connection in its last states has no inode and no owner any more.
    if (s.inode != 0)
      out.push_back({.protocol = toString(s.protocol),
                     .uid = s.uid,
                     .inode = s.inode,
                     .where = fmt::format("{}:{} > {}:{}", s.localAddress, s.localPort,
                                          s.remoteAddress, s.remotePort)});
  return {};
}

std::string linkTarget(const std::string& path) {
  std::array<char, 256> target{};
  const ssize_t got = ::readlink(path.c_str(), target.data(), target.size());
  return got > 0 ? std::string(target.data(), static_cast<std::size_t>(got)) : std::string();
}

// The program of some process that has the socket.
void nameHolders(std::vector<SocketSeen>& sockets) {
  std::map<std::string, SocketSeen*> wanted;
  for (SocketSeen& socket : sockets)
    if (socket.protocol != "tcp" && socket.protocol != "udp")
      wanted.emplace(fmt::format("socket:[{}]", socket.inode), &socket);
  if (wanted.empty()) return;
  for (const std::string& name : listDirectory("/proc").value_or(std::vector<std::string>{})) {
    if (!parseNumber<std::int32_t>(name)) continue;
    const std::string directory = "/proc/" + name + "/fd";
    for (const std::string& fd : listDirectory(directory).value_or(std::vector<std::string>{})) {
      const auto found = wanted.find(linkTarget(directory + "/" + fd));
      if (found == wanted.end()) continue;
      const std::string program = linkTarget("/proc/" + name + "/exe");
      found->second->holder = program.substr(program.rfind('/') + 1);
    }
  }
}

}  // namespace

Result<AttachedSeen> observeAttached(Rtnl& rtnl) {
  AttachedSeen seen;
  ORRERY_TRY_ASSIGN(seen.traffic, observeTrafficControl(rtnl));
  ORRERY_TRY_ASSIGN(seen.forwarding, forwardingEntries(rtnl));
  ORRERY_TRY_ASSIGN(seen.proxies, proxyNeighbours(rtnl));
  ORRERY_TRY(inNetns(rtnl.netns(), [&]() -> Status {
    seen.sockets = procSockets();
    seen.memberships = memberships();
    seen.ipv6Routes = ipv6Routes();
    return {};
  }));
  nameHolders(seen.sockets);
  ORRERY_TRY(addSockets(rtnl.netns(), seen.sockets));
  return seen;
}

}  // namespace orrery::audit
