// Landlock: a process restricts its own access to files, as a second wall behind the mounts.
//
// The ruleset is made by the parent, where errors are values; the child only calls restrictSelf,
// which is async-signal-safe. Debian 12's headers stop at ABI 2; the newer bits are spelt out in
// landlock.cc from Linux 6.12's include/uapi/linux/landlock.h. Rules name files by inode, so that a
// rule made through a host path holds for the same file behind a bind mount.
#pragma once

#include <string>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct LandlockAccess {
  bool read = false;  // files and directory listings
  bool execute = false;
  bool write = false;    // contents, and making, renaming and removing entries
  bool devices = false;  // ioctl(2) on device files (ABI 5; free below that)
  friend bool operator==(const LandlockAccess&, const LandlockAccess&) = default;
};
struct LandlockPath {
  std::string path;  // a file or a directory with all below it
  LandlockAccess access;
  friend bool operator==(const LandlockPath&, const LandlockPath&) = default;
};
struct LandlockFd {  // the same for an open file (O_PATH is enough), e.g. a detached mount
  int fd = -1;
  LandlockAccess access;
};

// 0: the kernel has none, or has it switched off. 1: 5.13, 2: 5.19, 3: 6.2, 4: 6.7, 5: 6.10,
// 6: 6.12.
int landlockAbi();

// The ruleset's descriptor. Handles every file access that `abi` knows; what no rule allows is
// denied. From ABI 6 on, also abstract unix sockets and signals to processes outside of the domain.
Result<UniqueFd> makeRuleset(int abi, const std::vector<LandlockPath>& paths,
                             const std::vector<LandlockFd>& files = {});

// Returns 0 or an errno. Needs no_new_privs (or CAP_SYS_ADMIN). Async-signal-safe.
int restrictSelf(int ruleset) noexcept;

}  // namespace orrery
