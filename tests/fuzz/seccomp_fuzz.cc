// Any text as a profile: refused with a place, or a program that the kernel would take, and that
// decides as the table says.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/profile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto profile = readProfile("fuzz", text);
  if (!profile) {
    if (profile.error().message.empty()) std::abort();
    return 0;
  }
  ProfileSet set;
  set.emplace("fuzz", std::move(profile).value());
  const auto flat = flatten(set, "fuzz");
  if (!flat) return 0;
  const auto program = compile(*flat);
  if (program && !checkProgram(*program)) std::abort();
  return 0;
}
