// The laws see what they are to see: each pattern is found in a program that lets it through, by
// whatever condition it hides behind.
#include "sandbox/seccomp/laws.h"

#include <gmock/gmock.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/compile.h"
#include "support.h"

namespace orrery {
namespace {

using test::setOf;
using ::testing::HasSubstr;

const std::string kHead = "schema = 1\ndefault = \"kill_process\"\n";

std::vector<LawBreach> breachesOf(const FlatProfile& profile) {
  const auto program = compile(profile);
  EXPECT_TRUE(program) << program.error().message;
  return lawBreaches(profile, *program);
}

// Positive control: nothing is confined, so everything is found.
TEST(Laws, FindEverythingWhereAllIsAllowed) {
  FlatProfile open;
  open.name = "open";
  open.arch = SeccompArch::x86_64;
  open.defaultAction = {SeccompAction::Kind::allow, 0};
  std::set<std::string> laws;
  std::set<std::string> calls;
  for (const LawBreach& b : breachesOf(open)) {
    laws.emplace(b.law);
    calls.insert(b.call);
  }
  for (const SeccompLaw& law : seccompLaws())
    EXPECT_TRUE(laws.contains(std::string(law.name))) << law.name;
  for (const char* call : {"unshare",
                           "setns",
                           "clone",
                           "clone3",
                           "mount",
                           "umount2",
                           "pivot_root",
                           "open_tree",
                           "move_mount",
                           "fsopen",
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
                           "socket",
                           "socketpair",
                           "setsockopt",
                           "ioctl",
                           "prctl",
                           "mmap",
                           "mprotect",
                           "pkey_mprotect",
                           "shmat",
                           "memfd_create",
                           "execveat",
                           "personality",
                           "open_by_handle_at"})
    EXPECT_TRUE(calls.contains(call)) << call;
}

TEST(Laws, FindNothingWhereAllIsRefused) {
  FlatProfile shut;
  shut.name = "shut";
  shut.arch = SeccompArch::x86_64;
  shut.defaultAction = {SeccompAction::Kind::notify, 0};
  EXPECT_TRUE(breachesOf(shut).empty());
}

struct Case {
  const char* what;
  std::string rule;  // calls and when
  const char* law;   // "": none is broken
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.what;
}

class OneRule : public ::testing::TestWithParam<Case> {};

TEST_P(OneRule, IsJudged) {
  const auto set = setOf({{"leaf", kHead + "[[rule]]\nwhy = \"x\"\n" + GetParam().rule}});
  const auto built = buildProfile(set, "leaf", {.arch = SeccompArch::x86_64});
  if (std::string(GetParam().law).empty()) {
    EXPECT_TRUE(built) << built.error().message;
    return;
  }
  ASSERT_FALSE(built);
  EXPECT_THAT(built.error().message,
              HasSubstr(std::string("'leaf' breaks the law '") + GetParam().law + "'"));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, OneRule,
    ::testing::Values(
        Case{"anyClone", "calls = [\"clone\"]", "namespaces"},
        Case{"cloneButUserAndNet",
             "calls = [\"clone\"]\nwhen = [{ arg = 0, none_of = [\"CLONE_NEWUSER\", "
             "\"CLONE_NEWNET\"] }]",
             "namespaces"},
        Case{"cloneOnly",
             "calls = [\"clone\"]\nwhen = [{ arg = 0, only = [\"CLONE_VM\", \"CLONE_NEWUTS\"] }]",
             "namespaces"},
        Case{"cloneThread",
             "calls = [\"clone\"]\nwhen = [{ arg = 0, only = [\"CLONE_VM\", \"CLONE_THREAD\"] }]",
             ""},
        Case{"cloneExact", "calls = [\"clone\"]\nwhen = [{ arg = 0, eq = \"SIGCHLD\" }]", ""},
        Case{"cloneWide", "calls = [\"clone\"]\nwhen = [{ arg = 1, eq = 7 }]", "namespaces"},
        Case{"clone3", "calls = [\"clone3\"]\nwhen = [{ arg = 1, eq = 88 }]", "namespaces"},
        Case{"setnsOfOneFd", "calls = [\"setns\"]\nwhen = [{ arg = 0, eq = 3 }]", "namespaces"},
        Case{"writeExec", "calls = [\"mmap\"]\nwhen = [{ arg = 3, eq = \"MAP_PRIVATE\" }]",
             "code-from-data"},
        Case{"execAnonymous",
             "calls = [\"mmap\"]\nwhen = [{ arg = 2, none_of = [\"PROT_WRITE\"] }]",
             "code-from-data"},
        Case{"execFile",
             "calls = [\"mmap\"]\nwhen = [{ arg = 2, none_of = [\"PROT_WRITE\"] }, { arg = 3, "
             "none_of = [\"MAP_ANONYMOUS\"] }]",
             ""},
        Case{"mprotectExec",
             "calls = [\"mprotect\"]\nwhen = [{ arg = 2, in = [\"PROT_READ\", 5] }]",
             "code-from-data"},
        Case{"rawByType", "calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_INET\" }]",
             "packet-sockets"},
        Case{"rawByFlags",
             "calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_INET\" }, { arg = 1, only = "
             "[0x80003] }]",
             "packet-sockets"},
        Case{"tcp",
             "calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_INET\" }, { arg = 1, masked = "
             "0xf, eq = 1 }]",
             ""},
        Case{"vsock", "calls = [\"socket\"]\nwhen = [{ arg = 0, eq = 40 }]", "families"},
        Case{"familyByMask",
             "calls = [\"socket\"]\nwhen = [{ arg = 0, masked = 1, eq = 1 }, { arg = 1, eq = 1 }]",
             "families"},
        Case{"routeNetlink",
             "calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_NETLINK\" }, { arg = 2, eq = 0 }]",
             "netlink"},
        Case{
            "otherNetlink",
            "calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_NETLINK\" }, { arg = 2, eq = 12 }]",
            "netlink-other"},
        Case{"anyIoctl", "calls = [\"ioctl\"]\nwhen = [{ arg = 0, eq = 3 }]", "terminals"},
        Case{"ioctlOf64Bits",
             "calls = [\"ioctl\"]\nwhen = [{ arg = 1, width = 64, in = [0x100005412] }]",
             "terminals"},
        Case{"tun", "calls = [\"ioctl\"]\nwhen = [{ arg = 1, eq = \"TUNSETIFF\" }]", "tunnels"},
        Case{"deathSignal", "calls = [\"prctl\"]\nwhen = [{ arg = 0, eq = \"PR_SET_PDEATHSIG\" }]",
             "outliving"},
        Case{"anySetsockopt", "calls = [\"setsockopt\"]", "socket-filters"},
        Case{"otherLevel", "calls = [\"setsockopt\"]\nwhen = [{ arg = 1, eq = \"IPPROTO_TCP\" }]",
             ""},
        Case{"keyctl", "calls = [\"keyctl\"]\nwhen = [{ arg = 0, eq = 0 }]", "keyrings"},
        Case{"ioUring", "calls = [\"io_uring_setup\"]", "kernel-code"},
        Case{"ptrace", "calls = [\"ptrace\"]\nwhen = [{ arg = 0, eq = 0 }]", "tracing"},
        Case{"anyMode", "calls = [\"fchmod\"]", "set-id-files"},
        Case{"setGroupId", "calls = [\"chmod\"]\nwhen = [{ arg = 1, none_of = [\"S_ISUID\"] }]",
             "set-id-files"},
        Case{"createSetId", "calls = [\"openat\"]\nwhen = [{ arg = 3, none_of = [\"S_ISGID\"] }]",
             "set-id-files"},
        Case{"openWithoutCreating",
             "calls = [\"openat\"]\nwhen = [{ arg = 2, none_of = [\"O_CREAT\", \"O_TMPFILE_BIT\"] "
             "}]",
             ""},
        Case{"openTemporary", "calls = [\"openat\"]\nwhen = [{ arg = 2, none_of = [\"O_CREAT\"] }]",
             "set-id-files"},
        Case{"notified", "calls = [\"mount\"]\naction = \"notify\"", ""},
        Case{"refused", "calls = [\"mount\"]\naction = \"errno:EPERM\"", ""}),
    [](const auto& test) { return test.param.what; });

const std::string kNetlink =
    "[[rule]]\nwhy = \"x\"\ncalls = [\"socket\"]\n"
    "when = [{ arg = 0, eq = \"AF_NETLINK\" }, { arg = 2, eq = 0 }]\n";

TEST(Exceptions, OpenOneLawWithAReason) {
  const std::string exception = "[[exception]]\nlaw = \"netlink\"\nwhy = \"y\"\n";
  EXPECT_TRUE(buildProfile(setOf({{"leaf", kHead + exception + kNetlink}}), "leaf"));
  const auto twice =
      buildProfile(setOf({{"leaf", kHead + exception + exception + kNetlink}}), "leaf");
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("leaf.toml:6: a second exception from 'netlink'"));
}

TEST(Exceptions, MustBeNeededAndKnown) {
  const auto idle = buildProfile(
      setOf({{"leaf", kHead + "[[exception]]\nlaw = \"mounts\"\nwhy = \"y\"\n"}}), "leaf");
  ASSERT_FALSE(idle);
  EXPECT_THAT(idle.error().message,
              HasSubstr("leaf.toml:3: the exception from 'mounts' is not needed"));
  const auto unknown = buildProfile(
      setOf({{"leaf", kHead + "[[exception]]\nlaw = \"mount\"\nwhy = \"y\"\n"}}), "leaf");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message,
              HasSubstr("leaf.toml:3: there is no law 'mount'; there are: "));
}

// The list that a reviewer has to agree to: who is excepted from what.
TEST(Exceptions, OfTheShippedProfilesAreTheseAndNoOthers) {
  std::set<std::string> found;
  for (const auto& [name, profile] : test::shippedSet())
    for (const SeccompException& e : profile.exceptions) found.insert(name + ": " + e.law);
  EXPECT_EQ(found, (std::set<std::string>{"dnsmasq: netlink", "openvpn: netlink",
                                          "openvpn: tunnels", "tor: netlink",
                                          "udhcpc: packet-sockets", "udhcpc: socket-filters",
                                          "supervisor: packet-sockets", "wireguard-go: netlink"}));
}

// The supervisor's laws: what making sandboxes takes passes, and nothing next to it.
TEST(SupervisorLaws, AreThoseOfServicesButForWhatMakingSandboxesTakes) {
  const auto judged = [](const std::string& rule) {
    const std::string head = kHead + "laws = \"supervisor\"\n[[rule]]\nwhy = \"x\"\n";
    const auto built =
        buildProfile(setOf({{"leaf", head + rule}}), "leaf", {.arch = SeccompArch::x86_64});
    return built ? std::string() : built.error().message;
  };
  for (const char* rule :
       {"calls = [\"clone3\", \"move_mount\", \"pidfd_getfd\", \"pivot_root\", \"sethostname\"]",
        "calls = [\"setns\"]\nwhen = [{ arg = 1, eq = \"CLONE_NEWNET\" }]",
        "calls = [\"unshare\"]\nwhen = [{ arg = 0, in = [\"CLONE_NEWUSER\", \"CLONE_NEWTIME\"] }]",
        "calls = [\"keyctl\"]\nwhen = [{ arg = 0, eq = 1 }]",
        "calls = [\"mount\"]\nwhen = [{ arg = 3, eq = \"MS_REC|MS_PRIVATE\" }]",
        "calls = [\"ioctl\"]\nwhen = [{ arg = 1, eq = \"TUNSETIFF\" }]"})
    EXPECT_EQ(judged(rule), "") << rule;
  const std::pair<const char*, const char*> breaches[] = {
      {"calls = [\"setns\"]", "namespaces"},
      {"calls = [\"setns\"]\nwhen = [{ arg = 1, eq = 0 }]", "namespaces"},
      {"calls = [\"unshare\"]\nwhen = [{ arg = 0, in = [\"CLONE_NEWNS\"] }]", "namespaces"},
      {"calls = [\"clone\"]", "namespaces"},
      {"calls = [\"mount\"]", "mounts"},
      {"calls = [\"mount\"]\nwhen = [{ arg = 3, only = [0x1000] }]", "mounts"},
      {"calls = [\"chroot\"]", "mounts"},
      {"calls = [\"ptrace\"]", "tracing"},
      {"calls = [\"process_vm_readv\"]", "tracing"},
      {"calls = [\"bpf\"]", "kernel-code"},
      {"calls = [\"io_uring_setup\"]", "kernel-code"},
      {"calls = [\"keyctl\"]", "keyrings"},
      {"calls = [\"finit_module\"]", "machine"},
      {"calls = [\"setdomainname\"]", "machine"},
      {"calls = [\"open_by_handle_at\"]", "handles"},
      {"calls = [\"mprotect\"]", "code-from-data"},
      {"calls = [\"setsockopt\"]", "socket-filters"},
      {"calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_NETLINK\" }]", "netlink-other"},
      {"calls = [\"socket\"]\nwhen = [{ arg = 0, eq = \"AF_PACKET\" }]", "packet-sockets"},
      {"calls = [\"ioctl\"]", "terminals"},
      {"calls = [\"fchmodat\"]", "set-id-files"}};
  for (const auto& [rule, law] : breaches)
    EXPECT_THAT(judged(rule), HasSubstr(std::string("breaks the law '") + law + "'")) << rule;
}

TEST(Laws, RefuseWhatCannotBeTriedOut) {
  std::string values;
  for (int i = 1; i <= 300; ++i) values += std::to_string(i * 7) + ", ";
  const std::string in = "in = [" + values + "1] }";
  const auto built = buildProfile(
      setOf({{"leaf", kHead + "[[rule]]\nwhy = \"x\"\ncalls = [\"kill\"]\nwhen = [{ arg = 0, " +
                          in + ", { arg = 1, " + in + ", { arg = 2, " + in + "]\n"}}),
      "leaf");
  ASSERT_FALSE(built);
  EXPECT_THAT(built.error().message, HasSubstr("too many combinations"));
}

// A process under two filters is refused what either refuses, and the outer one tells nobody.
TEST(Within, NamesTheCallThatTheOuterProfileRefuses) {
  const auto ofRule = [](const std::string& rule) {
    return test::x86Profile(setOf({{"leaf", kHead + "[[rule]]\nwhy = \"x\"\n" + rule}}), "leaf");
  };
  const auto within = [](const FlatProfile& inner, const FlatProfile& outer) {
    return checkWithin({inner, *compile(inner)}, {outer, *compile(outer)});
  };
  const FlatProfile kill = ofRule("calls = [\"kill\"]");
  const FlatProfile term = ofRule("calls = [\"kill\"]\nwhen = [{ arg = 1, eq = 15 }]");
  const FlatProfile two = ofRule("calls = [\"kill\", \"pause\"]");
  EXPECT_TRUE(within(kill, kill));
  EXPECT_TRUE(within(term, kill));
  EXPECT_TRUE(within(kill, two));
  const auto argument = within(kill, term);
  ASSERT_FALSE(argument);
  EXPECT_THAT(argument.error().message, HasSubstr("lets kill(0, 0"));
  const auto call = within(two, kill);
  ASSERT_FALSE(call);
  EXPECT_THAT(call.error().message, HasSubstr("lets pause("));
}

// For each shipped profile, on both architectures; the build of the product does the same.
TEST(Laws, AreKeptByEveryShippedProfile) {
  const ProfileSet set = test::shippedSet();
  for (const auto& [name, profile] : set) {
    if (!profile.defaultAction) continue;
    for (const SeccompArch arch : {SeccompArch::x86_64, SeccompArch::aarch64}) {
      const auto built = buildProfile(set, name, {.arch = arch});
      EXPECT_TRUE(built) << built.error().message;
    }
  }
}

}  // namespace
}  // namespace orrery
