// Other processes, and becoming somebody else.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

char gByte = 1;

Outcome ptraceSeize() {
  return outcome(::ptrace(PTRACE_SEIZE, somebody(), nullptr, nullptr));
}
Outcome ptraceMe() {
  return outcome(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
}
Outcome readMemoryOf() {
  char byte = 0;
  const iovec local{&byte, 1}, remote{&gByte, 1};
  return outcome(::process_vm_readv(somebody(), &local, 1, &remote, 1, 0));
}
Outcome writeMemoryOf() {
  const iovec local{&gByte, 1}, remote{&gByte, 1};
  return outcome(::process_vm_writev(somebody(), &local, 1, &remote, 1, 0));
}
Outcome madviseOf() {
  const iovec range{nullptr, 0};
  const Outcome result = call(SYS_process_madvise, 0, &range, 0UL, 20 /* MADV_COLD */, 0);
  return result == EBADF ? kDone : result;  // descriptor 0 is no process
}
Outcome kcmpOf() {
  return call(SYS_kcmp, ::getpid(), somebody(), 1 /* KCMP_VM */, 0UL, 0UL);
}
Outcome pidfdOpen() {
  return call(SYS_pidfd_open, somebody(), 0);
}
Outcome pidfdGetfd() {
  const long pidfd = ::syscall(SYS_pidfd_open, somebody(), 0);
  return call(SYS_pidfd_getfd, pidfd < 0 ? 0 : pidfd, 0, 0);
}
Outcome pidfdSignal() {
  const long pidfd = ::syscall(SYS_pidfd_open, somebody(), 0);
  return call(SYS_pidfd_send_signal, pidfd < 0 ? 0 : pidfd, 0, nullptr, 0);
}

// Any process but ourselves, whoever made us, and the first. Signal 0: only whether it could be
// sent.
template <class Send>
Outcome anyProcess(Send send) {
  constexpr pid_t kLast = 40'000;
  const pid_t own = ::getpid(), parent = ::getppid();
  constexpr int kEnough = 32;  // a filter refuses each
  int refused = 0;
  Outcome last = ESRCH;
  for (pid_t pid = 2; pid <= kLast; ++pid) {
    if (pid == own || pid == parent) continue;
    if (send(pid) == 0) return kDone;
    if (errno == ESRCH) continue;
    last = errno;
    if (++refused == kEnough) break;
  }
  return last;
}
Outcome killOthers() {
  return anyProcess([](pid_t pid) { return ::kill(pid, 0); });
}
Outcome tgkillOthers() {
  return anyProcess([](pid_t pid) { return ::syscall(SYS_tgkill, pid, pid, 0); });
}
Outcome limitOthers() {
  rlimit limit{};
  return call(SYS_prlimit64, somebody() == ::getpid() ? 2 : somebody(), RLIMIT_NOFILE, nullptr,
              &limit);
}
Outcome priorityUp() {
  return outcome(::setpriority(PRIO_PROCESS, 0, -20));
}
Outcome realTime() {
  const sched_param parameter{50};
  return outcome(::sched_setscheduler(0, SCHED_FIFO, &parameter));
}
Outcome ioRealTime() {
  return call(SYS_ioprio_set, 1, 0, 1 << 13);
}
Outcome otherCpu() {
  // What the cpuset leaves out. The test pins the router to CPU 0.
  cpu_set_t all;
  CPU_ZERO(&all);
  CPU_SET(1, &all);
  return outcome(::sched_setaffinity(0, sizeof all, &all));
}

// A second filter may only narrow, but it is one more part of the kernel to play with.
Outcome secondFilter() {
  sock_filter allow{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  const sock_fprog program{1, &allow};
  return call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
Outcome filterByPrctl() {
  sock_filter allow{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  const sock_fprog program{1, &allow};
  return outcome(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}
Outcome newPrivileges() {
  return outcome(::prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}
Outcome dumpable() {
  return outcome(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
// Would let it outlive its supervisor.
Outcome surviveParent() {
  return outcome(::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}
Outcome subreaper() {
  return outcome(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}
Outcome moveBreak() {
  return outcome(::prctl(PR_SET_MM, PR_SET_MM_START_BRK, &gByte, 0, 0)) == EINVAL ? kDone : errno;
}
Outcome allowTracer() {
  return outcome(::prctl(PR_SET_PTRACER, -1UL, 0, 0, 0));
}
Outcome ambientRaise() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  (void)::syscall(SYS_capget, &header, data);
  for (auto& word : data) word.inheritable = word.permitted;
  (void)::syscall(SYS_capset, &header, data);
  return outcome(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
}
Outcome secureBits() {
  return outcome(::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}
Outcome speculation() {
  return outcome(::prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0));
}
Outcome timerSlack() {
  return outcome(::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0));
}

Outcome becomeRoot() {
  return call(SYS_setresuid, 0, 0, 0);
}
Outcome becomeRootGroup() {
  return call(SYS_setresgid, 0, 0, 0);
}
Outcome becomeOther() {
  return call(SYS_setresuid, 1000, 1000, 1000);
}
Outcome joinGroups() {
  const gid_t group = 0;
  return call(SYS_setgroups, 1UL, &group);
}
Outcome setFsuid() {
  (void)::syscall(SYS_setfsuid, 0);
  return ::syscall(SYS_setfsuid, -1) == 0 ? kDone : EPERM;
}
Outcome allCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (auto& word : data) word = {~0U >> 16, ~0U >> 16, 0};
  data[1] = {};
  return call(SYS_capset, &header, data);
}
Outcome fileCapabilities() {
  char path[256];
  (void)std::snprintf(path, sizeof path, "%s/capable", writableDirectory());
  (void)::close(::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
  const unsigned value[5] = {0x02000001, ~0U, 0, 0, 0};
  return outcome(::setxattr(path, "security.capability", value, sizeof value, 0));
}
Outcome setuidFile() {
  char path[256];
  (void)std::snprintf(path, sizeof path, "%s/setuid", writableDirectory());
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  return fd < 0 ? errno : outcome(::fchmod(fd, 04755));
}
Outcome raiseFiles() {
  const rlimit limit{1 << 19, 1 << 19};
  return outcome(::setrlimit(RLIMIT_NOFILE, &limit));
}
Outcome raiseCore() {
  const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  return outcome(::setrlimit(RLIMIT_CORE, &limit));
}
// Descriptors beyond those that this kind of service is given.
Outcome strayDescriptors() {
  constexpr int kMany = 4096;
  for (int fd = lastNamedDescriptor() + 1; fd < kMany; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) return kDone;
  return EBADF;
}
Outcome executeShell() {
  const char* const arguments[] = {"sh", "-c", "echo try exec-shell ok", nullptr};
  return outcome(::execve("/bin/sh", const_cast<char* const*>(arguments), nullptr));
}

constexpr Try kTries[] = {
    {"ptrace-seize", ptraceSeize},
    {"ptrace-traceme", ptraceMe},
    {"process_vm_readv", readMemoryOf},
    {"process_vm_writev", writeMemoryOf},
    {"process_madvise", madviseOf},
    {"kcmp", kcmpOf},
    {"pidfd_open", pidfdOpen},
    {"pidfd_getfd", pidfdGetfd},
    {"pidfd_send_signal", pidfdSignal},
    {"kill-others", killOthers},
    {"tgkill-others", tgkillOthers},
    {"prlimit-others", limitOthers},
    {"nice", priorityUp},
    {"real-time", realTime},
    {"ioprio", ioRealTime},
    {"other-cpu", otherCpu},
    {"seccomp-again", secondFilter},
    {"seccomp-prctl", filterByPrctl},
    {"new-privileges", newPrivileges},
    {"dumpable", dumpable},
    {"outlive-parent", surviveParent},
    {"subreaper", subreaper},
    {"prctl-mm", moveBreak},
    {"allow-tracer", allowTracer},
    {"ambient-raise", ambientRaise},
    {"securebits", secureBits},
    {"speculation", speculation},
    {"timer-slack", timerSlack},
    {"setuid-root", becomeRoot},
    {"setgid-root", becomeRootGroup},
    {"setuid-other", becomeOther},
    {"setgroups", joinGroups},
    {"setfsuid", setFsuid},
    {"capset", allCapabilities},
    {"file-capabilities", fileCapabilities},
    {"setuid-file", setuidFile},
    {"rlimit-files", raiseFiles},
    {"rlimit-core", raiseCore},
    {"stray-descriptors", strayDescriptors},
    {"exec-shell", executeShell},
};

}  // namespace

std::span<const Try> processTries() {
  return kTries;
}

}  // namespace hostile
