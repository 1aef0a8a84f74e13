// /proc/sys/net shows the network namespace of the thread that looks.
#include <fcntl.h>

#include <map>

#include "netns/namespace/netns.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::string_view kRoot = "/proc/sys/net/";

// A key comes from a plan, yet it is a path that root writes to: nothing that leads elsewhere.
Status checkKey(const std::string& key) {
  for (const std::string_view part : split(key, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      return sysError(EINVAL, "'{}' cannot be a sysctl below net/", key);
  }
  return {};
}

// The directories right below the root ("ipv4"), each opened once. There the kernel keeps the
// entries of all namespaces under one hash and compares with each (proc_sys_compare(), fs/proc), so
// that one walk by the whole path for each key would cost the more the more namespaces there are.
class SysctlWriter {
 public:
  Status write(const std::string& key, const std::string& value) {
    ORRERY_TRY(checkKey(key));
    const std::size_t slash = key.find('/');
    if (slash == std::string::npos) return writeExisting(std::string(kRoot) + key, value);
    UniqueFd& directory = directories_[key.substr(0, slash)];
    if (!directory) {
      ORRERY_TRY_ASSIGN(
          directory, openFile(std::string(kRoot) + key.substr(0, slash), O_RDONLY | O_DIRECTORY));
    }
    const UniqueFd fd(
        ::openat(directory.get(), key.c_str() + slash + 1, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return sysError(errno, "open '{}{}'", kRoot, key);
    return writeAll(fd.get(), value);
  }

 private:
  std::map<std::string, UniqueFd> directories_;
};

}  // namespace

Status setSysctls(const NetnsFd& netns, const std::vector<Sysctl>& values) {
  if (values.empty()) return {};
  return inNetns(netns, [&]() -> Status {
    SysctlWriter writer;
    for (const auto& [key, value] : values) {
      if (Status s = writer.write(key, value); !s)
        return wrap(std::move(s).error(), "set sysctl net/{} to '{}'", key, value);
    }
    return {};
  });
}

Result<std::vector<Sysctl>> getSysctls(const NetnsFd& netns, const std::vector<std::string>& keys) {
  if (keys.empty()) return std::vector<Sysctl>{};
  return inNetns(netns, [&]() -> Result<std::vector<Sysctl>> {
    std::vector<Sysctl> out;
    for (const std::string& key : keys) {
      ORRERY_TRY(checkKey(key));
      Result<std::string> text = readFile(std::string(kRoot) + key);
      if (!text) return wrap(std::move(text).error(), "read sysctl net/{}", key);
      out.emplace_back(key, std::string(trim(*text)));
    }
    return out;
  });
}

}  // namespace orrery
