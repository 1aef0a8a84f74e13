// What is tried in a child of its own. For this folder.
#pragma once

#include <map>
#include <string>

#include "runtime/doctor/facts.h"
#include "sandbox/base/result.h"
#include "sandbox/cgroup/cgroup.h"

namespace orrery::doctor {

using Probes = std::map<std::string, Probe>;

inline Probe yes(std::string detail = "") {
  return {Probe::Answer::yes, std::move(detail)};
}
inline Probe no(std::string why) {
  return {Probe::Answer::no, std::move(why)};
}
// Yes, or no with the kernel's words.
Probe answerOf(const Status& tried);
Probe answerOfCall(long result, int err);

// Forks, runs `probe` in the child, and returns what it found; {} if it did not come back in time.
Probes inChild(Probes (*probe)(bool root), bool root);

// The bodies of those children: each changes its own namespaces and has one thread at the start.
Probes probeNamespaces(bool root);  // gather_kernel.cc
Probes probeNetwork(bool root);     // gather_network.cc

// A user namespace in which we are root, for callers without privilege.
Status enterUserNamespace();

// In the caller's process, without effect: gather_kernel.cc.
Probes probeCalls();
int landlock();
CgroupFacts cgroupFacts(const CgroupLayout& layout);
ClockFacts clockFacts(const std::string& root);

}  // namespace orrery::doctor
