// A flattened profile as a classic BPF program for seccomp(2).
//
// The program: refuse foreign architectures (the int 0x80 path too) and x32 with KILL_PROCESS; test
// the profile's hot calls one by one; then a binary search over ranges of call numbers with the
// same outcome; then the argument tests of the call. It is generated directly and not by
// libseccomp, which ignores a second rule silently where it should refuse it, compares 64 bits
// where the kernel takes 32, and orders by priority only.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/seccomp/profile.h"

namespace orrery {

// AUDIT_ARCH_* that programs of this architecture run under.
std::uint32_t auditArch(SeccompArch arch);

// Refuses a program above BPF_MAXINSNS (4096), the kernel's limit.
Result<std::vector<sock_filter>> compile(const FlatProfile& profile);

}  // namespace orrery
