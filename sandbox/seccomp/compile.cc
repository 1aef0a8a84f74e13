// The program is written from its end to its beginning. BPF jumps go forward only, so every target
// is known when a jump to it is written, and an offset is a difference of two positions. A
// conditional jump reaches 255 instructions; where a target lies farther, a `ja` (or, for an
// outcome, another return) is put right behind it.
#include "sandbox/seccomp/compile.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <map>

namespace orrery {
namespace {

constexpr std::uint32_t kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT: x32 calls on x86-64
constexpr std::uint32_t kMaxOffset = 255;

// Where an instruction stands, counted from the program's end: the last one is 0.
using Label = std::size_t;

class ReverseProgram {
 public:
  Label ret(std::uint32_t value) {
    const auto known = returns_.find(value);
    if (known != returns_.end() && distance(known->second) <= kMaxOffset / 2) return known->second;
    const Label label = put(BPF_RET | BPF_K, 0, 0, value);
    returns_[value] = label;
    return label;
  }
  // `offset` into seccomp_data; falls through to the instruction written before.
  Label load(std::uint32_t offset, Label next) {
    fallThrough(next);
    return put(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
  }
  Label mask(std::uint32_t bits, Label next) {
    fallThrough(next);
    return put(BPF_ALU | BPF_AND | BPF_K, 0, 0, bits);
  }
  // test: BPF_JEQ, BPF_JGE or BPF_JSET against k.
  Label branch(std::uint16_t test, std::uint32_t k, Label yes, Label no) {
    // Putting one trampoline in can move the other target out of reach: so until both are near.
    while (distance(yes) > kMaxOffset || distance(no) > kMaxOffset) {
      Label& far = distance(yes) > distance(no) ? yes : no;
      far = jump(far);
    }
    return put(static_cast<std::uint16_t>(BPF_JMP | BPF_K | test),
               static_cast<std::uint8_t>(distance(yes)), static_cast<std::uint8_t>(distance(no)),
               k);
  }
  std::vector<sock_filter> finish() && {
    std::reverse(code_.begin(), code_.end());
    return std::move(code_);
  }

 private:
  // The offset that an instruction written now needs in order to go on at `target`.
  std::size_t distance(Label target) const { return code_.size() - target - 1; }
  Label jump(Label target) {
    return put(BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(distance(target)));
  }
  void fallThrough(Label next) {
    if (distance(next) != 0) jump(next);
  }
  Label put(std::uint16_t code, std::uint8_t jt, std::uint8_t jf, std::uint32_t k) {
    code_.push_back(sock_filter{code, jt, jf, k});
    return code_.size() - 1;
  }

  std::vector<sock_filter> code_;
  std::map<std::uint32_t, Label> returns_;  // the nearest return of each value
};

constexpr std::uint32_t lowHalf(unsigned arg) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + arg * sizeof(std::uint64_t));
}
constexpr std::uint32_t highHalf(unsigned arg) {
  return lowHalf(arg) + 4;
}  // little endian

constexpr std::uint32_t low(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}
constexpr std::uint32_t high(std::uint64_t v) {
  return static_cast<std::uint32_t>(v >> 32);
}

// One half of an argument against one or more values.
Label testHalf(ReverseProgram& p, std::uint32_t offset, std::uint32_t mask,
               const std::vector<std::uint32_t>& values, Label yes, Label no) {
  Label next = no;
  if (values == std::vector<std::uint32_t>{0} && mask != ~0U)
    return p.load(offset, p.branch(BPF_JSET, mask, no, yes));
  for (auto v = values.rbegin(); v != values.rend(); ++v) next = p.branch(BPF_JEQ, *v, yes, next);
  if (mask != ~0U) next = p.mask(mask, next);
  return p.load(offset, next);
}

Label testCondition(ReverseProgram& p, const SeccompCondition& c, Label yes, Label no) {
  const std::uint32_t highMask = high(c.mask);
  if (highMask == 0) {
    std::vector<std::uint32_t> values;
    for (const std::uint64_t v : c.values) values.push_back(low(v));
    return testHalf(p, lowHalf(c.arg), low(c.mask), values, yes, no);
  }
  Label next = no;
  for (auto v = c.values.rbegin(); v != c.values.rend(); ++v) {
    Label matched = yes;
    if (low(c.mask) != 0) matched = testHalf(p, lowHalf(c.arg), low(c.mask), {low(*v)}, yes, next);
    next = testHalf(p, highHalf(c.arg), highMask, {high(*v)}, matched, next);
  }
  return next;
}

// All clauses of a call; the accumulator is free.
Label testCall(ReverseProgram& p, const FlatCall& call, const SeccompAction& fallback) {
  Label next = p.ret(seccompReturn(fallback));
  for (auto clause = call.clauses.rbegin(); clause != call.clauses.rend(); ++clause) {
    Label matched = p.ret(seccompReturn(clause->action));
    for (auto c = clause->when.rbegin(); c != clause->when.rend(); ++c)
      matched = testCondition(p, *c, matched, next);
    next = matched;
  }
  return next;
}

// Call numbers from `first` up to the next range's: one outcome, or one call's tests.
struct Range {
  std::uint32_t first = 0;
  bool tested = false;
  std::uint32_t outcome = 0;  // !tested
  Label tests = 0;            // tested
};

Label target(ReverseProgram& p, const Range& r) {
  return r.tested ? r.tests : p.ret(r.outcome);
}

// The accumulator holds the call number.
Label search(ReverseProgram& p, const std::vector<Range>& ranges, std::size_t begin,
             std::size_t end) {
  if (end - begin == 1) return target(p, ranges[begin]);
  const std::size_t middle = begin + (end - begin) / 2;
  const Label upper = search(p, ranges, middle, end);
  const Label lower = search(p, ranges, begin, middle);
  return p.branch(BPF_JGE, ranges[middle].first, upper, lower);
}

// Whether arguments can change the outcome.
bool needsTests(const FlatCall& call, const SeccompAction& fallback) {
  const bool open = call.clauses.empty() || !call.clauses.back().when.empty();
  const SeccompAction last = open ? fallback : call.clauses.back().action;
  return std::any_of(call.clauses.begin(), call.clauses.end(),
                     [&](const FlatClause& c) { return c.action != last; });
}

std::uint32_t plainOutcome(const FlatCall& call, const SeccompAction& fallback) {
  return seccompReturn(call.clauses.empty() ? fallback : call.clauses.back().action);
}

std::vector<Range> makeRanges(const FlatProfile& profile, const std::map<int, Label>& tests) {
  const std::uint32_t fallback = seccompReturn(profile.defaultAction);
  std::vector<Range> ranges{Range{0, false, fallback, 0}};
  const auto add = [&](const Range& r) {
    if (ranges.back().first == r.first) ranges.pop_back();
    const bool same =
        !ranges.empty() && !r.tested && !ranges.back().tested && ranges.back().outcome == r.outcome;
    if (!same) ranges.push_back(r);
  };
  for (const FlatCall& call : profile.calls) {
    const auto number = static_cast<std::uint32_t>(call.number);
    if (std::find(profile.hot.begin(), profile.hot.end(), call.number) != profile.hot.end()) {
      // Decided before the search, so its range may be either neighbour's.
      if (ranges.back().first != number) continue;
      ranges.pop_back();
      add(Range{number + 1, false, fallback, 0});
      continue;
    }
    const auto tested = tests.find(call.number);
    if (tested != tests.end())
      add(Range{number, true, 0, tested->second});
    else
      add(Range{number, false, plainOutcome(call, profile.defaultAction), 0});
    add(Range{number + 1, false, fallback, 0});
  }
  return ranges;
}

}  // namespace

std::uint32_t auditArch(SeccompArch arch) {
  return arch == SeccompArch::x86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
}

Result<std::vector<sock_filter>> compile(const FlatProfile& profile) {
  ReverseProgram p;
  std::map<int, Label> tests;
  for (const FlatCall& call : profile.calls)
    if (needsTests(call, profile.defaultAction))
      tests[call.number] = testCall(p, call, profile.defaultAction);

  const std::vector<Range> ranges = makeRanges(profile, tests);
  Label entry = search(p, ranges, 0, ranges.size());
  for (auto number = profile.hot.rbegin(); number != profile.hot.rend(); ++number) {
    const auto call = std::find_if(profile.calls.begin(), profile.calls.end(),
                                   [&](const FlatCall& c) { return c.number == *number; });
    if (call == profile.calls.end())
      return error("seccomp profile '{}': hot call {} has no rule", profile.name, *number);
    const auto tested = tests.find(*number);
    const Label hit =
        tested != tests.end() ? tested->second : p.ret(plainOutcome(*call, profile.defaultAction));
    entry = p.branch(BPF_JEQ, static_cast<std::uint32_t>(*number), hit, entry);
  }
  if (profile.arch == SeccompArch::x86_64)
    entry = p.branch(BPF_JGE, kX32Bit, p.ret(SECCOMP_RET_KILL_PROCESS), entry);
  entry = p.load(offsetof(seccomp_data, nr), entry);
  const Label foreign = p.ret(SECCOMP_RET_KILL_PROCESS);
  entry = p.branch(BPF_JEQ, auditArch(profile.arch), entry, foreign);
  p.load(offsetof(seccomp_data, arch), entry);

  std::vector<sock_filter> program = std::move(p).finish();
  if (program.size() > BPF_MAXINSNS)
    return error("seccomp profile '{}' needs {} instructions; the kernel takes {}", profile.name,
                 program.size(), BPF_MAXINSNS);
  return program;
}

}  // namespace orrery
