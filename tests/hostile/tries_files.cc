// Files of the host and of neighbours, and tricks with the own ones.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

// Any of several paths.
template <std::size_t N>
Outcome anyOf(const char* const (&paths)[N], int flags) {
  Outcome last = ENOENT;
  for (const char* path : paths) {
    const Outcome result = openIt(path, flags);
    if (result == kDone) return kDone;
    if (result != ENOENT) last = result;
  }
  return last;
}

Outcome readShadow() {
  return openIt("/etc/shadow", O_RDONLY);
}
Outcome readAbove() {
  return openIt("../../../../../../../../../../etc/shadow", O_RDONLY);
}
Outcome readDefinitions() {
  constexpr const char* kPaths[] = {
      "/etc/orrery", "/run/definitions", "/run/definitions/network0.toml",
      "/run/orrery/network0/universe0/router.json", "/run/orrery/network1/universe0/router.json"};
  return anyOf(kPaths, O_RDONLY);
}
Outcome readNeighbours() {
  constexpr const char* kPaths[] = {"/run/orrery", "/run/orrery/network1", "/var/lib/orrery",
                                    "/run/netns",  "/run/multiverse",      "/run/secrets"};
  return anyOf(kPaths, O_RDONLY);
}
Outcome readHomes() {
  constexpr const char* kPaths[] = {"/root", "/home", "/root/.ssh", "/etc/ssl/private"};
  return anyOf(kPaths, O_RDONLY);
}
Outcome writeSystemFiles() {
  constexpr const char* kPaths[] = {"/etc/passwd", "/etc/hosts", "/etc/resolv.conf",
                                    "/etc/nsswitch.conf", "/etc/ld.so.cache"};
  return anyOf(kPaths, O_WRONLY);
}
Outcome writeConfiguration() {
  constexpr const char* kPaths[] = {"/etc/dnsmasq/dnsmasq.conf", "/etc/tor/torrc",
                                    "/etc/openvpn/profile.ovpn", "/run/resolv/resolv.conf"};
  return anyOf(kPaths, O_WRONLY);
}
Outcome writeSysctl() {
  constexpr const char* kPaths[] = {"/proc/sys/net/ipv4/ip_forward",
                                    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
                                    "/proc/sys/net/ipv4/conf/all/rp_filter"};
  return anyOf(kPaths, O_WRONLY);
}
Outcome writeSysfs() {
  constexpr const char* kPaths[] = {"/sys/kernel/mm/transparent_hugepage/enabled",
                                    "/sys/kernel/uevent_helper", "/sys/class/net/lo/mtu"};
  return anyOf(kPaths, O_WRONLY);
}
Outcome writeCgroup() {
  constexpr const char* kPaths[] = {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                    "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/tasks"};
  return anyOf(kPaths, O_WRONLY);
}
Outcome openProc() {
  constexpr const char* kPaths[] = {"/proc", "/proc/self/status", "/proc/1/environ"};
  return anyOf(kPaths, O_RDONLY);
}
Outcome openKcore() {
  constexpr const char* kPaths[] = {"/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port"};
  return anyOf(kPaths, O_RDONLY);
}
Outcome openDevices() {
  constexpr const char* kPaths[] = {
      "/dev/kmsg", "/dev/kvm", "/dev/fuse",         "/dev/ptmx", "/dev/tty",
      "/dev/vda",  "/dev/sda", "/dev/loop-control", "/dev/rtc0", "/dev/userfaultfd"};
  return anyOf(kPaths, O_RDWR);
}
Outcome sysrq() {
  return openIt("/proc/sysrq-trigger", O_WRONLY);
}

Outcome createIn(const char* directory) {
  char path[300];
  (void)std::snprintf(path, sizeof path, "%s/made-by-hostile", directory);
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  (void)::close(fd);
  return outcome(::unlink(path));
}
Outcome createInRoot() {
  return createIn("/");
}
Outcome createInEtc() {
  return createIn("/etc");
}
Outcome createInDev() {
  return createIn("/dev");
}
Outcome createInUsr() {
  return createIn("/usr/bin");
}

Outcome overwriteSelf() {
  const Outcome result = openIt(ownPath(), O_WRONLY);
  return result == ETXTBSY ? kDone : result;  // only the kernel's habit was in the way
}
Outcome unlinkSelf() {
  // Renamed onto itself: nothing changes where it may be done.
  return outcome(::rename(ownPath(), ownPath()));
}
Outcome overwriteProcExe() {
  const Outcome result = openIt("/proc/self/exe", O_WRONLY);
  return result == ETXTBSY ? kDone : result;
}
Outcome writeOwnMemory() {
  return openIt("/proc/self/mem", O_RDWR);
}
Outcome overwriteLoader() {
  constexpr const char* kPaths[] = {"/usr/lib/x86_64-linux-gnu/libc.so.6",
                                    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"};
  return anyOf(kPaths, O_WRONLY);
}

const char* inWritable(const char* name) {
  static char path[300];
  (void)std::snprintf(path, sizeof path, "%s/%s", writableDirectory(), name);
  return path;
}
Outcome symlinkOut() {
  const char* path = inWritable("shadow");
  if (::symlink("/etc/shadow", path) != 0 && errno != EEXIST) return errno;
  const Outcome result = openIt(path, O_RDONLY);
  (void)::unlink(path);
  return result;
}
Outcome linkOut() {
  return outcome(::link("/run/secret", inWritable("secret")));
}
Outcome executeWritten() {
  const char* path = inWritable("program");
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (fd < 0) return errno;
  (void)!::write(fd, "#!/evil\n", 8);
  (void)::close(fd);
  char* const none[] = {nullptr};
  (void)::execve(path, none, none);
  const Outcome result = errno;
  (void)::unlink(path);
  return result == ENOENT ? kDone : result;  // got as far as looking for /evil
}
Outcome mapWritten() {  // code from a file of its own making
  const char* path = inWritable("library");
  const int fd = ::open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (fd < 0) return errno;
  char page[4096]{};
  (void)!::write(fd, page, sizeof page);
  const void* at = ::mmap(nullptr, sizeof page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  const Outcome result = at == MAP_FAILED ? errno : kDone;
  (void)::close(fd);
  (void)::unlink(path);
  return result;
}
Outcome handleOpen() {
  struct {
    unsigned bytes = 8;
    int type = 1;
    unsigned char handle[8] = {2, 0, 0, 0, 0, 0, 0, 0};
  } root;
  const int fd = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Outcome result = call(SYS_open_by_handle_at, fd, &root, O_RDONLY);
  return result == EPERM || result == ENOSYS ? result : kDone;  // the handle is a guess
}
Outcome handleName() {
  struct {
    unsigned bytes = 128;
    int type = 0;
    unsigned char handle[128]{};
  } handle;
  int mount = 0;
  return call(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount, 0);
}
Outcome fanotify() {
  return outcome(::fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY));
}
Outcome lease() {
  const int fd = ::open(ownPath(), O_RDONLY | O_CLOEXEC);
  return outcome(::fcntl(fd, F_SETLEASE, F_RDLCK));
}
Outcome owner() {
  return outcome(::fcntl(0, F_SETOWN, ::getpid()));
}
Outcome noAtime() {
  const int fd = ::open(ownPath(), O_RDONLY | O_CLOEXEC);
  return outcome(::fcntl(fd, F_SETFL, O_NOATIME));
}
Outcome quota() {
  const Outcome result = call(SYS_quotactl, 0x800002 << 8, "/dev/vda", 0, nullptr);
  return result == EPERM || result == ENOSYS ? result : kDone;  // there is no quota there
}
Outcome openat2Out() {
  open_how how{};
  how.flags = O_RDONLY;
  return call(SYS_openat2, AT_FDCWD, "/etc/shadow", &how, sizeof how);
}

constexpr Try kTries[] = {
    {"read-shadow", readShadow},
    {"read-above", readAbove},
    {"read-definitions", readDefinitions},
    {"read-neighbours", readNeighbours},
    {"read-homes", readHomes},
    {"write-system-files", writeSystemFiles},
    {"write-configuration", writeConfiguration},
    {"write-sysctl", writeSysctl},
    {"write-sysfs", writeSysfs},
    {"write-cgroup", writeCgroup},
    {"open-proc", openProc},
    {"open-memory", openKcore},
    {"open-devices", openDevices},
    {"sysrq", sysrq},
    {"create-in-root", createInRoot},
    {"create-in-etc", createInEtc},
    {"create-in-dev", createInDev},
    {"create-in-usr", createInUsr},
    {"overwrite-self", overwriteSelf},
    {"rename-self", unlinkSelf},
    {"overwrite-proc-exe", overwriteProcExe},
    {"write-own-memory", writeOwnMemory},
    {"overwrite-libc", overwriteLoader},
    {"symlink-out", symlinkOut},
    {"link-out", linkOut},
    {"execute-written", executeWritten},
    {"map-written", mapWritten},
    {"open-by-handle", handleOpen},
    {"name-to-handle", handleName},
    {"fanotify", fanotify},
    {"lease", lease},
    {"f-setown", owner},
    {"no-atime", noAtime},
    {"quotactl", quota},
    {"openat2", openat2Out},
};

}  // namespace

std::span<const Try> fileTries() {
  return kTries;
}

}  // namespace hostile
