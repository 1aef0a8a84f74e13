// /proc/sys/net shows the network namespace of the thread that looks.
#include "netns/namespace/netns.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

// A key comes from a plan, yet it is a path that root writes to: nothing that leads elsewhere.
Result<std::string> sysctlPath(const std::string& key) {
  for (const std::string_view part : split(key, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      return sysError(EINVAL, "'{}' cannot be a sysctl below net/", key);
  }
  return "/proc/sys/net/" + key;
}

}  // namespace

Status setSysctls(const NetnsFd& netns, const std::vector<Sysctl>& values) {
  if (values.empty()) return {};
  return inNetns(netns, [&]() -> Status {
    for (const auto& [key, value] : values) {
      ORRERY_TRY_ASSIGN(const std::string path, sysctlPath(key));
      if (Status s = writeExisting(path, value); !s)
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
      ORRERY_TRY_ASSIGN(const std::string path, sysctlPath(key));
      Result<std::string> text = readFile(path);
      if (!text) return wrap(std::move(text).error(), "read sysctl net/{}", key);
      out.emplace_back(key, std::string(trim(*text)));
    }
    return out;
  });
}

}  // namespace orrery
