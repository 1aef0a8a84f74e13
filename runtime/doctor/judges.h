// The judgements behind the table of checks. For this folder.
#pragma once

#include "runtime/doctor/checks.h"

namespace orrery::doctor {

// judge_kernel.cc
Judgement privilege(const HostFacts& facts);
Judgement kernelRelease(const HostFacts& facts);
Judgement namespaces(const HostFacts& facts);
Judgement timeNamespace(const HostFacts& facts);
Judgement namespaceLimits(const HostFacts& facts);
Judgement unprivilegedNamespaces(const HostFacts& facts);
Judgement seccompFilter(const HostFacts& facts);
Judgement seccompNotify(const HostFacts& facts);
Judgement landlock(const HostFacts& facts);
Judgement systemCalls(const HostFacts& facts);

// judge_network.cc
Judgement nftables(const HostFacts& facts);
Judgement nftTproxy(const HostFacts& facts);
Judgement nftConnlimit(const HostFacts& facts);
Judgement nftBridge(const HostFacts& facts);
Judgement nftArp(const HostFacts& facts);
Judgement veth(const HostFacts& facts);
Judgement bridge(const HostFacts& facts);
Judgement tun(const HostFacts& facts);
Judgement wireGuard(const HostFacts& facts);
Judgement bridgeNetfilter(const HostFacts& facts);
Judgement forwarding(const HostFacts& facts);
Judgement reversePath(const HostFacts& facts);
Judgement neighbours(const HostFacts& facts);

// judge_host.cc
Judgement cgroups(const HostFacts& facts);
Judgement inotify(const HostFacts& facts);
Judgement processes(const HostFacts& facts);
Judgement userIds(const HostFacts& facts);
Judgement runDirectory(const HostFacts& facts);
Judgement programDnsmasq(const HostFacts& facts);
Judgement programTor(const HostFacts& facts);
Judgement programOpenvpn(const HostFacts& facts);
Judgement programUdhcpc(const HostFacts& facts);
Judgement clock(const HostFacts& facts);
Judgement managers(const HostFacts& facts);

// --- what they share ----------------------------------------------------------------------------

inline Judgement fine(std::string found) {
  return {Verdict::ok, std::move(found), "", ""};
}
// The probe's answer; `unknown` if it was never tried.
const Probe& probed(const HostFacts& facts, const char* name);
// Nothing if there is no such sysctl, or it is no number.
std::optional<std::int64_t> number(const HostFacts& facts, const std::string& key);
// An unknown because of `what`, with the remedy of looking again as root where that would help.
Judgement notTried(const HostFacts& facts, const Probe& what);

}  // namespace orrery::doctor
