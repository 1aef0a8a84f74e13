#include "sandbox/namespaces/root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "sandbox/base/file.h"
#include "sandbox/namespaces/tmpfs.h"

namespace orrery {
namespace {

constexpr unsigned kRootSize = 4 << 20;  // bytes; holds text files and mount points only
constexpr unsigned kRootInodes = 4096;
constexpr unsigned kDevSize = 64 << 10;  // bytes; nodes take none
constexpr unsigned kDirectoryMode = 0755;
constexpr unsigned kDeviceMode = 0666;
constexpr unsigned kTextMode = 0444;

Status setAttributes(int mount, std::uint64_t attributes, std::uint64_t propagation = 0) {
  struct mount_attr attr {};
  attr.attr_set = attributes;
  attr.propagation = propagation;
  if (::mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
    return sysError(errno, "set mount attributes");
  return {};
}

Result<UniqueFd> makeBind(const BindMount& bind) {
  UniqueFd mount(::open_tree(AT_FDCWD, bind.source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!mount) return sysError(errno, "mount '{}' at '{}'", bind.source, bind.target);
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (!bind.writable) attributes |= MOUNT_ATTR_RDONLY;
  if (!bind.executable) attributes |= MOUNT_ATTR_NOEXEC;
  if (Status s = setAttributes(mount.get(), attributes, MS_PRIVATE); !s)
    return wrap(std::move(s).error(), "mount '{}' at '{}'", bind.source, bind.target);
  return mount;
}

// openat2 so that nothing below a mount's root can lead out of it.
Result<UniqueFd> openPoint(int mount, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(
      ::syscall(SYS_openat2, mount, path.empty() ? "." : path.c_str(), &how, sizeof how)));
  if (!fd) return sysError(errno, "open '{}'", path);
  return fd;
}

// Modes are set apart from making because the process's umask belongs to its caller.
Status makeDirectory(int mount, const std::string& path) {
  if (::mkdirat(mount, path.c_str(), kDirectoryMode) != 0) {
    if (errno == EEXIST) return {};
    return sysError(errno, "make directory '/{}'", path);
  }
  if (::fchmodat(mount, path.c_str(), kDirectoryMode, 0) != 0)
    return sysError(errno, "set mode of '/{}'", path);
  return {};
}

Status makeParents(int mount, const std::string& path) {
  for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
    ORRERY_TRY(makeDirectory(mount, path.substr(0, at)));
  return {};
}

Status makeFile(int mount, const std::string& path, std::string_view text) {
  UniqueFd fd(::openat(mount, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       kTextMode));
  if (!fd) return sysError(errno, "make file '/{}'", path);
  if (::fchmod(fd.get(), kTextMode) != 0) return sysError(errno, "set mode of '/{}'", path);
  if (Status s = writeAll(fd.get(), text); !s)
    return wrap(std::move(s).error(), "file '/{}'", path);
  return {};
}

Status makeDevice(int mount, const std::string& path, const DeviceNode& node) {
  if (::mknodat(mount, path.c_str(), S_IFCHR | kDeviceMode, ::makedev(node.major, node.minor)) != 0)
    return sysError(errno, "make device '/dev/{}' ({}:{})", node.name, node.major, node.minor);
  if (::fchmodat(mount, path.c_str(), kDeviceMode, 0) != 0)
    return sysError(errno, "set mode of '/dev/{}'", node.name);
  return {};
}

class Builder {
 public:
  Builder(const RootSpec& root, HostOwner owner) : spec_(root), owner_(owner) {}

  Result<PreparedRoot> build() {
    ORRERY_TRY_ASSIGN(plan_, planMounts(spec_));
    for (const PlannedMount& planned : plan_.mounts) ORRERY_TRY(addMount(planned));
    for (std::size_t i = 1; i < plan_.mounts.size(); ++i) {
      if (Status s = makePoint(i); !s)
        return wrap(std::move(s).error(), "mount point '{}'", plan_.mounts[i].target);
    }
    for (const PlannedEntry& entry : plan_.entries) ORRERY_TRY(addEntry(entry));
    // Only now: these had to be filled.
    for (const PreparedMount& m : out_.mounts) {
      if (m.kind == MountKind::root || m.kind == MountKind::devices)
        ORRERY_TRY(setAttributes(m.mount.get(), MOUNT_ATTR_RDONLY));
    }
    return std::move(out_);
  }

 private:
  Status addMount(const PlannedMount& planned) {
    PreparedMount mount;
    mount.kind = planned.kind;
    mount.target = planned.target;
    constexpr unsigned kInert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    switch (planned.kind) {
      case MountKind::root: {
        mount.source = "tmpfs";
        ORRERY_TRY_ASSIGN(mount.mount, makeTmpfs(TmpfsOptions{kRootSize, kRootInodes},
                                                 kInert | MOUNT_ATTR_NODEV));
        break;
      }
      case MountKind::devices: {
        mount.source = "devices";
        ORRERY_TRY_ASSIGN(mount.mount, makeTmpfs(TmpfsOptions{kDevSize, kMaxEntries * 4}, kInert));
        break;
      }
      case MountKind::tmpfs: {
        ORRERY_TRY_ASSIGN(mount.mount, makeOwnTmpfs(spec_.tmpfs[planned.index]));
        mount.source = "tmpfs";
        mount.writable = true;
        break;
      }
      case MountKind::bind: {
        const BindMount& bind = spec_.binds[planned.index];
        ORRERY_TRY_ASSIGN(mount.mount, makeBind(bind));
        mount.source = bind.source;
        mount.writable = bind.writable;
        mount.executable = bind.executable;
        break;
      }
      case MountKind::proc:
        mount.source = "proc";
        break;
    }
    out_.mounts.push_back(std::move(mount));
    return {};
  }

  Result<UniqueFd> makeOwnTmpfs(const TmpfsMount& tmpfs) const {
    if (tmpfs.size == 0)
      return error("mount tmpfs at '{}': size 0 would be no limit", tmpfs.target);
    if ((tmpfs.mode & ~07777U) != 0)
      return error("mount tmpfs at '{}': mode {:o} is none", tmpfs.target, tmpfs.mode);
    const auto inodes =
        static_cast<unsigned>(std::min<std::uint64_t>(tmpfs.size / 4096 + 64, 65536));
    auto mount = makeTmpfs(TmpfsOptions{tmpfs.size, inodes, tmpfs.mode, owner_.uid, owner_.gid},
                           MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (!mount) return wrap(std::move(mount).error(), "mount tmpfs at '{}'", tmpfs.target);
    return mount;
  }

  // Where the mount point lies in our own tmpfs it is made; in a bind it has to be there.
  Status makePoint(std::size_t index) const {
    const PlannedMount& planned = plan_.mounts[index];
    const PreparedMount& on = out_.mounts[planned.on];
    if (on.kind == MountKind::bind) {
      auto point = openPoint(on.mount.get(), planned.point);
      if (!point) return wrap(std::move(point).error(), "in the bind of '{}'", on.source);
      return {};
    }
    ORRERY_TRY(makeParents(on.mount.get(), planned.point));
    ORRERY_TRY_ASSIGN(const bool directory, isDirectory(index));
    if (directory) return makeDirectory(on.mount.get(), planned.point);
    return makeFile(on.mount.get(), planned.point, "");
  }

  Result<bool> isDirectory(std::size_t index) const {
    if (plan_.mounts[index].kind == MountKind::proc) return true;
    struct stat st {};
    if (::fstat(out_.mounts[index].mount.get(), &st) != 0)
      return sysError(errno, "stat '{}'", out_.mounts[index].source);
    return S_ISDIR(st.st_mode);
  }

  Status addEntry(const PlannedEntry& entry) const {
    const int on = out_.mounts[entry.on].mount.get();
    ORRERY_TRY(makeParents(on, entry.path));
    switch (entry.kind) {
      case EntryKind::device:
        return makeDevice(on, entry.path, spec_.devices[entry.index]);
      case EntryKind::file:
        return makeFile(on, entry.path, spec_.files[entry.index].text);
      case EntryKind::symlink:
        break;
    }
    const auto& [to, path] = spec_.symlinks[entry.index];
    if (::symlinkat(to.c_str(), on, entry.path.c_str()) != 0)
      return sysError(errno, "link '{}' to '{}'", path, to);
    return {};
  }

  const RootSpec& spec_;
  HostOwner owner_;
  MountPlan plan_;
  PreparedRoot out_;
};

}  // namespace

Result<PreparedRoot> prepareRoot(const RootSpec& root, HostOwner owner) {
  return Builder(root, owner).build();
}

}  // namespace orrery
