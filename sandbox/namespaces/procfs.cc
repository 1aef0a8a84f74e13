#include "sandbox/namespaces/procfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

// Invalid where it cannot be made.
UniqueFd makeProcfs() {
  UniqueFd context(::fsopen("proc", FSOPEN_CLOEXEC));
  if (!context || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return {};
  return UniqueFd(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

}  // namespace

Result<UniqueFd> openProcfs(const char* path) {
  constexpr ino_t kRootInode = 1;  // PROC_ROOT_INO, include/linux/proc_ns.h
  ORRERY_TRY_ASSIGN(UniqueFd fd, openFile(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct statfs fs {};
  struct stat st {};
  if (::fstatfs(fd.get(), &fs) != 0 || ::fstat(fd.get(), &st) != 0)
    return sysError(errno, "look at '{}'", path);
  if (fs.f_type != PROC_SUPER_MAGIC || st.st_ino != kRootInode)
    return error("'{}' is not procfs: mount it there", path);
  return fd;
}

Result<UniqueFd> openProcfs() {
  if (UniqueFd own = makeProcfs()) return own;
  return openProcfs("/proc");
}

}  // namespace orrery
