// Small files, whole: reading with a limit, writing so that a reader sees the old or the new text.
//
// All paths are opened O_CLOEXEC. Functions with "Beneath" use openat2(2) with RESOLVE_BENEATH |
// RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS (Linux 5.6) and serve directories that others can
// write to.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

inline constexpr std::size_t kDefaultReadLimit = 1 << 20;  // bytes

Result<UniqueFd> openFile(const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> openBeneath(int dirFd, const std::string& relativePath, int flags,
                             mode_t mode = 0);

// The whole file. More than `limit` bytes is an error (EFBIG), never a cut.
Result<std::string> readFile(const std::string& path, std::size_t limit = kDefaultReadLimit);
// The same in a directory whose owner we do not trust: a link is not followed (ELOOP), and what is no
// regular file (a FIFO would make us wait) is refused.
Result<std::string> readForeignFile(const std::string& path, std::size_t limit = kDefaultReadLimit);
Result<std::string> readAll(int fd, std::size_t limit = kDefaultReadLimit);

// Writes to a temporary file in the same directory, then renames it over `path`. The temporary name
// begins with '.', so that who reads whole directories (dnsmasq's hosts.d) leaves it alone.
Status writeFileAtomic(const std::string& path, std::string_view text, mode_t mode = 0644);
// Removes the temporary files of writers that were killed, and returns their paths. Nobody may be
// writing into the directory meanwhile; a missing one is fine.
Result<std::vector<std::string>> removeTemporaries(const std::string& directory);

// For sysctl, cgroup and procfs files: one write(2) of the whole text into an existing file.
Status writeExisting(const std::string& path, std::string_view text);

Status writeAll(int fd, std::string_view bytes);

// mkdir -p; directories made get `mode`. Existing ones are left as they are.
Status makeDirectories(const std::string& path, mode_t mode = 0755);
// rmdir; a missing directory is fine.
Status removeDirectory(const std::string& path);
// unlink; a missing file is fine.
Status removeFile(const std::string& path);
// Gives a tree to a user and its group, links themselves and not what they point to. For a state
// directory whose owner got another id.
Status giveTree(const std::string& path, uid_t user, gid_t group);
// Removes a tree without following symbolic links; a missing one is fine.
Status removeTree(const std::string& path);
bool pathExists(const std::string& path);
// Names in a directory, sorted, without "." and "..". A missing directory is an empty list.
Result<std::vector<std::string>> listDirectory(const std::string& path);

}  // namespace orrery
