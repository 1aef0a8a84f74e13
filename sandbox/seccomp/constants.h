// The symbolic names that profiles may use for argument values: AF_*, SOCK_*, CLONE_*, PROT_*, F_*,
// ioctl requests, PR_* and so on, with the values of the kernel headers at build time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery {

std::optional<std::uint64_t> seccompConstant(std::string_view name);
std::vector<std::string> seccompConstantNames();

}  // namespace orrery
