// Names and numbers of system calls (libseccomp's tables).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sandbox/seccomp/profile.h"

namespace orrery {

// Whether any architecture has a call of that name.
bool isSyscallName(std::string_view name);
// The number on that architecture; nothing if it has no such call.
std::optional<int> syscallNumber(SeccompArch arch, std::string_view name);
// "openat"; "#461" if the tables do not know the number.
std::string syscallName(SeccompArch arch, int number);

}  // namespace orrery
