#include "sandbox/seccomp/learn.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "sandbox/base/strings.h"
#include "sandbox/seccomp/decode.h"
#include "sandbox/seccomp/syscalls.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxValues = 32;
constexpr std::size_t kMaxCalls = 512;  // there are fewer

// Calls whose rules the shipped profiles tie to one argument, or should.
struct Deciding {
  std::string_view call;
  unsigned arg;
};
constexpr Deciding kDeciding[] = {
    {"arch_prctl", 0}, {"clone", 0},  {"fcntl", 1},      {"ioctl", 1},
    {"madvise", 2},    {"mmap", 2},   {"mprotect", 2},   {"prctl", 0},
    {"prlimit64", 0},  {"socket", 0}, {"socketpair", 0},
};

const Deciding* decidingOf(std::string_view call) {
  const auto* at = std::find_if(std::begin(kDeciding), std::end(kDeciding),
                                [&](const Deciding& d) { return d.call == call; });
  return at == std::end(kDeciding) ? nullptr : at;
}

}  // namespace

bool LearnedCalls::add(SeccompArch arch, int number, const std::array<std::uint64_t, 6>& args) {
  const std::string name = syscallName(arch, number);
  if (!isSyscallName(name)) return false;  // a number that no profile could name
  if (calls_.size() >= kMaxCalls && !calls_.contains(name)) return false;
  Seen& seen = calls_[name];
  const bool first = seen.count++ == 0;
  const Deciding* deciding = decidingOf(name);
  if (deciding == nullptr || seen.any) return first;
  // The kernel takes all of these as 32 bits.
  const bool fresh = seen.values.insert(args.at(deciding->arg) & 0xffffffff).second;
  seen.any = seen.values.size() > kMaxValues;
  return first || fresh;
}

std::string LearnedCalls::proposal(std::string_view service, const SeccompAction& fallback) const {
  std::string out = fmt::format(
      "# A proposal, written by the learning mode: the calls that {0} made beyond its profile.\n"
      "# Review each rule: who needs the call, and what for? Strike what you cannot answer; say "
      "the\n"
      "# answer in `why`. Then name the file in the definition: seccomp.profiles.{0}\n"
      "schema  = 1\nextends = [\"{0}\"]\ndefault = \"{1}\"\n",
      service, toString(fallback));
  for (const auto& [name, seen] : calls_) {
    out += fmt::format("\n[[rule]]\ncalls = [\"{}\"]\n", name);
    if (const Deciding* deciding = decidingOf(name); deciding != nullptr && !seen.any) {
      std::vector<std::string> values;
      for (const std::uint64_t v : seen.values) values.push_back(fmt::format("{:#x}", v));
      std::vector<std::string> names;
      for (const std::uint64_t v : seen.values) names.push_back(valueName(name, deciding->arg, v));
      out += fmt::format("when  = [{{ arg = {}, in = [{}] }}]  # {}\n", deciding->arg,
                         join(values, ", "), join(names, ", "));
    }
    out +=
        fmt::format("why   = \"to be reviewed: seen {} times by the learning mode\"\n", seen.count);
  }
  return out;
}

}  // namespace orrery
