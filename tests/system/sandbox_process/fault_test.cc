// Every system call of the set-up fails in turn, by a seccomp filter that answers EIO to it: the
// start fails and names the step, and nothing is left: no process, no descriptor, no mount.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstddef>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/namespaces/procfs.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

constexpr int kAny = -1;  // whatever the arguments are

struct Fault {
  int call;
  int argument;  // its number, or kAny
  std::uint32_t value;
  const char* step;
};

const Fault kFaults[] = {
    // The parent's.
    {SYS_fsopen, kAny, 0, "open a tmpfs context"},
    {SYS_fsconfig, kAny, 0, "tmpfs option size="},
    {SYS_fsmount, kAny, 0, "make a tmpfs mount"},
    {SYS_open_tree, kAny, 0, "at '/probe'"},
    {SYS_mount_setattr, kAny, 0, "set mount attributes"},
    {SYS_mkdirat, kAny, 0, "make directory '/"},
    {SYS_fchmodat, kAny, 0, "set mode of '/"},
    {SYS_fchmod, kAny, 0, "set mode of '/"},
    {SYS_mknodat, kAny, 0, "make device '/dev/null'"},
    {SYS_symlinkat, kAny, 0, "link '/bin' to 'usr/bin'"},
    {SYS_landlock_create_ruleset, 2, 0, "landlock_create_ruleset"},
    {SYS_landlock_add_rule, kAny, 0, "landlock_add_rule"},
    {SYS_socketpair, kAny, 0, "make a socket pair"},
    {SYS_clone3, kAny, 0, "make a process in new namespaces"},
    // The child's.
    {SYS_close_range, kAny, 0, "close descriptors"},
    {SYS_setns, kAny, 0, "enter the network namespace"},
    {SYS_mount, 3, 0x44000 /* MS_REC | MS_PRIVATE */, "make mounts private"},
    {SYS_mount, 3, 0xf /* read-only, nosuid, nodev, noexec */, "mount 'proc' at '/proc'"},
    {SYS_move_mount, kAny, 0, "attach the new root"},
    {SYS_fchdir, kAny, 0, "attach the new root"},
    {SYS_pivot_root, kAny, 0, "pivot to the new root"},
    {SYS_umount2, kAny, 0, "detach the old root"},
    {SYS_chdir, kAny, 0, "change to working directory '/'"},
    {SYS_sethostname, kAny, 0, "set hostname 'router'"},
    {SYS_prlimit64, kAny, 0, "limit open files"},
    {SYS_setsid, kAny, 0, "make a session"},
    {SYS_unshare, 0, CLONE_NEWCGROUP, "make a cgroup namespace"},
    {SYS_unshare, 0, 0x80 /* CLONE_NEWTIME */, "make a time namespace"},
    {SYS_setns, 1, 0x80 /* CLONE_NEWTIME */, "make a time namespace"},
    {SYS_unshare, 0, CLONE_NEWUSER, "make a user namespace"},
    {SYS_setgroups, kAny, 0, "drop supplementary groups"},
    {SYS_prctl, 0, PR_CAPBSET_DROP, "limit the capability bounding set"},
    {SYS_prctl, 0, PR_SET_SECUREBITS, "make a user namespace"},
    {SYS_prctl, 0, PR_CAP_AMBIENT, "set capabilities to none"},
    {SYS_prctl, 0, PR_SET_DUMPABLE, "forbid dumps"},
    {SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, "forbid new privileges"},
    {SYS_prctl, 0, PR_SET_PDEATHSIG, "ask for a signal at the parent's death"},
    {SYS_prctl, 0, PR_SCHED_CORE, "ask for a core of its own"},
    {SYS_setresgid, kAny, 0, "become group 0"},
    {SYS_setresuid, kAny, 0, "make a user namespace"},
    {SYS_capset, kAny, 0, "set capabilities to none"},
    {SYS_keyctl, kAny, 0, "join a new session keyring"},
    {SYS_landlock_restrict_self, kAny, 0, "restrict file access by Landlock"},
    {SYS_dup3, kAny, 0, "place a descriptor"},
    {SYS_rt_sigaction, 0, SIGHUP, "reset signals"},
    {SYS_seccomp, 1, 0, "install seccomp filter 'none'"},
    {SYS_execve, kAny, 0, "execute '/probe'"},
};

void install(const Fault& fault) {
  const auto offset = static_cast<std::uint32_t>(
      fault.argument == kAny
          ? offsetof(seccomp_data, nr)
          : offsetof(seccomp_data, args) +
                static_cast<std::size_t>(fault.argument) * sizeof(std::uint64_t));
  const auto number = static_cast<std::uint32_t>(fault.call);
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fault.argument == kAny ? number : fault.value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) ::_exit(2);
}

int openDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0;
  return count;
}

// In a process of its own, since the filter stays.
std::string startUnder(const Fault& fault) {
  Pipe pipe = makePipe();
  const NetnsFd netns = newNetns();
  const pid_t process = ::fork();
  if (process == 0) {
    SandboxSpec spec = probeSpec({"ids"});
    spec.seccomp = "none";
    spec.root.symlinks = {{"usr/bin", "/bin"}};
    const sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    SpawnRequest request{.spec = spec};
    request.netns = &netns;
    request.landlock = true;
    request.filter = allow;
    const int before = openDescriptors();
    install(fault);
    auto child = spawnSandboxed(request);
    std::string text = child ? "started" : child.error().message;
    if (!child && !child.error().also.empty()) text += "; also " + child.error().also[0].message;
    if (!child && openDescriptors() != before) text += "; a descriptor is left";
    if (!child && (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD))
      text += "; a process is left";
    (void)!::write(pipe.writer.get(), text.data(), text.size());
    ::_exit(0);
  }
  pipe.writer.reset();
  const std::string text = readAll(pipe.reader.get()).value_or("");
  (void)::waitpid(process, nullptr, 0);
  return text;
}

TEST(Fault, EveryCallOfTheSetUpFailsCleanly) {
  const std::string mounts = *readFile("/proc/self/mountinfo", 16 << 20);
  for (const Fault& fault : kFaults) {
    const std::string text = startUnder(fault);
    EXPECT_TRUE(text.starts_with("start 'probe': ")) << fault.step << ": " << text;
    EXPECT_NE(text.find(fault.step), std::string::npos) << fault.step << ": " << text;
    EXPECT_TRUE(text.ends_with(": Input/output error")) << fault.step << ": " << text;
  }
  EXPECT_EQ(*readFile("/proc/self/mountinfo", 16 << 20), mounts);
}

// Not even by root of the host can anything be put in its way: it is ours alone.
TEST(Procfs, IsAnInstanceOfItsOwn) {
  const auto own = openProcfs();
  const auto common = openProcfs("/proc");
  ASSERT_TRUE(own && common);
  struct stat ours {
  }, theirs{};
  ASSERT_EQ(::fstat(own->get(), &ours), 0);
  ASSERT_EQ(::fstat(common->get(), &theirs), 0);
  EXPECT_NE(ours.st_dev, theirs.st_dev);
  char self[16] = {};
  ASSERT_GT(::readlinkat(own->get(), "self", self, sizeof self - 1), 0);
  EXPECT_EQ(self, std::to_string(::getpid()));
}

// A directory that looks like /proc, and a part of the real one, are not it.
TEST(Procfs, IsMadeSureToBeIt) {
  EXPECT_TRUE(openProcfs());
  for (const char* path : {"/sys", "/tmp", "/proc/self", "/proc/sys"})
    EXPECT_FALSE(openProcfs(path)) << path;
  EXPECT_EQ(openProcfs("/tmp").error().message, "'/tmp' is not procfs: mount it there");
}

}  // namespace
}  // namespace orrery::test
