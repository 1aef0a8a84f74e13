#include "runtime/doctor/checks.h"

#include <algorithm>

#include "runtime/doctor/judges.h"
#include "sandbox/base/strings.h"

namespace orrery {

const char* toString(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::problem:
      return "problem";
    case Verdict::unknown:
      return "unknown";
  }
  return "?";
}

const std::vector<Check>& hostChecks() {
  static const std::vector<Check> kChecks = {
      {"privilege", "Privilege", doctor::privilege},
      {"kernel", "Kernel", doctor::kernelRelease},
      {"system-calls", "System calls", doctor::systemCalls},
      {"namespaces", "Namespaces", doctor::namespaces},
      {"time-namespace", "Time namespace", doctor::timeNamespace},
      {"namespace-limits", "Namespace limits", doctor::namespaceLimits},
      {"unprivileged-namespaces", "Unprivileged namespaces", doctor::unprivilegedNamespaces},
      {"seccomp", "Seccomp filter", doctor::seccompFilter},
      {"seccomp-notify", "Seccomp notification", doctor::seccompNotify},
      {"landlock", "Landlock", doctor::landlock},
      {"cgroups", "Control groups", doctor::cgroups},
      {"nftables", "nftables", doctor::nftables},
      {"nft-tproxy", "nftables: tproxy", doctor::nftTproxy},
      {"nft-connlimit", "nftables: connlimit", doctor::nftConnlimit},
      {"nft-bridge", "nftables: bridge", doctor::nftBridge},
      {"nft-arp", "nftables: arp", doctor::nftArp},
      {"veth", "veth", doctor::veth},
      {"bridge", "Bridge", doctor::bridge},
      {"tun", "/dev/net/tun", doctor::tun},
      {"wireguard", "WireGuard", doctor::wireGuard},
      {"br-netfilter", "br_netfilter", doctor::bridgeNetfilter},
      {"ip-forward", "Forwarding on the host", doctor::forwarding},
      {"rp-filter", "Reverse path filter", doctor::reversePath},
      {"neighbours", "Neighbour table", doctor::neighbours},
      {"inotify", "inotify", doctor::inotify},
      {"pids", "Processes", doctor::processes},
      {"user-ids", "User ids", doctor::userIds},
      {"run", "/run", doctor::runDirectory},
      {"dnsmasq", "dnsmasq", doctor::programDnsmasq},
      {"tor", "tor", doctor::programTor},
      {"openvpn", "openvpn", doctor::programOpenvpn},
      {"udhcpc", "udhcpc", doctor::programUdhcpc},
      {"clock", "Clock", doctor::clock},
      {"network-managers", "Network managers", doctor::managers},
  };
  return kChecks;
}

std::vector<Finding> judgeHost(const HostFacts& facts) {
  std::vector<Finding> findings;
  for (const Check& check : hostChecks())
    findings.push_back({std::string(check.id), std::string(check.title), check.judge(facts)});
  return findings;
}

bool canRun(const std::vector<Finding>& findings) {
  return std::ranges::none_of(findings, [](const Finding& finding) {
    return finding.judgement.verdict == Verdict::problem;
  });
}

namespace doctor {

const Probe& probed(const HostFacts& facts, const char* name) {
  static const Probe kNever{Probe::Answer::unknown, "not tried"};
  const auto found = facts.probes.find(name);
  return found == facts.probes.end() ? kNever : found->second;
}

std::optional<std::int64_t> number(const HostFacts& facts, const std::string& key) {
  const auto found = facts.sysctls.find(key);
  return found == facts.sysctls.end() ? std::nullopt : parseNumber<std::int64_t>(found->second);
}

Judgement notTried(const HostFacts& facts, const Probe& what) {
  return {Verdict::unknown, what.detail.empty() ? "not tried" : what.detail,
          "what depends on it was not checked", facts.root ? "" : "sudo routerctl doctor"};
}

}  // namespace doctor
}  // namespace orrery
