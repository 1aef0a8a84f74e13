#include "sandbox/namespaces/procfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "sandbox/base/file.h"

namespace orrery {

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
  return openProcfs("/proc");
}

}  // namespace orrery
