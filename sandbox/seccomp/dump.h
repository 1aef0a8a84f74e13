// Profiles and programs as text for people: `routerctl inspect NAME seccomp [--bytecode]`.
#pragma once

#include <linux/filter.h>

#include <span>
#include <string>

#include "sandbox/seccomp/profile.h"

namespace orrery {

// The effective table, one clause a line, sorted by call name (so that a diff between two versions
// reads well): call, conditions, action, reason, and the file the rule comes from.
std::string toTable(const FlatProfile& profile);

// One instruction a line: "  12: jeq 0x0000003b -> 40, 13".
std::string toBytecodeText(std::span<const sock_filter> program);

}  // namespace orrery
