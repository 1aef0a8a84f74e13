#include "sandbox/namespaces/tmpfs.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace orrery {
namespace {

Status setOption(int context, const char* key, const std::string& value) {
  if (::fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0)
    return sysError(errno, "tmpfs option {}={}", key, value);
  return {};
}

}  // namespace

Result<UniqueFd> makeTmpfs(const TmpfsOptions& options, unsigned attributes) {
  UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) return sysError(errno, "open a tmpfs context");
  ORRERY_TRY(setOption(context.get(), "size", fmt::format("{}", options.size)));
  ORRERY_TRY(setOption(context.get(), "nr_inodes", fmt::format("{}", options.inodes)));
  ORRERY_TRY(setOption(context.get(), "mode", fmt::format("{:o}", options.mode)));
  ORRERY_TRY(setOption(context.get(), "uid", fmt::format("{}", options.uid)));
  ORRERY_TRY(setOption(context.get(), "gid", fmt::format("{}", options.gid)));
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return sysError(errno, "create a tmpfs");
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount) return sysError(errno, "make a tmpfs mount");
  return mount;
}

Status mountTmpfs(const std::string& directory, const TmpfsOptions& options) {
  ORRERY_TRY_ASSIGN(const UniqueFd mount,
                    makeTmpfs(options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (::move_mount(mount.get(), "", AT_FDCWD, directory.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return sysError(errno, "mount a tmpfs at '{}'", directory);
  return {};
}

Result<bool> isMountPoint(const std::string& directory) {
  struct stat own {};
  struct stat above {};
  if (::lstat(directory.c_str(), &own) != 0) return sysError(errno, "look at '{}'", directory);
  if (::lstat((directory + "/..").c_str(), &above) != 0)
    return sysError(errno, "look above '{}'", directory);
  return own.st_dev != above.st_dev;
}

Status unmount(const std::string& directory) {
  if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};  // no mount; nothing at all
  return sysError(errno, "unmount '{}'", directory);
}

}  // namespace orrery
