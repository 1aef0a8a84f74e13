#include "sandbox/namespaces/mount_plan.h"

#include <algorithm>
#include <climits>
#include <set>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::string_view kDev = "/dev";

bool isBelow(std::string_view path, std::string_view directory) {
  if (directory == "/") return path != "/";
  return path.size() > directory.size() && path.substr(0, directory.size()) == directory &&
         path[directory.size()] == '/';
}

std::size_t depth(std::string_view path) {
  return path == "/" ? 0 : static_cast<std::size_t>(std::ranges::count(path, '/'));
}

std::string relativeTo(std::string_view path, std::string_view directory) {
  return std::string(path.substr(directory == "/" ? 1 : directory.size() + 1));
}

class Planner {
 public:
  explicit Planner(const RootSpec& root) : root_(root) {}

  Result<MountPlan> plan() {
    ORRERY_TRY(checkCounts());
    ORRERY_TRY(collectMounts());
    for (std::size_t i = 1; i < plan_.mounts.size(); ++i) {
      PlannedMount& mount = plan_.mounts[i];
      mount.on = covering(mount.target);
      mount.point = relativeTo(mount.target, plan_.mounts[mount.on].target);
      if (plan_.mounts[mount.on].kind == MountKind::proc)
        return error("'{}': nothing can be mounted in /proc", mount.target);
    }
    ORRERY_TRY(collectEntries());
    ORRERY_TRY(checkNothingBelowEntries());
    return std::move(plan_);
  }

 private:
  Status checkCounts() const {
    if (root_.binds.size() + root_.tmpfs.size() > kMaxMounts)
      return error("more than {} mounts", kMaxMounts);
    if (root_.devices.size() + root_.files.size() + root_.symlinks.size() > kMaxEntries)
      return error("more than {} devices, files and links", kMaxEntries);
    return {};
  }

  Status take(const std::string& path) {
    if (!isCanonicalPath(path) || path == "/")
      return error("'{}' is not a canonical absolute path below /", path);
    if (!taken_.insert(path).second) return error("two things are to be at '{}'", path);
    return {};
  }

  Status addMount(MountKind kind, std::size_t index, const std::string& target) {
    ORRERY_TRY(take(target));
    plan_.mounts.push_back(PlannedMount{kind, index, target, 0, {}});
    return {};
  }

  Status collectMounts() {
    plan_.mounts.push_back(PlannedMount{MountKind::root, 0, "/", 0, {}});
    for (std::size_t i = 0; i < root_.binds.size(); ++i) {
      if (!isCanonicalPath(root_.binds[i].source))
        return error("bind source '{}' is not a canonical absolute path", root_.binds[i].source);
      ORRERY_TRY(addMount(MountKind::bind, i, root_.binds[i].target));
    }
    for (std::size_t i = 0; i < root_.tmpfs.size(); ++i)
      ORRERY_TRY(addMount(MountKind::tmpfs, i, root_.tmpfs[i].target));
    if (!root_.devices.empty()) ORRERY_TRY(addMount(MountKind::devices, 0, std::string(kDev)));
    if (root_.proc) ORRERY_TRY(addMount(MountKind::proc, 0, "/proc"));
    std::ranges::stable_sort(plan_.mounts, {},
                             [](const PlannedMount& m) { return depth(m.target); });
    return {};
  }

  // The mount that `path` lies on: the one with the longest target above it.
  std::size_t covering(std::string_view path) const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < plan_.mounts.size(); ++i) {
      const std::string& target = plan_.mounts[i].target;
      if (isBelow(path, target) && target.size() > plan_.mounts[best].target.size()) best = i;
    }
    return best;
  }

  Status addEntry(EntryKind kind, std::size_t index, const std::string& path) {
    ORRERY_TRY(take(path));
    const std::size_t on = covering(path);
    const PlannedMount& mount = plan_.mounts[on];
    if (mount.kind == MountKind::bind || mount.kind == MountKind::proc)
      return error("'{}' would be written into what is mounted at '{}'", path, mount.target);
    plan_.entries.push_back(PlannedEntry{kind, index, on, relativeTo(path, mount.target)});
    return {};
  }

  Status collectEntries() {
    for (std::size_t i = 0; i < root_.devices.size(); ++i)
      ORRERY_TRY(addEntry(EntryKind::device, i, fmt::format("{}/{}", kDev, root_.devices[i].name)));
    for (std::size_t i = 0; i < root_.files.size(); ++i) {
      if (root_.files[i].text.size() > kMaxTextFile)
        return error("'{}' has more than {} bytes", root_.files[i].target, kMaxTextFile);
      ORRERY_TRY(addEntry(EntryKind::file, i, root_.files[i].target));
    }
    for (std::size_t i = 0; i < root_.symlinks.size(); ++i) {
      const std::string& to = root_.symlinks[i].first;
      if (to.empty() || to.size() >= PATH_MAX || to.find('\0') != std::string::npos)
        return error("the link '{}' points nowhere", root_.symlinks[i].second);
      ORRERY_TRY(addEntry(EntryKind::symlink, i, root_.symlinks[i].second));
    }
    return {};
  }

  // A path through a link would be made wherever the link leads to, on the host.
  Status checkNothingBelowEntries() const {
    for (const PlannedEntry& entry : plan_.entries) {
      const std::string& base = plan_.mounts[entry.on].target;
      const std::string path = (base == "/" ? "" : base) + "/" + entry.path;
      const auto below = taken_.lower_bound(path + "/");
      if (below != taken_.end() && isBelow(*below, path))
        return error("'{}' would lie below '{}', which is no directory", *below, path);
    }
    return {};
  }

  const RootSpec& root_;
  MountPlan plan_;
  std::set<std::string> taken_;
};

}  // namespace

bool isCanonicalPath(std::string_view path) {
  if (path == "/") return true;
  if (path.size() < 2 || path.size() >= PATH_MAX || path[0] != '/') return false;
  if (path.find('\0') != std::string_view::npos) return false;
  for (std::string_view part : split(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX) return false;
  }
  return true;
}

Result<MountPlan> planMounts(const RootSpec& root) {
  return Planner(root).plan();
}

}  // namespace orrery
