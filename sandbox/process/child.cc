// The order of these steps is the sandbox: spawn.h draws it, each exception says why.
#include "sandbox/process/child.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/caps/capability_set.h"
#include "sandbox/landlock/landlock.h"

namespace orrery {
namespace {

constexpr int kFailed = 125;  // never seen: the parent reports the step instead
constexpr unsigned long kUmask = 077;
constexpr int kSignals = 64;  // _NSIG of x86-64 and arm64
// Services go before their supervisor, and before most of the host, when memory is short
// (proc_pid_oom_score_adj(5)).
constexpr char kOomScore[] = "500";

[[noreturn]] void quit() noexcept {
  for (;;) ::syscall(SYS_exit_group, kFailed);
}

class Child {
 public:
  explicit Child(const ChildPlan& plan) noexcept : plan_(plan) {}

  [[noreturn]] void run() noexcept {
    // First of all: with a copy of the parent's end of `sync` (this spawn's or that of another
    // thread) in some child, the parent's death would not be the end of file that awaitParent waits
    // for.
    closeAll(plan_.closedFirst);
    enterRoot();
    settle();
    leaveParentsPowers();
    becomeService();
    handOver();
    ::syscall(SYS_execve, plan_.path, plan_.argv, plan_.environment);
    fail(ChildStep::exec, errno);
  }

 private:
  void send(ChildStep step, int err, std::uint32_t index) noexcept {
    const ChildReport report{step, err, index};
    if (::syscall(SYS_write, plan_.sync, &report, sizeof report) !=
        static_cast<long>(sizeof report))
      quit();
  }
  [[noreturn]] void fail(ChildStep step, int err, std::size_t index = 0) noexcept {
    send(step, err, static_cast<std::uint32_t>(index));
    quit();
  }
  void check(long result, ChildStep step, std::size_t index = 0) noexcept {
    if (result < 0) fail(step, errno, index);
  }
  void checkErr(int err, ChildStep step) noexcept {
    if (err != 0) fail(step, err);
  }
  // End of file: the parent is dead or gave up.
  void awaitParent() noexcept {
    char byte = 0;
    if (::syscall(SYS_read, plan_.sync, &byte, 1UL) != 1) quit();
  }
  void prctl(int option, unsigned long value, ChildStep step) noexcept {
    check(::syscall(SYS_prctl, option, value, 0UL, 0UL, 0UL), step);
  }

  // In the caller's procfs. `path` is ours; nobody can put anything in its way.
  void writeProc(const char* path, const char* text, std::size_t size, ChildStep step,
                 int tolerated = 0) noexcept {
    open_how how{};
    how.flags = O_WRONLY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    const long fd = ::syscall(SYS_openat2, plan_.proc, path, &how, sizeof how);
    check(fd, step);
    if (::syscall(SYS_write, fd, text, size) < 0 && errno != tolerated) fail(step, errno);
    check(::syscall(SYS_close, fd), step);
  }

  void closeAll(const PlainSpan<ChildRange>& ranges) noexcept {
    for (std::size_t i = 0; i < ranges.size; ++i) {
      const ChildRange& range = ranges.data[i];
      check(::syscall(SYS_close_range, range.first, range.last, 0), ChildStep::closeRest);
    }
  }

  void enterRoot() noexcept {
    if (plan_.netns >= 0) check(::syscall(SYS_setns, plan_.netns, CLONE_NEWNET), ChildStep::netns);
    constexpr unsigned long kPrivate = MS_REC | MS_PRIVATE;
    check(::syscall(SYS_mount, nullptr, "/", nullptr, kPrivate, nullptr), ChildStep::privateMounts);
    check(::syscall(SYS_move_mount, plan_.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH),
          ChildStep::attachRoot);
    check(::syscall(SYS_fchdir, plan_.root), ChildStep::attachRoot);
    check(::syscall(SYS_pivot_root, ".", "."), ChildStep::pivotRoot);
    // Only now, so that a link in a bind can lead no mount out of the new root.
    for (std::size_t i = 0; i < plan_.mounts.size; ++i) attach(i);
    // The old root lies on top of the new one, at "." as well (pivot_root(2), NOTES).
    check(::syscall(SYS_umount2, ".", MNT_DETACH), ChildStep::detachOldRoot);
    check(::syscall(SYS_chdir, plan_.workingDirectory), ChildStep::workingDirectory);
  }

  void attach(std::size_t index) noexcept {
    const ChildMount& mount = plan_.mounts.data[index];
    if (mount.fd >= 0) {
      check(
          ::syscall(SYS_move_mount, mount.fd, "", AT_FDCWD, mount.target, MOVE_MOUNT_F_EMPTY_PATH),
          ChildStep::attachMount, index);
      return;
    }
    constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    check(
        ::syscall(SYS_mount, "proc", mount.target, "proc", kFlags, "subset=pid,hidepid=invisible"),
        ChildStep::mountProc);
  }

  void settle() noexcept {
    check(::syscall(SYS_sethostname, plan_.hostname, plan_.hostnameSize), ChildStep::hostname);
    ::syscall(SYS_umask, kUmask);
    for (std::size_t i = 0; i < plan_.limits.size; ++i) {
      const ChildLimit& limit = plan_.limits.data[i];
      const std::uint64_t both[2] = {limit.value, limit.value};  // struct rlimit64
      check(::syscall(SYS_prlimit64, 0, limit.resource, both, nullptr), ChildStep::rlimit, i);
    }
    // No controlling terminal, hence no TIOCSTI into the user's shell.
    check(::syscall(SYS_setsid), ChildStep::session);
    // EACCES: it is higher already, and may not be lowered.
    writeProc("self/oom_score_adj", kOomScore, sizeof kOomScore - 1, ChildStep::oomScore, EACCES);
  }

  void leaveParentsPowers() noexcept {
    // The namespace's root is the cgroup at that moment.
    for (std::size_t i = 0; i < plan_.cgroupTasks.size; ++i)
      check(::syscall(SYS_write, plan_.cgroupTasks.data[i], "0", 1UL), ChildStep::cgroup, i);
    if (plan_.waitForCgroup) awaitParent();
    check(::syscall(SYS_unshare, CLONE_NEWCGROUP), ChildStep::cgroupNamespace);
    // Before the user namespace, which denies setgroups.
    check(::syscall(SYS_setgroups, 0UL, nullptr), ChildStep::groups);
    if (!plan_.newUserNamespace) return;
    // The kernel charges what is counted by user (inotify instances: 128, user_namespaces(7)) to
    // the maker of the user namespace as well. As root, all services of the host would share one
    // count. The bit keeps our powers for the unshare, which resets both.
    prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, ChildStep::userNamespace);
    check(::syscall(SYS_setresuid, -1L, plan_.owner, -1L), ChildStep::userNamespace);
    const long offsets = openOffsets();
    check(::syscall(SYS_unshare, CLONE_NEWUSER), ChildStep::userNamespace);
    // This file is the new namespace's own (user_namespaces(7)): in it, and in none below it,
    // nobody makes another one, and with it capabilities, even where the filter should fail.
    writeProc("sys/user/max_user_namespaces", "0", 1, ChildStep::noUserNamespaces);
    if (offsets >= 0) enterTimeNamespace(offsets);
    send(ChildStep::wantsMaps, 0, 0);
    awaitParent();
  }

  // Of the time namespace to come, which belongs to the user namespace to come: whoever writes them
  // needs CAP_SYS_TIME there. The kernel asks that of those who opened the file, and the owner of a
  // user namespace, as seen from its parent, has all powers over it (user_namespaces(7)): that is
  // who we are right now. Nobody has to have the power over the host's own clock.
  long openOffsets() noexcept {
    if (plan_.clocksSize == 0) return -1;
    const long fd = ::syscall(SYS_openat, plan_.proc, "self/timens_offsets", O_WRONLY | O_CLOEXEC);
    check(fd, ChildStep::timeNamespace);
    return fd;
  }

  // exec enters it too, but only since Linux 6.3.
  void enterTimeNamespace(long offsets) noexcept {
    constexpr ChildStep kStep = ChildStep::timeNamespace;
    check(::syscall(SYS_unshare, CLONE_NEWTIME), kStep);
    check(::syscall(SYS_write, offsets, plan_.clocks, plan_.clocksSize), kStep);
    check(::syscall(SYS_close, offsets), kStep);
    const long made =
        ::syscall(SYS_openat, plan_.proc, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    check(made, kStep);
    check(::syscall(SYS_setns, made, CLONE_NEWTIME), kStep);
    check(::syscall(SYS_close, made), kStep);
  }

  void becomeService() noexcept {
    checkErr(limitBoundingSet(plan_.capabilities, plan_.lastCapability), ChildStep::boundingSet);
    checkErr(keepCapabilitiesOverSetuid(), ChildStep::securebits);
    check(::syscall(SYS_setresgid, plan_.gid, plan_.gid, plan_.gid), ChildStep::gid);
    check(::syscall(SYS_setresuid, plan_.uid, plan_.uid, plan_.uid), ChildStep::uid);
    checkErr(becomeExactly(plan_.capabilities), ChildStep::capabilities);
    // The parent's session keyring may hold keys of the host's root.
    if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS)
      fail(ChildStep::keyring, errno);
    // Until exec this is a copy of the parent's memory, under the service's id.
    prctl(PR_SET_DUMPABLE, 0, ChildStep::dumpable);
    prctl(PR_SET_NO_NEW_PRIVS, 1, ChildStep::noNewPrivileges);
    // After all changes of credentials: each clears it (prctl(2), PR_SET_PDEATHSIG).
    if (plan_.dieWithParent) prctl(PR_SET_PDEATHSIG, SIGKILL, ChildStep::deathSignal);
    send(ChildStep::armed, 0, 0);
    awaitParent();
  }

  void handOver() noexcept {
    if (plan_.landlock >= 0) checkErr(restrictSelf(plan_.landlock), ChildStep::landlock);
    for (std::size_t i = 0; i < plan_.fds.size; ++i) {
      const ChildFd& fd = plan_.fds.data[i];
      check(::syscall(SYS_dup3, fd.from, fd.to, 0), ChildStep::descriptor, i);
    }
    closeAll(plan_.closedLast);
    resetSignals();
    isolateCore();
    installFilter();
  }

  void resetSignals() noexcept {
    constexpr std::size_t kSetSize = kSignals / 8;
    const unsigned long byDefault[4] =
        {};  // the kernel's sigaction: handler, flags, restorer, mask
    for (int signal = 1; signal <= kSignals; ++signal) {
      if (signal == SIGKILL || signal == SIGSTOP) continue;
      check(::syscall(SYS_rt_sigaction, signal, byDefault, nullptr, kSetSize), ChildStep::signals);
    }
    const std::uint64_t none = 0;
    check(::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kSetSize), ChildStep::signals);
  }

  // Where CPUs have siblings, no other program runs on one while we run on the other. EINVAL: the
  // kernel has no core scheduling; ENODEV: no siblings.
  void isolateCore() noexcept {
    if (::syscall(SYS_prctl, PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0UL,
                  PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0UL) < 0 &&
        errno != EINVAL && errno != ENODEV)
      fail(ChildStep::coreCookie, errno);
  }

  void installFilter() noexcept {
    if (plan_.filter.len == 0) return;
    // WAIT_KILLABLE_RECV (Linux 5.19): a signal must not restart a call that is being answered; Go
    // sends itself many.
    unsigned long flags = 0;
    if (plan_.listener)
      flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    const long fd = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &plan_.filter);
    check(fd, ChildStep::seccomp);
    if (!plan_.listener) return;
    send(ChildStep::listenerReady, 0, static_cast<std::uint32_t>(fd));
    awaitParent();  // it takes the listener by pidfd_getfd; exec closes ours
  }

  const ChildPlan& plan_;
};

}  // namespace

void runChild(const ChildPlan& plan) noexcept {
  Child(plan).run();
}

}  // namespace orrery
