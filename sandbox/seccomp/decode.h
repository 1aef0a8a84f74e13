// A system call as people read it: "socket(AF_PACKET, SOCK_RAW|SOCK_CLOEXEC, 0x300)".
//
// Only from numbers and register arguments. Memory that a pointer points to is never read: another
// thread could change it meanwhile, and an event must not say what was not so. Values without a
// name are shown as numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/seccomp/profile.h"

namespace orrery {

struct DecodedCall {
  std::string name;       // "socket"; "#461" for an unknown number
  std::string arguments;  // "AF_PACKET, SOCK_RAW|SOCK_CLOEXEC, 0x300"; six numbers if not known
};
DecodedCall decodeCall(SeccompArch arch, int number, const std::array<std::uint64_t, 6>& args);
// One argument as decodeCall() shows it: "TIOCSTI".
std::string valueName(std::string_view call, unsigned arg, std::uint64_t value);
inline std::string toText(const DecodedCall& call) {
  return call.name + "(" + call.arguments + ")";
}

}  // namespace orrery
