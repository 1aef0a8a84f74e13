// What has to be mounted and made where in a service's root, in order. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/process/sandbox_spec.h"

namespace orrery {

enum class MountKind { root, bind, tmpfs, devices, proc };

struct PlannedMount {
  MountKind kind = MountKind::bind;
  std::size_t index = 0;  // in RootSpec::binds or ::tmpfs
  std::string target;     // "/" for the root itself, else canonical
  std::size_t on = 0;     // the mount (index in MountPlan::mounts) that has its mount point
  std::string point;      // the mount point's path relative to `on`
  friend bool operator==(const PlannedMount&, const PlannedMount&) = default;
};
enum class EntryKind { device, file, symlink };

struct PlannedEntry {
  EntryKind kind = EntryKind::file;
  std::size_t index = 0;  // in RootSpec::devices, ::files or ::symlinks
  std::size_t on = 0;     // the mount it is made in: the root, a tmpfs or /dev, never a bind
  std::string path;       // relative to `on`
  friend bool operator==(const PlannedEntry&, const PlannedEntry&) = default;
};
struct MountPlan {
  std::vector<PlannedMount> mounts;  // [0] is the root; parents before what lies on them
  std::vector<PlannedEntry> entries;
  friend bool operator==(const MountPlan&, const MountPlan&) = default;
};

inline constexpr std::size_t kMaxMounts = 128;
inline constexpr std::size_t kMaxEntries = 256;
inline constexpr std::size_t kMaxTextFile = std::size_t{256} * 1024;  // bytes

// Absolute, no empty, "." or ".." component, no trailing '/', no NUL, shorter than PATH_MAX.
bool isCanonicalPath(std::string_view path);

// Errors: a path that is not canonical, two things at one place, an entry that would be written
// into a bind (that is the host's), a device outside of /dev, too many or too large ones. /dev is
// made if there is a device; a bind or tmpfs of the spec at /dev together with devices is an error.
Result<MountPlan> planMounts(const RootSpec& root);

}  // namespace orrery
