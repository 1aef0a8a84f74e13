// Reads what structure.h compares: netlink and nftables by their sockets, the rest from procfs.
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/nft/nft.h"
#include "runtime/audit/structure.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery::audit {
namespace {

Result<std::uint64_t> inodeOf(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return sysError(errno, "look at a namespace");
  return st.st_ino;
}

Result<std::uint64_t> ourUserNamespace() {
  ORRERY_TRY_ASSIGN(const UniqueFd own, openFile("/proc/self/ns/user", O_RDONLY));
  return inodeOf(own.get());
}

// NS_GET_USERNS (ioctl_ns(2), Linux 4.9): err EPERM if the owner is above or beside us.
Result<bool> ownedByUs(const NetnsFd& netns) {
  const UniqueFd owner(::ioctl(netns.get(), NS_GET_USERNS));
  if (!owner && errno == EPERM) return false;
  if (!owner) return sysError(errno, "ask who owns a namespace");
  ORRERY_TRY_ASSIGN(const std::uint64_t its, inodeOf(owner.get()));
  ORRERY_TRY_ASSIGN(const std::uint64_t ours, ourUserNamespace());
  return its == ours;
}

// What a link can be told apart from "all". A kernel without IPv6 has no such directory, and a link
// may go meanwhile: what is not there says nothing.
std::vector<Sysctl> linkSysctls(const NetnsFd& netns, const std::vector<Link>& links) {
  std::vector<Sysctl> values;
  for (const Link& link : links)
    for (const char* pattern :
         {"ipv4/conf/{}/forwarding", "ipv4/conf/{}/proxy_arp", "ipv4/conf/{}/route_localnet",
          "ipv4/conf/{}/accept_local", "ipv4/conf/{}/accept_source_route",
          "ipv4/conf/{}/send_redirects", "ipv4/conf/{}/bc_forwarding",
          "ipv4/conf/{}/proxy_arp_pvlan", "ipv6/conf/{}/disable_ipv6"})
      if (auto got = getSysctls(netns, {fmt::format(fmt::runtime(pattern), link.name)}))
        values.push_back(std::move(got->front()));
  return values;
}

Result<std::vector<Sysctl>> modelSysctls(const NetnsFd& netns, const NamespaceModel& model) {
  std::vector<std::string> keys;
  for (const auto& each : model.sysctls) keys.push_back(each.first);
  return getSysctls(netns, keys);
}

// /proc/net/if_inet6: address, index, prefix length, scope, flags, link.
Result<std::vector<std::string>> ipv6Addresses(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(const std::string text, inNetns(netns, []() -> Result<std::string> {
                      auto read = readFile("/proc/thread-self/net/if_inet6");
                      if (!read && read.error().err == ENOENT) return std::string();
                      return read;
                    }));
  std::vector<std::string> found;
  for (const std::string_view line : split(text, '\n')) {
    const auto words = splitWords(line);
    if (words.size() >= 6) found.push_back(fmt::format("{} on '{}'", words[0], words[5]));
  }
  return found;
}

// "net:[4026531840]" -> the number; 0 if it cannot be read (the process has ended).
std::uint64_t namespaceOf(const std::string& process, const char* kind) {
  std::array<char, 64> target{};
  const std::string path = process + "/ns/" + kind;
  const ssize_t got = ::readlink(path.c_str(), target.data(), target.size() - 1);
  if (got <= 0) return 0;
  const std::string_view text(target.data(), static_cast<std::size_t>(got));
  const std::size_t from = text.find('[');
  if (from == std::string_view::npos || text.back() != ']') return 0;
  return parseNumber<std::uint64_t>(text.substr(from + 1, text.size() - from - 2)).value_or(0);
}

std::string statusField(std::string_view status, std::string_view name) {
  for (const std::string_view line : split(status, '\n'))
    if (line.starts_with(name)) return std::string(trim(line.substr(name.size())));
  return "";
}

Result<std::vector<ProcessSeen>> processesIn(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(const std::uint64_t network, netnsInode(netns));
  ORRERY_TRY_ASSIGN(const std::uint64_t ours, ourUserNamespace());
  ORRERY_TRY_ASSIGN(const auto names, listDirectory("/proc"));
  std::vector<ProcessSeen> found;
  for (const std::string& name : names) {
    const auto pid = parseNumber<std::int32_t>(name);
    const std::string process = "/proc/" + name;
    if (!pid || namespaceOf(process, "net") != network) continue;
    const auto status = readFile(process + "/status");
    if (!status) continue;  // it has ended
    ProcessSeen seen;
    seen.pid = *pid;
    seen.name = statusField(*status, "Name:");
    seen.capabilities = statusField(*status, "CapEff:");
    const std::uint64_t user = namespaceOf(process, "user");
    seen.sealed = user != 0 && user != ours;
    found.push_back(std::move(seen));
  }
  return found;
}

}  // namespace

Result<NamespaceSeen> observeNamespace(const NamespaceModel& model) {
  ORRERY_TRY_ASSIGN(const NetnsFd netns, openNetns(model.name));
  NamespaceSeen seen;
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
  ORRERY_TRY_ASSIGN(seen.snapshot, observe(rtnl));
  ORRERY_TRY_ASSIGN(NftSocket nft, NftSocket::open(netns));
  ORRERY_TRY_ASSIGN(seen.rules, dumpCountedRuleset(nft));
  ORRERY_TRY_ASSIGN(seen.sysctls, modelSysctls(netns, model));
  // What a destroyed router left for the kernel to clear away. It is down.
  std::erase_if(seen.snapshot.links, isShutPort);
  seen.linkSysctls = linkSysctls(netns, seen.snapshot.links);
  ORRERY_TRY_ASSIGN(seen.ipv6, ipv6Addresses(netns));
  ORRERY_TRY_ASSIGN(seen.ours, ownedByUs(netns));
  ORRERY_TRY_ASSIGN(seen.processes, processesIn(netns));
  ORRERY_TRY_ASSIGN(seen.attached, observeAttached(rtnl));
  return seen;
}

}  // namespace orrery::audit
