// Namespaces, system calls, control groups, clock.
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "runtime/doctor/probing.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/landlock/landlock.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace orrery::doctor {
namespace {

struct Namespace {
  const char* name;
  int flag;
};
constexpr Namespace kNamespaces[] = {
    {probe::kNetNamespace, CLONE_NEWNET},       {probe::kMountNamespace, CLONE_NEWNS},
    {probe::kIpcNamespace, CLONE_NEWIPC},       {probe::kUtsNamespace, CLONE_NEWUTS},
    {probe::kCgroupNamespace, CLONE_NEWCGROUP}, {probe::kPidNamespace, CLONE_NEWPID},
    {probe::kTimeNamespace, CLONE_NEWTIME},
};

// The calls that build a service's root, on a file system that nobody sees.
Status tryMountApi() {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", 1 /* CLOEXEC */)));
  if (!context) return sysError(errno, "fsopen");
  constexpr int kCreate = 6;  // FSCONFIG_CMD_CREATE, linux/mount.h
  if (::syscall(SYS_fsconfig, context.get(), kCreate, nullptr, nullptr, 0) != 0)
    return sysError(errno, "fsconfig");
  const UniqueFd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), 1 /* CLOEXEC */, 0)));
  if (!mount) return sysError(errno, "fsmount");
  struct {  // struct mount_attr of linux/mount.h, which clashes with sys/mount.h
    std::uint64_t set, clear, propagation, userns;
  } attributes{1 /* MOUNT_ATTR_RDONLY */, 0, 0, 0};
  if (::syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH, &attributes,
                sizeof attributes) != 0)
    return sysError(errno, "mount_setattr");
  return {};
}

Probe seccompAction(std::uint32_t action) {
  return answerOfCall(::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), errno);
}

}  // namespace

Status enterUserNamespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) return sysError(errno, "make a user namespace");
  ORRERY_TRY(writeExisting("/proc/self/setgroups", "deny"));
  ORRERY_TRY(writeExisting("/proc/self/uid_map", fmt::format("0 {} 1", uid)));
  return writeExisting("/proc/self/gid_map", fmt::format("0 {} 1", gid));
}

Probes probeNamespaces(bool root) {
  Probes probes;
  if (!root) {
    const Status user = enterUserNamespace();
    // Refused to us is not refused to root: nothing is known.
    if (!user) {
      for (const Namespace& ns : kNamespaces)
        probes[ns.name] = {Probe::Answer::unknown, user.error().message};
      probes[probe::kUserNamespace] = {Probe::Answer::unknown, user.error().message};
      return probes;
    }
    probes[probe::kUserNamespace] = yes();
  }
  for (const Namespace& ns : kNamespaces) probes[ns.name] = answerOfCall(::unshare(ns.flag), errno);
  if (probes[probe::kMountNamespace].yes()) probes[probe::kMountApi] = answerOf(tryMountApi());
  if (root) probes[probe::kUserNamespace] = answerOfCall(::unshare(CLONE_NEWUSER), errno);
  return probes;
}

Probes probeCalls() {
  Probes probes;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const UniqueFd here(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how)));
  probes[probe::kOpenat2] = answerOfCall(here.get(), errno);
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  probes[probe::kPidfd] = answerOfCall(self.get(), errno);
  probes[probe::kCloseRange] = answerOfCall(::syscall(SYS_close_range, ~0u, ~0u, 0), errno);
  probes[probe::kSeccompFilter] = seccompAction(SECCOMP_RET_KILL_PROCESS);
  probes[probe::kSeccompNotify] = seccompAction(SECCOMP_RET_USER_NOTIF);
  return probes;
}

int landlock() {
  return landlockAbi();
}

CgroupFacts cgroupFacts(const CgroupLayout& layout) {
  CgroupFacts facts;
  if (layout.version == CgroupLayout::Version::none) return facts;
  if (layout.version == CgroupLayout::Version::v1) {
    facts.version = CgroupFacts::Version::v1;
    const std::pair<const char*, const std::string*> trees[] = {{"memory", &layout.memory},
                                                                {"pids", &layout.pids},
                                                                {"cpuset", &layout.cpuset},
                                                                {"cpu", &layout.cpu},
                                                                {"freezer", &layout.freezer}};
    facts.writable = true;
    for (const auto& [name, path] : trees) {
      if (path->empty()) continue;
      facts.controllers.emplace_back(name);
      facts.writable = facts.writable && ::access(path->c_str(), W_OK) == 0;
    }
    return facts;
  }
  facts.version = CgroupFacts::Version::v2;
  facts.writable = ::access(layout.unified.c_str(), W_OK) == 0;
  const std::string offered = readFile(layout.unified + "/cgroup.controllers", 4096).value_or("");
  for (const std::string_view name : splitWords(offered))
    if (name == "memory" || name == "pids" || name == "cpuset" || name == "cpu")
      facts.controllers.emplace_back(name);
  return facts;
}

ClockFacts clockFacts(const std::string& root) {
  ClockFacts facts;
  facts.now = ::time(nullptr);
  // Written by whatever runs regularly: package management, time services, the kernel's modules.
  for (const char* path :
       {"/proc/self/exe", "/var/lib/dpkg/status", "/var/lib/systemd/timesync/clock",
        "/var/lib/systemd/random-seed", "/etc/ld.so.cache"}) {
    struct stat st {};
    const std::string whole = path == std::string_view("/proc/self/exe") ? path : root + path;
    if (::stat(whole.c_str(), &st) == 0)
      facts.newest = std::max<std::int64_t>(facts.newest, st.st_mtime);
  }
  timex state{};  // modes 0: reads only
  const int answer = ::adjtimex(&state);
  if (answer >= 0) facts.synchronised = answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  return facts;
}

}  // namespace orrery::doctor
