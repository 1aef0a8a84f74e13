#include "sandbox/seccomp/syscalls.h"

#include <fmt/format.h>
#include <seccomp.h>

#include <cstdlib>
#include <memory>

namespace orrery {
namespace {

std::uint32_t libArch(SeccompArch arch) {
  return arch == SeccompArch::x86_64 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64;
}

}  // namespace

bool isSyscallName(std::string_view name) {
  // Calls of other architectures resolve to negative pseudo numbers, unknown names to one of them.
  return seccomp_syscall_resolve_name(std::string(name).c_str()) != __NR_SCMP_ERROR;
}

std::optional<int> syscallNumber(SeccompArch arch, std::string_view name) {
  const int number = seccomp_syscall_resolve_name_arch(libArch(arch), std::string(name).c_str());
  if (number < 0) return std::nullopt;
  return number;
}

std::string syscallName(SeccompArch arch, int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      seccomp_syscall_resolve_num_arch(libArch(arch), number), &std::free);
  return name != nullptr ? std::string(name.get()) : fmt::format("#{}", number);
}

}  // namespace orrery
