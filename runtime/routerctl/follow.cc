#include "runtime/routerctl/follow.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxLine = 64u << 10;

}  // namespace

Result<LogFollower> LogFollower::open(std::string directory,
                                      std::function<bool(std::string_view)> accept) {
  LogFollower follower;
  follower.directory_ = std::move(directory);
  follower.accept_ = std::move(accept);
  follower.inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!follower.inotify_) return sysError(errno, "start inotify");
  // Watched before it is first read, so that nothing falls in between.
  if (::inotify_add_watch(follower.inotify_.get(), follower.directory_.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
    return sysError(errno, "watch '{}'", follower.directory_);
  return follower;
}

// Opens files that are new under their name; the rest of a replaced one has been read before.
Status LogFollower::refresh() {
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory_));
  for (const std::string& name : names) {
    if (!accept_(name)) continue;
    const std::string path = directory_ + "/" + name;
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    File& file = files_[name];
    if (file.fd && file.inode == st.st_ino) continue;
    ORRERY_TRY_ASSIGN(file.fd, openFile(path, O_RDONLY | O_NOFOLLOW));
    file.inode = st.st_ino;
    file.offset = 0;
    file.partial.clear();
  }
  return {};
}

Status LogFollower::readFile(const std::string& name, File& file, const EachLine& each, bool skip) {
  struct stat st {};
  if (::fstat(file.fd.get(), &st) != 0) return sysError(errno, "stat '{}'", name);
  if (st.st_size < file.offset) file.offset = 0;
  if (skip) file.offset = st.st_size;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::pread(file.fd.get(), buffer, sizeof buffer, file.offset);
    if (n < 0) return sysError(errno, "read '{}'", name);
    if (n == 0) return {};
    file.offset += n;
    file.partial.append(buffer, static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end; (end = file.partial.find('\n', begin)) != std::string::npos;
         begin = end + 1)
      each(name, std::string_view(file.partial).substr(begin, end - begin));
    file.partial.erase(0, begin);
    if (file.partial.size() < kMaxLine) continue;
    each(name, file.partial);
    file.partial.clear();
  }
}

Status LogFollower::readNew(const EachLine& each, bool skip) {
  // First what the files we hold still have, then those that took their places.
  for (auto& [name, file] : files_) ORRERY_TRY(readFile(name, file, each, skip));
  ORRERY_TRY(refresh());
  for (auto& [name, file] : files_) ORRERY_TRY(readFile(name, file, each, skip));
  return {};
}

Status LogFollower::wait() {
  pollfd p{inotify_.get(), POLLIN, 0};
  if (::poll(&p, 1, -1) < 0) return sysError(errno, "wait for changes in '{}'", directory_);
  alignas(inotify_event) char buffer[4096];
  bool gone = false;
  for (ssize_t n; (n = ::read(inotify_.get(), buffer, sizeof buffer)) > 0;)
    for (ssize_t at = 0; at < n;) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      gone = gone || (event.mask & (IN_DELETE_SELF | IN_IGNORED)) != 0;
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  if (gone) return sysError(ENOENT, "'{}' has been removed", directory_);
  return {};
}

}  // namespace orrery
