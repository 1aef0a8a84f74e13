#include "sandbox/seccomp/dump.h"

#include <linux/bpf_common.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

std::string conditions(const FlatClause& clause) {
  std::vector<std::string> parts;
  for (const SeccompCondition& c : clause.when) parts.push_back(c.text);
  return parts.empty() ? std::string("always") : join(parts, " and ");
}

std::string fieldName(std::uint32_t offset) {
  if (offset == offsetof(seccomp_data, nr)) return "nr";
  if (offset == offsetof(seccomp_data, arch)) return "arch";
  if (offset < offsetof(seccomp_data, args)) return fmt::format("ip[{}]", (offset - 8) / 4);
  const std::size_t word = (offset - offsetof(seccomp_data, args)) / 4;
  return fmt::format("arg{}.{}", word / 2, word % 2 == 0 ? "low" : "high");
}

std::string jumpText(const char* test, const sock_filter& f, std::size_t at) {
  return fmt::format("{} {:#010x} -> {}, {}", test, f.k, at + 1 + f.jt, at + 1 + f.jf);
}

std::string instructionText(const sock_filter& f, std::size_t at) {
  switch (f.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      return "ld " + fieldName(f.k);
    case BPF_ALU | BPF_AND | BPF_K:
      return fmt::format("and {:#010x}", f.k);
    case BPF_JMP | BPF_JA:
      return fmt::format("ja -> {}", at + 1 + f.k);
    case BPF_JMP | BPF_JEQ | BPF_K:
      return jumpText("jeq", f, at);
    case BPF_JMP | BPF_JGE | BPF_K:
      return jumpText("jge", f, at);
    case BPF_JMP | BPF_JGT | BPF_K:
      return jumpText("jgt", f, at);
    case BPF_JMP | BPF_JSET | BPF_K:
      return jumpText("jset", f, at);
    case BPF_RET | BPF_K:
      return fmt::format("ret {:#010x} {}", f.k, toString(seccompActionOf(f.k)));
    default:
      return fmt::format("code {:#06x} jt {} jf {} k {:#010x}", f.code, f.jt, f.jf, f.k);
  }
}

}  // namespace

std::string toTable(const FlatProfile& profile) {
  std::vector<const FlatCall*> calls;
  for (const FlatCall& call : profile.calls) calls.push_back(&call);
  std::sort(calls.begin(), calls.end(),
            [](const FlatCall* a, const FlatCall* b) { return a->name < b->name; });
  std::string out =
      fmt::format("profile {} on {}: {} calls, every other: {}\n", profile.name,
                  toString(profile.arch), calls.size(), toString(profile.defaultAction));
  for (const FlatCall* call : calls)
    for (const FlatClause& clause : call->clauses)
      out +=
          fmt::format("{:<20} {:<14} {}  # {} ({}.toml:{})\n", call->name, toString(clause.action),
                      conditions(clause), clause.why, clause.profile, clause.line);
  return out;
}

std::string toBytecodeText(std::span<const sock_filter> program) {
  std::string out;
  for (std::size_t i = 0; i < program.size(); ++i)
    out += fmt::format("{:>4}: {}\n", i, instructionText(program[i], i));
  return out;
}

}  // namespace orrery
