// A tmpfs of a bounded size: the parts of a service's root, and directories that outlive a service.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct TmpfsOptions {
  std::uint64_t size = 0;  // bytes
  unsigned inodes = 0;     // each takes about 1 KiB of kernel memory that `size` does not count
  unsigned mode = 0755;
  uid_t uid = 0;  // as the host numbers them
  gid_t gid = 0;
};

// A mount that is nowhere yet. `attributes` are those of fsmount(2).
Result<UniqueFd> makeTmpfs(const TmpfsOptions& options, unsigned attributes);

// The same at a directory, in the caller's mount namespace, without devices, programs and
// set-user-id.
Status mountTmpfs(const std::string& directory, const TmpfsOptions& options);
// True if something is mounted there.
Result<bool> isMountPoint(const std::string& directory);
// Takes away what is mounted there, also if it is in use; nothing there is fine.
Status unmount(const std::string& directory);

}  // namespace orrery
