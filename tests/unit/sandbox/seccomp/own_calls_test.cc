// The supervisor's filter as it is installed: what is absent ends those who are themselves the
// supervisor, and nobody else.
#include "sandbox/seccomp/own_calls.h"

#include <linux/sched.h>

#include <algorithm>

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

using test::callData;

std::uint32_t verdict(const std::vector<sock_filter>& program, int number, std::uint64_t from,
                      const test::Args& args = {}) {
  seccomp_data data =
      callData(number, args,
               nativeSeccompArch() == SeccompArch::x86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64);
  data.instruction_pointer = from;
  return evaluate(program, data) & SECCOMP_RET_ACTION_FULL;
}

int numberOf(const char* call) {
  return syscallNumber(nativeSeccompArch(), call).value_or(-1);
}

TEST(OwnCalls, RaiseASignalOnlyFromOwnAddresses) {
  const auto supervisor = *embeddedProfile("supervisor");
  struct Range {
    const char* what;
    CodeRange own;
  };
  for (const Range& range : {Range{"in one half", {0x7f1200001000, 0x7f1200200fff}},
                             Range{"over a border", {0x7f12fffff000, 0x7f1300000fff}},
                             Range{"over two borders", {0x7f12fffff000, 0x7f1400000fff}},
                             Range{"one address", {0x5000, 0x5000}},
                             Range{"a whole half", {0x100000000, 0x1ffffffff}}}) {
    const auto program = trapOwnCalls(supervisor, {range.own});
    ASSERT_TRUE(checkProgram(program)) << range.what;
    const std::uint64_t middle = range.own.first + (range.own.last - range.own.first) / 2;
    for (const char* call : {"bpf", "ptrace", "kexec_load", "process_vm_readv"}) {
      const int number = numberOf(call);
      for (const std::uint64_t at : {range.own.first, middle, range.own.last})
        EXPECT_EQ(verdict(program, number, at), SECCOMP_RET_TRAP) << range.what << " " << at;
      for (const std::uint64_t at : {range.own.first - 1, range.own.last + 1, std::uint64_t{0},
                                     range.own.first + (std::uint64_t{4} << 32)})
        EXPECT_EQ(verdict(program, number, at), SECCOMP_RET_TRACE) << range.what << " " << at;
    }
    EXPECT_EQ(verdict(program, numberOf("setns"), middle, {3, CLONE_NEWUSER}), SECCOMP_RET_TRAP);
    EXPECT_EQ(verdict(program, numberOf("setns"), middle, {3, CLONE_NEWNET}), SECCOMP_RET_ALLOW);
    EXPECT_EQ(verdict(program, numberOf("read"), middle), SECCOMP_RET_ALLOW);
  }
}

TEST(OwnCalls, OfNoRangeAreLikeThoseOfOthers) {
  const auto program = trapOwnCalls(*embeddedProfile("supervisor"), {});
  ASSERT_TRUE(checkProgram(program));
  EXPECT_EQ(verdict(program, numberOf("bpf"), 0), SECCOMP_RET_TRACE);
  EXPECT_EQ(verdict(program, numberOf("bpf"), 0x1000), SECCOMP_RET_TRACE);
}

TEST(OwnCalls, KnowWhereTheyAre) {
  const std::vector<CodeRange> own = ownCode();
  const auto within = [&own](std::uint64_t at) {
    return std::ranges::any_of(
        own, [at](const CodeRange& range) { return at >= range.first && at <= range.last; });
  };
  EXPECT_TRUE(within(reinterpret_cast<std::uint64_t>(&ownCode)));
  int local = 0;
  EXPECT_FALSE(within(reinterpret_cast<std::uint64_t>(&local)));
}

TEST(OwnCalls, ARecordIsReadOnce) {
  char path[] = "/tmp/orrery-refused-XXXXXX";
  const UniqueFd file(::mkstemp(path));
  ASSERT_TRUE(writeAll(file.get(), "141 5 0 ffffffffffffffff 1 2 3 4d2 "));
  const auto call = takeRefusedCall(path);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, 0x141);
  EXPECT_EQ(call->args, (std::array<std::uint64_t, 6>{5, 0, ~0ULL, 1, 2, 3}));
  EXPECT_EQ(call->pid, 1234);
  EXPECT_FALSE(takeRefusedCall(path));
  for (const char* bad : {"", "141", "141 5 0 1 1 2 3", "141 5 0 x 1 2 3 4", "1 2 3 4 5 6 7 8 9"}) {
    ASSERT_TRUE(writeFileAtomic(path, bad));
    EXPECT_FALSE(takeRefusedCall(path)) << bad;
    EXPECT_FALSE(pathExists(path)) << bad;
  }
}

}  // namespace
}  // namespace orrery
