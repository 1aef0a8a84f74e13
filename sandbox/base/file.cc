#include "sandbox/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace orrery {
namespace {

constexpr std::string_view kTemporaryEnd = ".XXXXXX";  // mkostemp(3) writes over the X

struct DirCloser {
  void operator()(DIR* d) const noexcept { (void)::closedir(d); }
};
using UniqueDir = std::unique_ptr<DIR, DirCloser>;

Result<std::vector<std::string>> namesIn(UniqueFd dirFd, const std::string& path) {
  UniqueDir dir(::fdopendir(dirFd.get()));
  if (!dir) return sysError(errno, "read directory '{}'", path);
  (void)dirFd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
    errno = 0;
  }
  if (errno != 0) return sysError(errno, "read directory '{}'", path);
  std::ranges::sort(names);
  return names;
}

// Empties a directory whose depth somebody else chose: with two descriptors, however deep it is.
// What lies in a subdirectory and is a directory with something in it is moved up, to be its
// neighbour.
class Emptier {
 public:
  explicit Emptier(int top) : top_(top) {}

  Status empty() {
    for (;;) {
      ORRERY_TRY_ASSIGN(const auto names, namesOf(top_));
      if (names.empty()) return {};
      for (const std::string& name : names) {
        ORRERY_TRY_ASSIGN(const bool gone, removeSimple(top_, name));
        if (!gone) ORRERY_TRY(flatten(name));
      }
    }
  }

 private:
  static Result<std::vector<std::string>> namesOf(int directory) {
    UniqueFd listing(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!listing) return sysError(errno, "open a directory");
    return namesIn(std::move(listing), ".");
  }

  // False: a directory that is not empty.
  static Result<bool> removeSimple(int directory, const std::string& name) {
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) return sysError(errno, "remove '{}'", name);
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    return sysError(errno, "remove directory '{}'", name);
  }

  Status flatten(const std::string& name) {
    const UniqueFd sub(
        ::openat(top_, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!sub) return sysError(errno, "open directory '{}'", name);
    ORRERY_TRY_ASSIGN(const auto names, namesOf(sub.get()));
    for (const std::string& below : names) {
      ORRERY_TRY_ASSIGN(const bool gone, removeSimple(sub.get(), below));
      if (!gone) ORRERY_TRY(moveUp(sub.get(), below));
    }
    return {};
  }

  Status moveUp(int from, const std::string& name) {
    for (;;) {
      const std::string free = fmt::format(".removed-{}", next_++);
      if (::renameat2(from, name.c_str(), top_, free.c_str(), RENAME_NOREPLACE) == 0) return {};
      if (errno != EEXIST) return sysError(errno, "move '{}' up", name);
    }
  }

  int top_;
  unsigned next_ = 0;
};

Status removeTreeAt(int dirFd, const std::string& name) {
  if (::unlinkat(dirFd, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return sysError(errno, "remove '{}'", name);
  const UniqueFd top(
      ::openat(dirFd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return sysError(errno, "open directory '{}'", name);
  if (Status emptied = Emptier(top.get()).empty(); !emptied)
    return wrap(std::move(emptied).error(), "in '{}'", name);
  if (::unlinkat(dirFd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return sysError(errno, "remove directory '{}'", name);
  return {};
}

// Bounded far above what a service's state has: the tree may have been left by one who means to
// exhaust whoever walks it.
// What was given before that is seen stays given.
constexpr std::size_t kMostGiven = 20'000;  // files
constexpr int kDeepestGiven = 16;           // levels; two descriptors for each

class Giver {
 public:
  Giver(uid_t user, gid_t group) : user_(user), group_(group) {}

  // A directory is opened first and given by its descriptor, so that nothing can take its place.
  Status give(int dirFd, const std::string& name, int depth) {
    if (++given_ > kMostGiven) return error("more than {} files", kMostGiven);
    if (depth > kDeepestGiven) return error("'{}': more than {} levels", name, kDeepestGiven);
    const UniqueFd sub(
        ::openat(dirFd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!sub && (errno == ENOTDIR || errno == ELOOP)) return giveFile(dirFd, name);
    if (!sub) return sysError(errno, "open directory '{}'", name);
    if (::fchown(sub.get(), user_, group_) != 0) return sysError(errno, "give '{}' away", name);
    UniqueFd listing(::fcntl(sub.get(), F_DUPFD_CLOEXEC, 0));
    if (!listing) return sysError(errno, "duplicate descriptor of '{}'", name);
    ORRERY_TRY_ASSIGN(const auto names, namesIn(std::move(listing), name));
    for (const std::string& child : names) ORRERY_TRY(give(sub.get(), child, depth + 1));
    return {};
  }

 private:
  Status giveFile(int dirFd, const std::string& name) const {
    if (::fchownat(dirFd, name.c_str(), user_, group_, AT_SYMLINK_NOFOLLOW) == 0) return {};
    return sysError(errno, "give '{}' to user {}", name, user_);
  }

  uid_t user_;
  gid_t group_;
  std::size_t given_ = 0;
};

}  // namespace

Result<UniqueFd> openFile(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return sysError(errno, "open '{}'", path);
  return fd;
}

Result<UniqueFd> openBeneath(int dirFd, const std::string& relativePath, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<__u64>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(
      static_cast<int>(::syscall(SYS_openat2, dirFd, relativePath.c_str(), &how, sizeof how)));
  if (!fd) return sysError(errno, "open '{}'", relativePath);
  return fd;
}

Result<std::string> readAll(int fd, std::size_t limit) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sysError(errno, "read");
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > limit) return sysError(EFBIG, "more than {} bytes", limit);
  }
}

Result<std::string> readFile(const std::string& path, std::size_t limit) {
  ORRERY_TRY_ASSIGN(const UniqueFd fd, openFile(path, O_RDONLY));
  auto text = readAll(fd.get(), limit);
  if (!text) return wrap(std::move(text).error(), "'{}'", path);
  return text;
}

Result<std::string> readForeignFile(const std::string& path, std::size_t limit) {
  ORRERY_TRY_ASSIGN(const UniqueFd fd,
                    openFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return sysError(errno, "look at '{}'", path);
  if (!S_ISREG(st.st_mode)) return error("'{}' is no regular file", path);
  auto text = readAll(fd.get(), limit);
  if (!text) return wrap(std::move(text).error(), "'{}'", path);
  return text;
}

Status writeAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sysError(errno, "write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status writeFileAtomic(const std::string& path, std::string_view text, mode_t mode) {
  const std::size_t slash = path.rfind('/');
  const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
  std::string temporary =
      path.substr(0, base) + "." + path.substr(base) + std::string(kTemporaryEnd);
  {
    // A new file (O_EXCL) with mode 0600 until it is whole.
    const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) return sysError(errno, "make a temporary file for '{}'", path);
    Status written = writeAll(fd.get(), text);
    if (written && ::fchmod(fd.get(), mode) != 0) written = sysError(errno, "set mode");
    if (!written) {
      (void)::unlink(temporary.c_str());
      return wrap(std::move(written).error(), "'{}'", path);
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int err = errno;
    (void)::unlink(temporary.c_str());
    return sysError(err, "rename to '{}'", path);
  }
  return {};
}

Result<std::vector<std::string>> removeTemporaries(const std::string& directory) {
  std::vector<std::string> removed;
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory));
  for (const std::string& name : names) {
    const std::size_t end = name.rfind('.');
    if (name[0] != '.' || end == 0 || name.size() - end != kTemporaryEnd.size()) continue;
    removed.push_back(directory + "/" + name);
    ORRERY_TRY(removeFile(removed.back()));
  }
  return removed;
}

Status writeExisting(const std::string& path, std::string_view text) {
  ORRERY_TRY_ASSIGN(const UniqueFd fd, openFile(path, O_WRONLY));
  const ssize_t n = ::write(fd.get(), text.data(), text.size());
  if (n < 0) return sysError(errno, "write '{}' to '{}'", text, path);
  if (static_cast<std::size_t>(n) != text.size())
    return error("write '{}' to '{}': {} of {} bytes taken", text, path, n, text.size());
  return {};
}

Status makeDirectories(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};  // as a rule
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/') continue;
    const std::string prefix = path.substr(0, end);
    if (::mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST)
      return sysError(errno, "make directory '{}'", prefix);
  }
  return {};
}

Status removeDirectory(const std::string& path) {
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT)
    return sysError(errno, "remove directory '{}'", path);
  return {};
}

Status removeFile(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return sysError(errno, "remove '{}'", path);
  return {};
}

Status removeTree(const std::string& path) {
  return removeTreeAt(AT_FDCWD, path);
}

Status giveTree(const std::string& path, uid_t user, gid_t group) {
  Status given = Giver(user, group).give(AT_FDCWD, path, 0);
  if (!given) return wrap(std::move(given).error(), "give '{}' to user {}", path, user);
  return {};
}

bool pathExists(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

Result<std::vector<std::string>> listDirectory(const std::string& path) {
  auto fd = openFile(path, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().err == ENOENT) return std::vector<std::string>{};
  if (!fd) return tl::unexpected<Error>(std::move(fd).error());
  return namesIn(std::move(fd).value(), path);
}

}  // namespace orrery
