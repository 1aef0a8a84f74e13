// A service's root file system, prepared as detached mounts by the parent.
//
// Built with the new mount API (fsopen, fsmount, open_tree, mount_setattr; Linux 5.12): the root's
// tmpfs is filled and every mount has its final attributes before a child exists, so that the child
// only attaches them (move_mount) and nothing is ever visible in the caller's mount namespace. The
// descriptors are the only references: closing them undoes everything.
//
// Everything is nosuid; only /dev is without nodev; only binds that say so are without noexec; only
// tmpfs mounts and writable binds are without ro. Binds are not recursive, and private.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"
#include "sandbox/namespaces/mount_plan.h"
#include "sandbox/process/sandbox_spec.h"

namespace orrery {

struct HostOwner {  // as the host numbers them
  uid_t uid = 0;
  gid_t gid = 0;
};

struct PreparedMount {
  MountKind kind = MountKind::bind;
  UniqueFd mount;      // none for proc: it shows the pid namespace of who mounts it
  std::string target;  // absolute, in the new root
  std::string source;  // for messages
  bool writable = false;
  bool executable = false;
};
struct PreparedRoot {
  std::vector<PreparedMount> mounts;  // [0] is the root
};

// Needs CAP_SYS_ADMIN and CAP_MKNOD. `owner` gets the tmpfs mounts.
Result<PreparedRoot> prepareRoot(const RootSpec& root, HostOwner owner);

}  // namespace orrery
