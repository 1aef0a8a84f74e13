#include "sandbox/seccomp/decode.h"

#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

struct Case {
  const char* call;
  test::Args args;
  const char* text;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.text;
}
class Decode : public ::testing::TestWithParam<Case> {};

TEST_P(Decode, NamesWhatHasAName) {
  const auto number = syscallNumber(SeccompArch::x86_64, GetParam().call);
  ASSERT_TRUE(number);
  EXPECT_EQ(toText(decodeCall(SeccompArch::x86_64, *number, GetParam().args)), GetParam().text);
}

constexpr std::uint64_t kDirty = 0x100000000;

INSTANTIATE_TEST_SUITE_P(
    Calls, Decode,
    ::testing::Values(
        Case{"socket",
             {AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 768},
             "socket(AF_PACKET, SOCK_RAW|SOCK_CLOEXEC, 768)"},
        Case{"socket", {99, 0, 0}, "socket(0x63, 0x0, 0)"},
        Case{"socket", {AF_VSOCK | kDirty, SOCK_STREAM, 0}, "socket(AF_VSOCK, SOCK_STREAM, 0)"},
        Case{"ioctl", {3, TUNSETIFF, 0x7ffd0}, "ioctl(3, TUNSETIFF, 0x7ffd0)"},
        Case{"ioctl", {~0ULL, TIOCSTI, 0}, "ioctl(-1, TIOCSTI, 0x0)"},
        Case{"ioctl", {0, 0x1234, 0}, "ioctl(0, 0x1234, 0x0)"},
        Case{"clone",
             {CLONE_NEWUSER | CLONE_NEWNET | 17},
             "clone(CLONE_NEWUSER|CLONE_NEWNET|signal 17, 0x0, 0x0, 0x0)"},
        Case{"clone", {0}, "clone(0, 0x0, 0x0, 0x0)"},
        Case{"unshare", {CLONE_NEWNET}, "unshare(CLONE_NEWNET)"},
        Case{"mmap",
             {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ~0ULL},
             "mmap(0x0, 0x1000, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, "
             "0x0)"},
        Case{"mprotect", {0x1000, 1, 0}, "mprotect(0x1000, 0x1, PROT_NONE)"},
        Case{"prctl", {1}, "prctl(PR_SET_PDEATHSIG, 0x0, 0x0, 0x0, 0x0)"},
        Case{"getpid", {1, 2, 3}, "getpid()"},
        Case{"sysinfo", {1, 2}, "sysinfo(0x1, 0x2, 0x0, 0x0, 0x0, 0x0)"}),
    [](const auto& test) { return "n" + std::to_string(test.index); });

TEST(DecodeCall, ShowsUnknownNumbers) {
  EXPECT_EQ(toText(decodeCall(SeccompArch::x86_64, 9999, {1})),
            "#9999(0x1, 0x0, 0x0, 0x0, 0x0, 0x0)");
  EXPECT_EQ(toText(decodeCall(SeccompArch::x86_64, -1, {})), "#-1(0x0, 0x0, 0x0, 0x0, 0x0, 0x0)");
}

}  // namespace
}  // namespace orrery
