// Looking at the host for `routerctl doctor`.
//
// What has to be tried is tried by a forked child that ends afterwards, in namespaces of its own
// which end with it: nothing of the host is changed, except that the kernel may load modules, as a
// spawn would have it do. Without privilege the child takes a user namespace first; where that is
// refused, the probes that need it stay `unknown`. Nothing fails: what cannot be found out is
// missing or says so.
//
// The caller must have one thread only, because of fork(2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "routers/services/service_spec.h"
#include "runtime/doctor/facts.h"

namespace orrery {

// `root` before every path; "" outside of tests.
HostFacts gatherHost(const ProgramPaths& programs, const std::string& root = "");

// --- parts, for tests ---------------------------------------------------------------------------

// uname's release: "6.1.0-18-amd64" → 6, 1. Zeros if it is none. Pure.
KernelRelease parseRelease(std::string_view text);
// Entries of /etc/subuid ("name:first:count") or of /etc/passwd that overlap with [first, last].
// Lines that are none are left out. Pure.
std::vector<std::string> subordinateConflicts(std::string_view file, std::string_view text,
                                              std::uint64_t first, std::uint64_t last);
std::vector<std::string> userConflicts(std::string_view file, std::string_view text,
                                       std::uint64_t first, std::uint64_t last);
// The child's answers as they cross the pipe. Pure; a torn end is left out.
std::string toText(const std::map<std::string, Probe>& probes);
std::map<std::string, Probe> parseProbes(std::string_view text);

}  // namespace orrery
