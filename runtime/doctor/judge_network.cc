// The kernel's network: what rulesets, links and tunnels need, and settings of the host that
// reach into ours.
#include <fmt/format.h>

#include "runtime/doctor/judges.h"
#include "sandbox/base/strings.h"

namespace orrery::doctor {
namespace {

// One probe, one judgement: yes, not tried, or what `no` means.
Judgement byProbe(const HostFacts& facts, const char* name, Verdict verdict, const char* effect,
                  const char* remedy) {
  const Probe& p = probed(facts, name);
  if (p.yes()) return fine(p.detail.empty() ? "yes" : p.detail);
  if (!p.no()) return notTried(facts, p);
  return {verdict, p.detail.empty() ? "no" : p.detail, effect, remedy};
}

std::string dotted(std::string key) {
  for (char& c : key)
    if (c == '/') c = '.';
  return key;
}

}  // namespace

Judgement nftables(const HostFacts& facts) {
  struct Part {
    const char* probe;
    const char* module;
  };
  constexpr Part kParts[] = {{probe::kNftFilter, "nf_tables"},
                             {probe::kNftCt, "nft_ct"},
                             {probe::kNftNat, "nft_masq"},
                             {probe::kNftFib, "nft_fib_ipv4"},
                             {probe::kNftReject, "nft_reject_ipv4"},
                             {probe::kNftLimit, "nft_limit"}};
  std::vector<std::string> missing, modules;
  for (const Part& part : kParts) {
    const Probe& p = probed(facts, part.probe);
    if (p.answer == Probe::Answer::unknown) return notTried(facts, p);
    if (!p.no()) continue;
    missing.push_back(fmt::format("{} ({})", part.probe, p.detail));
    modules.push_back(part.module);
  }
  if (missing.empty()) return fine("filter, ct, nat, fib, reject, limit");
  return {Verdict::problem, "missing: " + join(missing, ", "),
          "no router can run: its namespaces would have no rules",
          "modprobe -a " + join(modules, " ")};
}

Judgement nftTproxy(const HostFacts& facts) {
  return byProbe(facts, probe::kNftTproxy, Verdict::warning,
                 "routers with egress 'tor' or 'socks5' cannot run", "modprobe nft_tproxy");
}

Judgement nftConnlimit(const HostFacts& facts) {
  return byProbe(facts, probe::kNftConnlimit, Verdict::warning,
                 "the connections of a client are not counted: one can use up connection tracking, "
                 "and definitions that limit 'connections' are refused",
                 "modprobe nft_connlimit");
}

Judgement nftBridge(const HostFacts& facts) {
  return byProbe(facts, probe::kNftBridge, Verdict::problem,
                 "no router can run: clients could not be kept apart",
                 "modprobe -a nf_tables bridge nft_meta_bridge");
}

Judgement nftArp(const HostFacts& facts) {
  return byProbe(facts, probe::kNftArp, Verdict::warning,
                 "routers with a VPN, a proxy or Tor cannot run: ARP on their uplinks has rules",
                 "use a kernel with CONFIG_NF_TABLES_ARP (Debian's has it)");
}

Judgement veth(const HostFacts& facts) {
  return byProbe(facts, probe::kVeth, Verdict::problem,
                 "no router below another and no client can be connected", "modprobe veth");
}

Judgement bridge(const HostFacts& facts) {
  return byProbe(facts, probe::kBridge, Verdict::problem,
                 "no router can run: its LAN is a bridge with isolated ports (Linux 4.18)",
                 "modprobe bridge");
}

Judgement tun(const HostFacts& facts) {
  return byProbe(facts, probe::kTun, Verdict::warning,
                 "routers with egress 'openvpn', or 'wireguard' by wireguard-go, cannot run",
                 "modprobe tun");
}

Judgement wireGuard(const HostFacts& facts) {
  const Probe& kernel = probed(facts, probe::kWireGuard);
  if (kernel.yes()) return fine("in the kernel");
  const ProgramFacts* program = nullptr;
  for (const ProgramFacts& p : facts.programs)
    if (p.name == "wireguard-go") program = &p;
  const bool inUserSpace = program != nullptr && program->present;
  if (inUserSpace && probed(facts, probe::kTun).yes())
    return {Verdict::ok, "not in the kernel; " + program->path, "", ""};
  if (!kernel.no()) return notTried(facts, kernel);
  if (inUserSpace && !probed(facts, probe::kTun).no())
    return notTried(facts, probed(facts, probe::kTun));
  if (inUserSpace)
    return {Verdict::warning, program->path + ", but no /dev/net/tun",
            "routers with egress 'wireguard' cannot run", "modprobe tun"};
  return {Verdict::warning, "neither in the kernel nor as wireguard-go",
          "routers with egress 'wireguard' cannot run", "apt install wireguard-go"};
}

// br_netfilter sends bridged packets through the IP hooks of the bridge's namespace. Each of ours
// switches it off for itself, which works since the settings belong to the namespace (Linux 5.3).
Judgement bridgeNetfilter(const HostFacts& facts) {
  const auto calls = number(facts, "net/bridge/bridge-nf-call-iptables");
  if (!calls) return fine("not loaded");
  if (facts.kernel.major > 5 || (facts.kernel.major == 5 && facts.kernel.minor >= 3))
    return fine(
        fmt::format("loaded; {} for the host, off in our namespaces", *calls == 0 ? "off" : "on"));
  if (*calls == 0) return fine("loaded, off");
  return {Verdict::problem, "loaded and on, for all namespaces",
          "frames between clients take the wrong rules", "modprobe -r br_netfilter"};
}

Judgement forwarding(const HostFacts& facts) {
  const auto on = number(facts, "net/ipv4/ip_forward");
  if (!on) return {Verdict::unknown, "cannot be read", "", ""};
  if (*on == 0) return fine("off");
  return {Verdict::warning, "net.ipv4.ip_forward = 1",
          "the host routes for others (docker and libvirt set this); no router depends on it, and "
          "none of ours hangs on the host's namespace",
          "sysctl -w net.ipv4.ip_forward=0, if nothing else on this host needs it"};
}

// Namespaces of ours set their own; the greater of "all" and the interface's counts, and "all" is
// the namespace's own. The host's value matters for its own NICs alone.
Judgement reversePath(const HostFacts& facts) {
  const auto all = number(facts, "net/ipv4/conf/all/rp_filter");
  if (!all) return {Verdict::unknown, "cannot be read", "", ""};
  return fine(
      fmt::format("net.ipv4.conf.all.rp_filter = {} on the host; our namespaces set 1", *all));
}

// One table for all namespaces (net/core/neighbour.c): a router takes some three entries.
Judgement neighbours(const HostFacts& facts) {
  const std::string key = "net/ipv4/neigh/default/gc_thresh3";
  const auto most = number(facts, key);
  if (!most) return {Verdict::unknown, dotted(key) + " cannot be read", "", ""};
  const std::string found = fmt::format("{} = {}", dotted(key), *most);
  if (*most >= 1024) return fine(found);
  return {Verdict::warning, found,
          fmt::format("about {} routers and clients fill the table, which all namespaces share",
                      *most / 3),
          "sysctl -w " + dotted(key) + "=8192"};
}

}  // namespace orrery::doctor
