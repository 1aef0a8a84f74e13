// Leaving the namespaces, making new ones, changing what is mounted.
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdint>
#include <cstdio>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

// By every descriptor in sight.
Outcome setnsDescriptors() {
  constexpr int kMany = 256;
  Outcome last = EBADF;
  for (int fd = 0; fd < kMany; ++fd) {
    if (::setns(fd, 0) == 0) return kDone;
    if (errno != EBADF) last = errno;
  }
  return last;
}

Outcome setnsOf(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? errno : outcome(::setns(fd, 0));
}
Outcome setnsProcNet() {
  return setnsOf("/proc/1/ns/net");
}
Outcome setnsPins() {
  const Outcome first = setnsOf("/run/netns/network0.universe0");
  return first == kDone ? first : setnsOf("/run/netns/hostile");
}
Outcome setnsPidfd() {
  const long fd = ::syscall(SYS_pidfd_open, somebody(), 0);
  return fd < 0 ? errno : outcome(::setns(static_cast<int>(fd), CLONE_NEWNET | CLONE_NEWUTS));
}

template <int Kind>
Outcome unshareKind() {
  return outcome(::unshare(Kind));
}

// As clone(2) without a stack: fork in a new namespace.
Outcome cloneWith(unsigned long flags) {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, 0UL, nullptr, nullptr, 0UL);
  if (pid == 0) ::_exit(0);
  if (pid < 0) return errno;
  (void)::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  return kDone;
}
Outcome cloneUser() {
  return cloneWith(CLONE_NEWUSER);
}
Outcome cloneNet() {
  return cloneWith(CLONE_NEWNET);
}
Outcome cloneParent() {
  return cloneWith(CLONE_PARENT | CLONE_UNTRACED);
}
Outcome clone3User() {
  struct clone_args args {};
  args.flags = CLONE_NEWUSER;
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) ::_exit(0);
  if (pid < 0) return errno;
  (void)::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  return kDone;
}

Outcome mountTmpfs() {
  return outcome(::mount("none", "/", "tmpfs", 0, nullptr));
}
Outcome undone(Outcome result) {
  if (result == kDone) (void)::umount2(writableDirectory(), MNT_DETACH);
  return result;
}
Outcome mountProc() {
  return undone(outcome(::mount("proc", writableDirectory(), "proc", 0, nullptr)));
}
Outcome mountBind() {
  return undone(outcome(::mount("/", writableDirectory(), nullptr, MS_BIND, nullptr)));
}
Outcome mountRemount() {
  return outcome(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr));
}
Outcome umountRoot() {
  return outcome(::umount2("/", MNT_DETACH));
}
Outcome pivotRoot() {
  const Outcome result = call(SYS_pivot_root, ".", ".");
  return result == EBUSY ? kDone : result;  // may, but the root is no root's parent
}
Outcome openTree() {
  return call(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE);
}
Outcome moveMount() {
  const long tree = ::syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE);
  const int from = tree < 0 ? AT_FDCWD : static_cast<int>(tree);
  return undone(call(SYS_move_mount, from, tree < 0 ? "/" : "", AT_FDCWD, writableDirectory(),
                     tree < 0 ? 0 : MOVE_MOUNT_F_EMPTY_PATH));
}
Outcome fsOpen() {
  return call(SYS_fsopen, "tmpfs", 0);
}
Outcome fsPick() {
  return call(SYS_fspick, AT_FDCWD, "/", 0);
}
Outcome fsConfig() {
  const long fd = ::syscall(SYS_fsopen, "tmpfs", 0);
  return call(SYS_fsconfig, fd < 0 ? 0 : fd, 6 /* FSCONFIG_CMD_CREATE */, nullptr, nullptr, 0);
}
Outcome mountSetattr() {
  struct {
    std::uint64_t set, clear, propagation, userns;
  } attr{0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
  return call(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr);
}
Outcome listMounts() {
  struct {
    std::uint32_t size, spare;
    std::uint64_t id, param;
  } request{24, 0, ~std::uint64_t{0} /* LSMT_ROOT */, 0};
  std::uint64_t ids[8];
  constexpr long kListmount = 458;  // Linux 6.8
  return call(kListmount, &request, ids, 8UL, 0UL);
}
Outcome chrootHere() {
  return outcome(::chroot("/"));
}

// The classic: a directory kept open across a chroot leads above it.
Outcome chrootEscape() {
  const int above = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (::chroot(writableDirectory()) != 0) return errno;
  if (::fchdir(above) != 0) return errno;
  for (int i = 0; i < 64; ++i)
    if (::chdir("..") != 0) return errno;
  return outcome(::chroot("."));
}
Outcome setHostname() {
  return outcome(::sethostname("evil", 4));
}
Outcome setDomainname() {
  return outcome(::setdomainname("evil", 4));
}
Outcome makeNodes() {
  char path[256];
  (void)std::snprintf(path, sizeof path, "%s/kmem", writableDirectory());
  constexpr dev_t kMemory = 0x101;  // 1:1, /dev/mem
  const Outcome result = outcome(::mknod(path, S_IFCHR | 0666, kMemory));
  (void)::unlink(path);
  return result;
}

constexpr Try kTries[] = {
    {"setns-descriptors", setnsDescriptors},
    {"setns-proc", setnsProcNet},
    {"setns-pins", setnsPins},
    {"setns-pidfd", setnsPidfd},
    {"unshare-user", unshareKind<CLONE_NEWUSER>},
    {"unshare-mnt", unshareKind<CLONE_NEWNS>},
    {"unshare-pid", unshareKind<CLONE_NEWPID>},
    {"unshare-net", unshareKind<CLONE_NEWNET>},
    {"unshare-uts", unshareKind<CLONE_NEWUTS>},
    {"unshare-ipc", unshareKind<CLONE_NEWIPC>},
    {"unshare-cgroup", unshareKind<CLONE_NEWCGROUP>},
    {"unshare-time", unshareKind<CLONE_NEWTIME>},
    {"clone-user", cloneUser},
    {"clone-net", cloneNet},
    {"clone-parent", cloneParent},
    {"clone3-user", clone3User},
    {"mount-tmpfs", mountTmpfs},
    {"mount-proc", mountProc},
    {"mount-bind", mountBind},
    {"mount-remount", mountRemount},
    {"umount", umountRoot},
    {"pivot_root", pivotRoot},
    {"open_tree", openTree},
    {"move_mount", moveMount},
    {"fsopen", fsOpen},
    {"fspick", fsPick},
    {"fsconfig", fsConfig},
    {"mount_setattr", mountSetattr},
    {"listmount", listMounts},
    {"chroot", chrootHere},
    {"chroot-escape", chrootEscape},
    {"sethostname", setHostname},
    {"setdomainname", setDomainname},
    {"mknod", makeNodes},
};

}  // namespace

std::span<const Try> namespaceTries() {
  return kTries;
}

}  // namespace hostile
