#include "runtime/supervisor/tor_data.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sandbox/base/file.h"
#include "sandbox/namespaces/tmpfs.h"

namespace orrery {
namespace {

constexpr const char* kGuards = "state";
// By what a lack of room leaves out last.
constexpr const char* kKept[] = {kGuards,
                                 "cached-certs",
                                 "cached-microdesc-consensus",
                                 "cached-microdescs",
                                 "cached-microdescs.new",
                                 "cached-consensus",
                                 "cached-descriptors",
                                 "cached-descriptors.new"};
constexpr std::uint64_t kMostGuards = 1 << 20;  // bytes; some ten thousand are usual
constexpr unsigned kMostFiles = 1024;           // tor has some twenty

Status copyBytes(int from, int to, std::uint64_t limit) {
  std::array<char, std::size_t{64} << 10> buffer{};
  for (std::uint64_t copied = 0;;) {
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sysError(errno, "read");
    if (n == 0) return {};
    copied += static_cast<std::uint64_t>(n);
    if (copied > limit) return sysError(EFBIG, "more than {} bytes", limit);
    ORRERY_TRY(writeAll(to, std::string_view(buffer.data(), static_cast<std::size_t>(n))));
  }
}

// A directory's owner may have put anything under that name. The number of bytes. What is half
// copied after a crash is overwritten by the next copy.
Result<std::uint64_t> copyForeign(const std::string& from, const std::string& to,
                                  std::uint64_t limit, uid_t owner) {
  ORRERY_TRY_ASSIGN(const UniqueFd source,
                    openFile(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat st {};
  if (::fstat(source.get(), &st) != 0) return sysError(errno, "look at '{}'", from);
  if (!S_ISREG(st.st_mode)) return error("'{}' is no regular file", from);
  if (static_cast<std::uint64_t>(st.st_size) > limit)
    return sysError(EFBIG, "'{}' has more than {} bytes", from, limit);
  const std::size_t name = to.rfind('/') + 1;
  const std::string half = to.substr(0, name) + ".half-" + to.substr(name);
  {
    ORRERY_TRY_ASSIGN(const UniqueFd copy,
                      openFile(half, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    Status copied = copyBytes(source.get(), copy.get(), limit);
    if (copied && ::fchown(copy.get(), owner, owner) != 0) copied = sysError(errno, "give it away");
    if (!copied) {
      (void)::unlink(half.c_str());
      return wrap(std::move(copied).error(), "copy '{}' to '{}'", from, to);
    }
  }
  if (::rename(half.c_str(), to.c_str()) != 0) return sysError(errno, "rename to '{}'", to);
  return static_cast<std::uint64_t>(st.st_size);
}

}  // namespace

TorData::TorData(const ServiceContext& at)
    : data_(torDataDirectory(at.spec.id)),
      kept_(torStateDirectory(at.spec.id)),
      bytes_(torDataBytes(at.spec)),
      user_(hostUser(at.idBase, ServiceKind::tor)) {}

Result<bool> TorData::open() {
  ORRERY_TRY(makeDirectories(data_));
  ORRERY_TRY(makeDirectories(kept_, 0700));
  ORRERY_TRY_ASSIGN(const bool mounted, isMountPoint(data_));
  opened_ = mounted;
  if (mounted) return false;
  TmpfsOptions options;
  options.size = bytes_;
  options.inodes = kMostFiles;
  options.mode = 0700;
  options.uid = user_;
  options.gid = user_;
  ORRERY_TRY(mountTmpfs(data_, options));
  opened_ = true;
  return true;
}

Status TorData::fill() const {
  return copyAll(kept_, data_, user_);
}

Status TorData::copyAll(const std::string& from, const std::string& to, uid_t owner) const {
  std::uint64_t left = bytes_;
  Status result;
  for (const char* name : kKept) {
    const std::string target = fmt::format("{}/{}", to, name);
    const auto copied = copyForeign(fmt::format("{}/{}", from, name), target, left, owner);
    if (copied)
      left -= std::min(left, *copied);
    else if (copied.error().err == ENOENT && name != kGuards)
      (void)removeFile(target);  // the journal of a cache that has been merged
    else if (copied.error().err != ENOENT && result)
      result = tl::unexpected<Error>(copied.error());
  }
  return result;
}

Status TorData::keepGuards() {
  const std::string own = fmt::format("{}/{}", data_, kGuards);
  struct stat st {};
  if (::lstat(own.c_str(), &st) != 0) return {};  // tor has not yet written any
  const bool same = st.st_ino == guards_ && st.st_mtim.tv_sec == written_.tv_sec &&
                    st.st_mtim.tv_nsec == written_.tv_nsec;
  if (same) return {};
  ORRERY_TRY(copyForeign(own, fmt::format("{}/{}", kept_, kGuards), kMostGuards, 0));
  guards_ = st.st_ino;
  written_ = st.st_mtim;
  return {};
}

Status TorData::keepAll() {
  if (!opened_) return {};  // what was kept must not be taken for removed
  return copyAll(data_, kept_, 0);
}

bool TorData::full() const {
  struct statvfs st {};
  return ::statvfs(data_.c_str(), &st) == 0 && st.f_bavail < st.f_blocks / 16;
}

}  // namespace orrery
