// Pins: a namespace bound to a file below /run/netns.
//
// ip-netns(8) makes /run/netns a shared mount so that a pin made or removed in one mount namespace
// is made or removed in all that share it. We do the same in the same way, because a later
// `ip netns add` would otherwise bind the directory over itself, and our pins with it, twice.
//
// A lock on the directory keeps the removal of the empty directory (exclusive) and the making of
// pins (shared) apart.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "netns/namespace/names.h"
#include "netns/namespace/netns.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

bool makeShared() {
  return ::mount("", kNetnsDirectory, "none", MS_SHARED | MS_REC, nullptr) == 0;
}

Result<UniqueFd> lockDirectory(int how) {
  ORRERY_TRY_ASSIGN(UniqueFd lock, openFile(kNetnsDirectory, O_RDONLY | O_DIRECTORY));
  while (::flock(lock.get(), how) != 0)
    if (errno != EINTR) return sysError(errno, "lock '{}'", kNetnsDirectory);
  return lock;
}

Status prepareDirectory() {
  ORRERY_TRY(makeDirectories(kNetnsDirectory, 0755));
  if (makeShared()) return {};
  if (errno != EINVAL) return sysError(errno, "make '{}' a shared mount", kNetnsDirectory);
  // It is not a mount point yet. Two of us at once must not bind it twice; ip(8) takes the same
  // lock.
  ORRERY_TRY_ASSIGN(const UniqueFd lock, lockDirectory(LOCK_EX));
  if (makeShared()) return {};
  if (::mount(kNetnsDirectory, kNetnsDirectory, "none", MS_BIND | MS_REC, nullptr) != 0)
    return sysError(errno, "bind '{}' to itself", kNetnsDirectory);
  if (!makeShared()) return sysError(errno, "make '{}' a shared mount", kNetnsDirectory);
  return {};
}

}  // namespace

Result<std::string> netnsPath(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.size() > 255 ||
      name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
    return sysError(EINVAL, "'{}' cannot be the name of a network namespace", name);
  return fmt::format("{}/{}", kNetnsDirectory, name);
}

Status pinNetns(const NetnsFd& netns, const std::string& name) {
  ORRERY_TRY_ASSIGN(const std::string path, netnsPath(name));
  constexpr int kTries = 3;  // the empty directory can be removed before we have the lock
  UniqueFd lock, file;
  for (int i = 0; i < kTries && !file; ++i) {
    ORRERY_TRY(prepareDirectory());
    ORRERY_TRY_ASSIGN(lock, lockDirectory(LOCK_SH));
    file.reset(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0));
    if (!file && errno != ENOENT) return sysError(errno, "pin the network namespace '{}'", name);
  }
  if (!file) return sysError(ENOENT, "pin the network namespace '{}'", name);
  const std::string source = fmt::format("/proc/self/fd/{}", netns.get());
  if (::mount(source.c_str(), path.c_str(), "none", MS_BIND, nullptr) != 0) {
    const int err = errno;
    (void)::unlink(path.c_str());
    return sysError(err, "bind the network namespace to '{}'", path);
  }
  return {};
}

Status unpinNetns(const std::string& name) {
  ORRERY_TRY_ASSIGN(const std::string path, netnsPath(name));
  // EINVAL: a plain file, the rest of a crash. Repeated, as a name can have been bound twice.
  while (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return sysError(errno, "unbind '{}'", path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return sysError(errno, "remove '{}'", path);
  return {};
}

Result<bool> netnsPinned(const std::string& name) {
  ORRERY_TRY_ASSIGN(const std::string path, netnsPath(name));
  // O_PATH: the plain file has mode 0, and a FIFO must not stop us.
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT) return false;
  if (!fd) return sysError(errno, "open '{}'", path);
  struct statfs fs {};
  if (::fstatfs(fd.get(), &fs) != 0) return sysError(errno, "look at '{}'", path);
  return fs.f_type == NSFS_MAGIC;
}

Status removeEmptyNetnsDirectory() {
  Result<UniqueFd> lock = lockDirectory(LOCK_EX | LOCK_NB);
  if (!lock && (lock.error().err == ENOENT || lock.error().err == EWOULDBLOCK)) return {};
  if (!lock) return tl::unexpected<Error>(std::move(lock).error());
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(kNetnsDirectory));
  if (!names.empty()) return {};
  while (::umount2(kNetnsDirectory, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL)
    return sysError(errno, "unmount '{}'", kNetnsDirectory);  // EINVAL: it is none
  if (::rmdir(kNetnsDirectory) == 0 || errno == ENOENT || errno == ENOTEMPTY) return {};
  return sysError(errno, "remove '{}'", kNetnsDirectory);
}

}  // namespace orrery
