// /proc/sys/net shows the network namespace of the thread that looks.
#include <fcntl.h>

#include <map>

#include "netns/namespace/netns.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/namespaces/procfs.h"

namespace orrery {
namespace {

constexpr std::string_view kBelow = "sys/net/";

// A key comes from a plan, yet it is a path that root writes to: nothing that leads elsewhere.
Status checkKey(const std::string& key) {
  for (const std::string_view part : split(key, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      return sysError(EINVAL, "'{}' cannot be a sysctl below net/", key);
  }
  return {};
}

// The keys of the namespace that the thread is in. By a procfs of its own, and the directories
// right below the root ("ipv4") each opened once: see procfs.h for what a walk by the whole path
// costs.
class SysctlTree {
 public:
  static Result<SysctlTree> open() {
    ORRERY_TRY_ASSIGN(UniqueFd proc, openProcfs());
    return SysctlTree(std::move(proc));
  }
  Result<UniqueFd> openKey(const std::string& key, int flags) {
    ORRERY_TRY(checkKey(key));
    const std::size_t slash = key.find('/');
    if (slash == std::string::npos)
      return openAt(proc_.get(), std::string(kBelow) + key, key, flags);
    UniqueFd& directory = directories_[key.substr(0, slash)];
    if (!directory) {
      ORRERY_TRY_ASSIGN(directory, openAt(proc_.get(), std::string(kBelow) + key.substr(0, slash),
                                          key, O_RDONLY | O_DIRECTORY));
    }
    return openAt(directory.get(), key.substr(slash + 1), key, flags);
  }

 private:
  explicit SysctlTree(UniqueFd proc) : proc_(std::move(proc)) {}
  static Result<UniqueFd> openAt(int directory, const std::string& path, const std::string& key,
                                 int flags) {
    UniqueFd fd(::openat(directory, path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return sysError(errno, "open '/proc/{}{}'", kBelow, key);
    return fd;
  }
  UniqueFd proc_;
  std::map<std::string, UniqueFd> directories_;
};

Status writeKey(SysctlTree& tree, const std::string& key, const std::string& value) {
  ORRERY_TRY_ASSIGN(const UniqueFd fd, tree.openKey(key, O_WRONLY));
  return writeAll(fd.get(), value);
}

Result<std::string> readKey(SysctlTree& tree, const std::string& key) {
  ORRERY_TRY_ASSIGN(const UniqueFd fd, tree.openKey(key, O_RDONLY));
  return readAll(fd.get());
}

}  // namespace

Status setSysctls(const NetnsFd& netns, const std::vector<Sysctl>& values) {
  if (values.empty()) return {};
  return inNetns(netns, [&]() -> Status {
    ORRERY_TRY_ASSIGN(SysctlTree tree, SysctlTree::open());
    for (const auto& [key, value] : values) {
      if (Status s = writeKey(tree, key, value); !s)
        return wrap(std::move(s).error(), "set sysctl net/{} to '{}'", key, value);
    }
    return {};
  });
}

Result<std::vector<Sysctl>> getSysctls(const NetnsFd& netns, const std::vector<std::string>& keys) {
  if (keys.empty()) return std::vector<Sysctl>{};
  return inNetns(netns, [&]() -> Result<std::vector<Sysctl>> {
    ORRERY_TRY_ASSIGN(SysctlTree tree, SysctlTree::open());
    std::vector<Sysctl> out;
    for (const std::string& key : keys) {
      Result<std::string> text = readKey(tree, key);
      if (!text) return wrap(std::move(text).error(), "read sysctl net/{}", key);
      out.emplace_back(key, std::string(trim(*text)));
    }
    return out;
  });
}

}  // namespace orrery
