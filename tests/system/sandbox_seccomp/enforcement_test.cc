// The kernel does what the evaluator says: a child under a filter makes one call.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/install.h"
#include "sandbox/seccomp/own_calls.h"
#include "sandbox/seccomp/profile.h"

namespace orrery {
namespace {

struct Attempt {
  const char* what;
  const char* profile;
  long number;
  std::array<long, 4> args;
  int err;     // expected errno, 0: no refusal by the filter
  int signal;  // expected end
};
void PrintTo(const Attempt& a, std::ostream* out) {
  *out << a.what;
}

class Enforcement : public ::testing::TestWithParam<Attempt> {};

TEST_P(Enforcement, ByTheKernel) {
  const Attempt& a = GetParam();
  const auto program = embeddedProfile(a.profile);
  ASSERT_TRUE(program);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (installSeccomp(*program) != 0) ::_exit(255);
    const long result = ::syscall(a.number, a.args[0], a.args[1], a.args[2], a.args[3], -1L, 0L);
    ::_exit(result == -1 ? errno : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (a.signal != 0) {
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    EXPECT_EQ(WTERMSIG(status), a.signal);
  } else {
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), a.err);
  }
}

constexpr long kReadWrite = PROT_READ | PROT_WRITE;
constexpr long kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;

INSTANTIATE_TEST_SUITE_P(
    Calls, Enforcement,
    ::testing::Values(
        Attempt{"tcp", "tor", SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0, 0},
        Attempt{"ipv6", "tor", SYS_socket, {AF_INET6, SOCK_STREAM, 0}, EAFNOSUPPORT, 0},
        Attempt{"packet", "tor", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, EPERM, 0},
        Attempt{"vsock", "dnsmasq", SYS_socket, {40, SOCK_STREAM, 0}, EPERM, 0},
        Attempt{"packetForDhcp", "udhcpc", SYS_socket, {AF_PACKET, SOCK_DGRAM, 0}, 0, 0},
        Attempt{"data", "openvpn", SYS_mmap, {0, 4096, kReadWrite, kAnonymous}, 0, 0},
        Attempt{"dataAsCode",
                "openvpn",
                SYS_mmap,
                {0, 4096, kReadWrite | PROT_EXEC, kAnonymous},
                EPERM,
                0},
        Attempt{"clone3", "tor", SYS_clone3, {}, ENOSYS, 0},
        Attempt{"newUserNamespace", "dnsmasq", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM, 0},
        Attempt{"unshare", "dnsmasq", SYS_unshare, {CLONE_NEWNET}, 0, SIGSYS},
        Attempt{"setns", "tor", SYS_setns, {0, 0}, 0, SIGSYS},
        Attempt{"ptrace", "wireguard-go", SYS_ptrace, {0}, 0, SIGSYS},
        Attempt{"ioUring", "tor", SYS_io_uring_setup, {}, 0, SIGSYS},
        Attempt{"tiocsti", "openvpn", SYS_ioctl, {0, TIOCSTI}, 0, SIGSYS},
        Attempt{"outlivingTheSupervisor", "tor", SYS_prctl, {PR_SET_PDEATHSIG, 0}, EPERM, 0},
        Attempt{"outlivingItAsOurOwn", "tproxy", SYS_prctl, {PR_SET_PDEATHSIG, 0}, 0, SIGSYS},
        Attempt{"secondFilter", "tor", SYS_seccomp, {}, EPERM, 0},
        Attempt{"notifyWithoutSupervisor", "wireguard-go", SYS_ioctl, {0, 0x8922}, ENOSYS, 0},
        Attempt{"ownProgram", "tproxy", SYS_socket, {AF_INET, SOCK_DGRAM, 0}, 0, SIGSYS}),
    [](const auto& test) { return test.param.what; });

// What the supervisor's filter does on the kernel: to itself, and to a program that it starts.
class SupervisorsFilter : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/orrery-refused-XXXXXX";
    const UniqueFd made(::mkstemp(name));
    ASSERT_TRUE(made);
    record_ = name;
    ASSERT_TRUE(removeFile(record_));
  }
  void TearDown() override { EXPECT_TRUE(removeFile(record_)); }

  // In a child, which ends with what `act` returns.
  template <class Act>
  int statusOf(const Act& act) {
    const auto program = embeddedProfile("supervisor");
    EXPECT_TRUE(program);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(confineToCalls(*program, record_) ? act() : 255);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
  std::string record_;
};

TEST_F(SupervisorsFilter, EndsItByNameForWhatItNeverDoes) {
  for (const long call : {SYS_bpf, SYS_ptrace, SYS_kexec_load, SYS_io_uring_setup, SYS_chroot}) {
    const int status = statusOf([&] { return static_cast<int>(::syscall(call, 1L, 2L, 3L)); });
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    const auto told = takeRefusedCall(record_);
    ASSERT_TRUE(told) << call;
    EXPECT_EQ(told->number, call);
    EXPECT_EQ(told->args[0], 1u);
    EXPECT_EQ(told->args[2], 3u);
    EXPECT_GT(told->pid, 0);
  }
}

// Ends nobody else: a program that it starts has other addresses.
TEST_F(SupervisorsFilter, RefusesTheSameToWhatItStarts) {
  const std::string script = fmt::format(
      "import ctypes, sys\nc = ctypes.CDLL(None, use_errno=True)\n"
      "c.syscall({}, 0, 0, 0)\nsys.exit(ctypes.get_errno())",
      SYS_bpf);
  const int status = statusOf([&] {
    (void)::execl("/usr/bin/python3", "python3", "-c", script.c_str(), nullptr);
    return 254;
  });
  ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), ENOSYS);
  EXPECT_FALSE(takeRefusedCall(record_));
}

TEST_F(SupervisorsFilter, IsCounted) {
  const unsigned before = *installedFilters();
  const int status = statusOf([] {
    const auto now = installedFilters();
    return now ? static_cast<int>(*now) : 200;
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(before) + 1);
}

#if defined(__x86_64__)
TEST(EnforcementOfAbi, KillsThe32BitGate) {
  const auto program = embeddedProfile("tor");
  ASSERT_TRUE(program);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (installSeccomp(*program) != 0) ::_exit(255);
    long result = 20;  // getpid of i386
    asm volatile("int $0x80" : "+a"(result)::"memory");
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}

TEST(EnforcementOfAbi, KillsX32) {
  const auto program = embeddedProfile("tor");
  ASSERT_TRUE(program);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (installSeccomp(*program) != 0) ::_exit(255);
    (void)::syscall(0x40000000 | SYS_getpid);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}
#endif

}  // namespace
}  // namespace orrery
