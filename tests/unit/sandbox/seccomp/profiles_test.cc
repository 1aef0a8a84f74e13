// What the shipped profiles let through: every call number, the laws that no profile may break, and
// the arguments that matter. The embedded programs are what is tested.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/if_tun.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/dump.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

using test::Args;
using test::callData;
using ::testing::HasSubstr;

constexpr int kLastNumber = 479;                      // Linux 6.18 ends at 470
constexpr std::uint64_t kDirty = 0xdeadbeef00000000;  // an upper half that the kernel ignores

std::vector<std::string> allProfiles() {
  std::vector<std::string> names;
  for (const std::string_view name : embeddedProfileNames()) names.emplace_back(name);
  return names;
}

std::vector<std::string> servicesProfiles() {
  std::vector<std::string> names = allProfiles();
  std::erase(names, kSupervisorProfile);
  return names;
}

std::string verdict(const std::string& profile, const std::string& call, const Args& args = {}) {
  const auto program = embeddedProfile(profile);
  const auto number = syscallNumber(SeccompArch::x86_64, call);
  if (!program || !number) return "no such profile or call";
  return toString(seccompActionOf(evaluate(*program, callData(*number, args))));
}

class EveryProfile : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { flat_ = test::x86Profile(test::shippedSet(), GetParam()); }
  FlatProfile flat_;
};

// All but the supervisor's, which is to make sandboxes.
class EveryServicesProfile : public EveryProfile {};

// All outcomes of a call over arguments drawn from what its conditions ask for.
std::set<std::string> outcomes(const FlatProfile& p, std::span<const sock_filter> program,
                               int number) {
  std::mt19937_64 random(static_cast<unsigned>(number));
  std::array<std::vector<std::uint64_t>, 6> pool;
  for (auto& values : pool) values = {0, ~0ULL};
  for (const FlatCall& call : p.calls)
    for (const FlatClause& clause : call.clauses)
      for (const SeccompCondition& c : clause.when)
        if (call.number == number)
          for (const std::uint64_t v : c.values) {
            pool.at(c.arg).push_back(v);
            pool.at(c.arg).push_back(v | ~c.mask);
          }
  std::set<std::string> out;
  const bool conditional =
      std::any_of(pool.begin(), pool.end(), [](const auto& values) { return values.size() > 2; });
  for (int i = 0; i < (conditional ? 500 : 3); ++i) {
    Args args{};
    for (std::size_t a = 0; a < args.size(); ++a)
      args.at(a) = random() % 4 == 0 ? random() : pool.at(a)[random() % pool.at(a).size()];
    out.insert(toString(seccompActionOf(evaluate(program, callData(number, args)))));
  }
  return out;
}

// Golden: one line for each call that does not always meet the default. Three classes show: always
// allowed ("allow"), depending on arguments ("allow errno:EPERM"), always refused otherwise.
// ORRERY_UPDATE_GOLDEN=1 writes the file anew; the diff is what is to be reviewed.
TEST_P(EveryProfile, DecidesOverEveryNumberAsReviewed) {
  const auto program = embeddedProfile(GetParam());
  ASSERT_TRUE(program) << program.error().message;
  const std::string fallback = toString(flat_.defaultAction);
  std::string actual = "default " + fallback + "\n";
  for (int number = 0; number <= kLastNumber; ++number) {
    const std::set<std::string> found = outcomes(flat_, *program, number);
    if (found == std::set<std::string>{fallback}) continue;
    actual += syscallName(SeccompArch::x86_64, number);
    for (const std::string& action : found) actual += " " + action;
    actual += "\n";
  }
  const std::string path =
      std::string(ORRERY_SOURCE_DIR) + "/tests/unit/sandbox/seccomp/golden/" + GetParam() + ".txt";
  if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << actual;
  const auto golden = readFile(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(actual, *golden);
}

// The law of the project: whoever runs in such a sandbox, none of these is let through, for no
// arguments.
TEST_P(EveryServicesProfile, LetsNothingHostileThrough) {
  const auto program = embeddedProfile(GetParam());
  ASSERT_TRUE(program);
  for (const char* call : {"unshare",
                           "setns",
                           "mount",
                           "umount2",
                           "pivot_root",
                           "chroot",
                           "open_tree",
                           "move_mount",
                           "fsopen",
                           "fsconfig",
                           "fsmount",
                           "fspick",
                           "mount_setattr",
                           "ptrace",
                           "process_vm_readv",
                           "process_vm_writev",
                           "process_madvise",
                           "kcmp",
                           "pidfd_getfd",
                           "bpf",
                           "perf_event_open",
                           "userfaultfd",
                           "io_uring_setup",
                           "io_uring_enter",
                           "io_uring_register",
                           "add_key",
                           "request_key",
                           "keyctl",
                           "init_module",
                           "finit_module",
                           "delete_module",
                           "kexec_load",
                           "kexec_file_load",
                           "reboot",
                           "swapon",
                           "swapoff",
                           "acct",
                           "syslog",
                           "iopl",
                           "ioperm",
                           "modify_ldt",
                           "quotactl",
                           "quotactl_fd",
                           "open_by_handle_at",
                           "name_to_handle_at",
                           "fanotify_init",
                           "execveat",
                           "memfd_create",
                           "memfd_secret",
                           "personality",
                           "vmsplice",
                           "remap_file_pages",
                           "pkey_mprotect",
                           "move_pages",
                           "migrate_pages",
                           "mbind",
                           "set_mempolicy",
                           "settimeofday",
                           "clock_settime",
                           "adjtimex",
                           "clock_adjtime",
                           "sethostname",
                           "setdomainname",
                           "vhangup",
                           "lookup_dcookie"}) {
    const auto number = syscallNumber(SeccompArch::x86_64, call);
    ASSERT_TRUE(number) << call;
    EXPECT_EQ(outcomes(flat_, *program, *number), std::set<std::string>{"kill_process"}) << call;
  }
  for (const char* call : {"seccomp",
                           "clone3",
                           "mknod",
                           "mknodat",
                           "pidfd_open",
                           "msgget",
                           "semget",
                           "shmget",
                           "mq_open",
                           "sched_setscheduler",
                           "process_mrelease",
                           "landlock_create_ruleset",
                           "rt_sigqueueinfo",
                           "tkill",
                           "link",
                           "linkat",
                           "symlink",
                           "setxattr",
                           "openat2",
                           "set_tid_address2"}) {
    const auto number = syscallNumber(SeccompArch::x86_64, call);
    if (!number) continue;
    EXPECT_EQ(outcomes(flat_, *program, *number).count("allow"), 0U) << call;
  }
}

TEST_P(EveryServicesProfile, MakesNoNamespaceByClone) {
  for (const std::uint64_t flag :
       {std::uint64_t{CLONE_NEWNS}, std::uint64_t{CLONE_NEWCGROUP}, std::uint64_t{CLONE_NEWUTS},
        std::uint64_t{CLONE_NEWIPC}, std::uint64_t{CLONE_NEWUSER}, std::uint64_t{CLONE_NEWPID},
        std::uint64_t{CLONE_NEWNET}, std::uint64_t{CLONE_PTRACE}, std::uint64_t{CLONE_PARENT}}) {
    for (const std::uint64_t with :
         {std::uint64_t{0}, std::uint64_t{SIGCHLD}, std::uint64_t{0x3d0f00},
          std::uint64_t{CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD},
          std::uint64_t{CLONE_VM | CLONE_VFORK | SIGCHLD}, kDirty}) {
      EXPECT_NE(verdict(GetParam(), "clone", {flag | with}), "allow") << std::hex << flag << with;
    }
  }
  EXPECT_NE(verdict(GetParam(), "clone3"), "allow") << "its flags cannot be read by a filter";
}

TEST_P(EveryProfile, KeepsDataAndCodeApart) {
  const std::string& p = GetParam();
  const std::uint64_t x = PROT_EXEC;
  EXPECT_EQ(verdict(p, "mmap", {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS}),
            "allow");
  EXPECT_EQ(verdict(p, "mmap", {0, 4096, PROT_READ | x, MAP_PRIVATE}), "allow");
  for (const std::uint64_t prot : {x | PROT_WRITE, x | PROT_WRITE | PROT_READ})
    for (const std::uint64_t flags : {MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS})
      EXPECT_NE(verdict(p, "mmap", {0, 4096, prot | kDirty, flags}), "allow");
  EXPECT_NE(verdict(p, "mmap", {0, 4096, x, MAP_PRIVATE | MAP_ANONYMOUS}), "allow");
  EXPECT_EQ(verdict(p, "mprotect", {0, 4096, PROT_READ}), "allow");
  EXPECT_NE(verdict(p, "mprotect", {0, 4096, PROT_READ | x}), "allow");
}

TEST_P(EveryServicesProfile, OpensOnlyItsSocketFamilies) {
  const std::string& p = GetParam();
  const bool netlink = p == "dnsmasq" || p == "tor" || p == "openvpn" || p == "wireguard-go";
  for (std::uint64_t family = 0; family < 50; ++family)
    for (const std::uint64_t type :
         {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_PACKET})
      for (const std::uint64_t protocol : {0, 1, 6, 15, 16, 17, 255, 262}) {
        const std::string v =
            verdict(p, "socket", {family | kDirty, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol});
        if (v != "allow") continue;
        const bool justified =
            family == AF_UNIX || family == AF_INET ||
            (family == AF_NETLINK && netlink && type == SOCK_RAW && protocol == 0) ||
            (family == AF_PACKET && p == "udhcpc");
        EXPECT_TRUE(justified) << family << " " << type << " " << protocol;
        const bool forger = family == AF_INET && type != SOCK_STREAM && type != SOCK_DGRAM;
        EXPECT_TRUE(!forger || p == "udhcpc") << type << " " << protocol;
        EXPECT_TRUE(family != AF_INET || (protocol != 1 && protocol != 262)) << "ICMP, MPTCP";
      }
}

TEST_P(EveryServicesProfile, RefusesTerminalTakeover) {
  for (const std::uint64_t request : {TIOCSTI, 0x541c, TIOCSETD, TIOCSCTTY}) {
    EXPECT_EQ(verdict(GetParam(), "ioctl", {0, request}), "kill_process");
    EXPECT_EQ(verdict(GetParam(), "ioctl", {0, request | kDirty}), "kill_process");
  }
}

TEST_P(EveryProfile, KillsWhatIsNoX8664Call) {
  const auto program = embeddedProfile(GetParam());
  ASSERT_TRUE(program);
  for (int number = 0; number <= kLastNumber; ++number) {
    for (const std::uint32_t arch : test::kForeignArchs)
      ASSERT_EQ(evaluate(*program, callData(number, {}, arch)), SECCOMP_RET_KILL_PROCESS);
    ASSERT_EQ(evaluate(*program, callData(number | 0x40000000)), SECCOMP_RET_KILL_PROCESS);
  }
}

TEST_P(EveryProfile, LetsAProgramStartAndEnd) {
  for (const char* call :
       {"execve", "brk", "munmap", "openat", "newfstatat", "read", "pread64", "close", "access",
        "set_tid_address", "set_robust_list", "rseq", "getrandom", "rt_sigaction", "rt_sigreturn",
        "restart_syscall", "exit_group", "write", "futex"})
    EXPECT_EQ(verdict(GetParam(), call, {0, 0, 0}), "allow") << call;
  EXPECT_EQ(verdict(GetParam(), "prlimit64", {0, 3}), "allow");
  // The supervisor's lets through what a user's own profile may: the kernel says whose limits.
  EXPECT_EQ(verdict(GetParam(), "prlimit64", {1234, 3}) == "allow",
            flat_.laws == LawSet::supervisor)
      << "of another process";
  EXPECT_EQ(verdict(GetParam(), "arch_prctl", {0x1002}), "allow");
}

TEST_P(EveryProfile, SaysWhyForEveryCall) {
  const auto table = embeddedTable(GetParam());
  ASSERT_TRUE(table);
  EXPECT_EQ(*table, toTable(flat_)) << "what is embedded is what stands in the tree";
  EXPECT_THAT(std::string(*table), HasSubstr("profile " + GetParam() + " on x86_64"));
  if (flat_.laws == LawSet::service) {
    EXPECT_THAT(std::string(*table), HasSubstr("ptrace               kill_process   always  # "));
  }
  for (const FlatCall& call : flat_.calls)
    for (const FlatClause& clause : call.clauses) EXPECT_GT(clause.why.size(), 2U) << call.name;
}

TEST_P(EveryProfile, IsSmall) {
  const auto program = embeddedProfile(GetParam());
  ASSERT_TRUE(program);
  EXPECT_LE(program->size(), 320U) << "raise deliberately: each instruction is paid on every call";
  ASSERT_TRUE(checkProgram(*program));
}

std::string testName(const ::testing::TestParamInfo<std::string>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, EveryProfile, ::testing::ValuesIn(allProfiles()), testName);
INSTANTIATE_TEST_SUITE_P(All, EveryServicesProfile, ::testing::ValuesIn(servicesProfiles()),
                         testName);
struct Case {
  const char* profile;
  const char* call;
  Args args;
  const char* want;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.profile << " " << c.call;
}
class Verdict : public ::testing::TestWithParam<Case> {};

TEST_P(Verdict, IsAsStated) {
  const Case& c = GetParam();
  EXPECT_EQ(verdict(c.profile, c.call, c.args), c.want);
}

constexpr std::uint64_t kFork = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                                  CLONE_CHILD_CLEARTID;  // glibc 2.36
constexpr std::uint64_t kGoThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                    CLONE_SYSVSEM | CLONE_THREAD;  // the Go runtime without cgo

INSTANTIATE_TEST_SUITE_P(
    Calls, Verdict,
    ::testing::Values(
        Case{"dnsmasq", "clone", {kFork}, "allow"},
        Case{"dnsmasq", "clone", {kFork | kDirty}, "allow"},
        Case{"dnsmasq", "clone", {kThread}, "errno:EPERM"},
        Case{"dnsmasq", "clone3", {}, "errno:ENOSYS"},
        Case{"dnsmasq", "socket", {AF_INET6, SOCK_DGRAM}, "errno:EAFNOSUPPORT"},
        Case{"dnsmasq", "socket", {AF_NETLINK, SOCK_RAW, 0}, "allow"},
        Case{"dnsmasq", "socket", {AF_NETLINK, SOCK_RAW, 12}, "errno:EPERM"},
        Case{"dnsmasq", "socket", {AF_INET, SOCK_RAW, 1}, "errno:EPERM"},
        Case{"dnsmasq", "ioctl", {3, SIOCGIFNAME}, "allow"},
        Case{"dnsmasq", "ioctl", {3, SIOCSARP}, "errno:EPERM"},
        Case{"dnsmasq", "prctl", {PR_SET_KEEPCAPS, 1}, "allow"},
        Case{"dnsmasq", "prctl", {PR_SET_DUMPABLE, 1}, "errno:EPERM"},
        Case{"dnsmasq", "prctl", {PR_SET_DUMPABLE, 0}, "allow"},
        Case{"tor", "clone", {kThread}, "allow"}, Case{"tor", "clone", {kFork}, "errno:EPERM"},
        Case{"tor", "clone", {kThread | CLONE_NEWUSER}, "errno:EPERM"},
        Case{"tor", "clone", {CLONE_VM}, "errno:EPERM"},
        Case{"tor", "ioctl", {3, SIOCOUTQNSD}, "allow"},
        Case{"tor", "ioctl", {3, TUNSETIFF}, "errno:EPERM"},
        Case{"tor", "setsockopt", {3, SOL_SOCKET, SO_SNDBUF}, "allow"},
        Case{"tor", "setsockopt", {3, SOL_SOCKET, SO_ATTACH_FILTER}, "kill_process"},
        Case{"tor", "setsockopt", {3, SOL_SOCKET | kDirty, SO_ATTACH_BPF | kDirty}, "kill_process"},
        Case{"tor", "setsockopt", {3, IPPROTO_TCP, TCP_ULP}, "errno:EPERM"},
        Case{"tor", "wait4", {}, "errno:EPERM"}, Case{"tor", "fcntl", {3, F_SETFL}, "allow"},
        Case{"tor", "fcntl", {3, F_SETOWN}, "errno:EPERM"},
        Case{"openvpn", "ioctl", {3, TUNSETIFF}, "allow"},
        Case{"openvpn", "ioctl", {3, TUNSETPERSIST}, "errno:EPERM"},
        Case{"openvpn", "clone", {kFork}, "errno:EPERM"},
        Case{"openvpn", "ioctl", {3, SIOCSIFMTU}, "errno:EPERM"},
        Case{"wireguard-go", "clone", {kThread}, "allow"},
        Case{"wireguard-go", "clone", {kGoThread}, "allow"},
        Case{"wireguard-go", "ioctl", {3, SIOCSIFMTU}, "notify"},
        Case{"wireguard-go", "ioctl", {3, TUNGETIFF}, "allow"},
        Case{"wireguard-go", "ioctl", {3, TUNSETIFF}, "errno:EPERM"},
        Case{"udhcpc", "socket", {AF_PACKET, SOCK_DGRAM, 8}, "allow"},
        Case{"udhcpc", "socket", {AF_INET, SOCK_STREAM}, "errno:EPERM"},
        Case{"udhcpc", "socket", {AF_INET, SOCK_RAW, 1}, "errno:EPERM"},
        Case{"udhcpc", "socket", {AF_NETLINK, SOCK_RAW}, "errno:EPERM"},
        Case{"udhcpc", "vfork", {}, "allow"}, Case{"udhcpc", "listen", {}, "errno:EPERM"},
        Case{"tproxy", "socket", {AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK}, "allow"},
        Case{"tproxy", "socket", {AF_UNIX, SOCK_DGRAM}, "kill_process"},
        Case{"tproxy", "socket", {AF_INET, SOCK_DGRAM}, "kill_process"},
        Case{"tproxy", "socket", {AF_INET6, SOCK_STREAM}, "kill_process"},
        Case{"tor", "chmod", {0, 0700}, "allow"}, Case{"tor", "chmod", {0, 04700}, "errno:EPERM"},
        Case{"tor", "openat", {0, 0, O_CREAT | O_WRONLY, 0600}, "allow"},
        Case{"tor", "openat", {0, 0, O_RDONLY, 06000}, "allow"},
        Case{"tor", "openat", {0, 0, O_CREAT | O_WRONLY, 02600}, "errno:EPERM"},
        Case{"tor", "openat", {0, 0, O_TMPFILE | O_WRONLY, 04600}, "errno:EPERM"},
        Case{"dnsmasq", "fchmod", {3, S_ISGID | 0600}, "errno:EPERM"},
        Case{"udhcpc", "setsockopt", {3, SOL_SOCKET, SO_ATTACH_FILTER}, "allow"},
        Case{"udhcpc", "setsockopt", {3, SOL_SOCKET, SO_ATTACH_BPF}, "errno:EPERM"},
        Case{"udhcpc", "setsockopt", {3, SOL_SOCKET, SO_MARK}, "errno:EPERM"},
        Case{"supervisor", "setns", {3, CLONE_NEWNET}, "allow"},
        Case{"supervisor", "setns", {3, CLONE_NEWUSER}, "absent"},
        Case{"supervisor", "bpf", {}, "absent"}, Case{"supervisor", "ptrace", {}, "absent"},
        Case{"supervisor", "keyctl", {0}, "absent"},
        Case{"supervisor", "mount", {0, 0, 0, 4096}, "absent"},
        Case{"supervisor", "setsockopt", {3, SOL_SOCKET, SO_ATTACH_BPF}, "absent"},
        Case{"supervisor", "ioctl", {3, TIOCSTI}, "absent"}, Case{"tproxy", "splice", {}, "allow"},
        Case{"tproxy", "bind", {}, "kill_process"}, Case{"tproxy", "listen", {}, "kill_process"},
        Case{"tproxy", "clone", {kThread}, "kill_process"},
        Case{"tproxy", "setsockopt", {3, IPPROTO_TCP, TCP_NODELAY}, "allow"},
        Case{"tproxy", "setsockopt", {3, SOL_SOCKET, SO_MARK}, "kill_process"},
        Case{"tproxy", "fcntl", {3, F_SETPIPE_SZ}, "allow"},
        Case{"tproxy", "clone3", {}, "errno:ENOSYS"}));

TEST(Embedded, KnowsExactlyTheProfilesWithADefault) {
  std::vector<std::string> names;
  for (const auto& [name, profile] : test::shippedSet())
    if (profile.defaultAction) names.push_back(name);
  EXPECT_EQ(names, allProfiles());
  EXPECT_THAT(names, ::testing::IsSupersetOf(
                         {"dnsmasq", "openvpn", "tor", "tproxy", "udhcpc", "wireguard-go"}));
  const auto missing = embeddedProfile("base");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("no seccomp profile 'base'; there are: "));
  EXPECT_FALSE(embeddedTable(""));
  EXPECT_FALSE(embeddedReportingProfile(""));
}

// The two forms of each program, over every number and many arguments: what one refuses the other
// hands over, and nothing else differs.
TEST_P(EveryProfile, ReportsExactlyWhatItRefuses) {
  const auto plain = CheckedProgram::of(*embeddedProfile(GetParam()));
  const auto reporting = CheckedProgram::of(*embeddedReportingProfile(GetParam()));
  ASSERT_TRUE(plain && reporting);
  using Kind = SeccompAction::Kind;
  std::mt19937_64 random(7);
  const auto check = [&](int number, const Args& args, std::uint32_t arch) {
    const seccomp_data data = callData(number, args, arch);
    const SeccompAction a = seccompActionOf(plain->run(data));
    const SeccompAction b = seccompActionOf(reporting->run(data));
    const bool native = arch == AUDIT_ARCH_X86_64 && (number & 0x40000000) == 0 && number >= 0;
    const FlatClause* clause = native ? matchingClause(flat_, number, args) : nullptr;
    const bool handedOver =
        native && (clause == nullptr || clause->action.kind == Kind::killProcess ||
                   clause->action.kind == Kind::notify);
    if (handedOver)
      ASSERT_EQ(b.kind, Kind::notify) << number;
    else
      ASSERT_EQ(a, b) << number;
  };
  for (int number = 0; number <= kLastNumber; ++number) {
    for (const std::uint32_t arch : test::kForeignArchs) check(number, {}, arch);
    check(number | 0x40000000, {}, AUDIT_ARCH_X86_64);
    check(number, {}, AUDIT_ARCH_X86_64);
    const auto call = std::find_if(flat_.calls.begin(), flat_.calls.end(),
                                   [&](const FlatCall& c) { return c.number == number; });
    if (call == flat_.calls.end()) continue;
    for (int i = 0; i < 200; ++i) {
      Args args{};
      for (const FlatClause& clause : call->clauses)
        for (const SeccompCondition& c : clause.when)
          if (random() % 2 == 0)
            args.at(c.arg) = c.values[random() % c.values.size()] | (random() & ~c.mask);
      check(number, args, AUDIT_ARCH_X86_64);
    }
  }
}

}  // namespace
}  // namespace orrery
