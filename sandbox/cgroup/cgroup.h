// Resource limits by control groups: v1 (one tree per controller), v2 (one tree), and hybrid hosts.
//
// All groups are made below "orrery/" of the caller's own cgroup root. Probing is a pure function
// of /proc/self/mountinfo's text; the rest is files. Where no writable tree exists, probe() gives
// an error with kNoCgroups: callers may go on without limits and say so.
//
// Privileges: write access to the tree, normally root.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct CgroupLimits {
  std::optional<std::string> cpus;  // a CPU list, "0" or "0-3,8" (cpuset(7)); none: all
  std::uint64_t memory = 0;         // bytes, 0: no limit
  std::uint32_t pids = 0;           // processes and threads, 0: no limit
  std::uint32_t cpuQuota = 0;       // per cent of one CPU's time, all CPUs together, 0: no limit
  friend bool operator==(const CgroupLimits&, const CgroupLimits&) = default;
};

// Where each controller's tree is mounted. Empty: not there.
struct CgroupLayout {
  enum class Version { none, v1, v2 };
  Version version = Version::none;  // of the trees that limits are set in
  std::string memory;               // v1 mount points
  std::string pids;
  std::string cpuset;
  std::string cpu;
  std::string freezer;
  std::string unified;  // v2 mount point; on a hybrid host it may be there without controllers
  friend bool operator==(const CgroupLayout&, const CgroupLayout&) = default;
};

// Error::err of "this host has no cgroup tree that we could write to".
inline constexpr int kNoCgroups = ENODEV;

// A group's CPU quota, and what came of it since the group was made.
struct CpuQuotaUse {
  std::uint32_t percent = 0;
  std::uint64_t periods = 0;                  // in which something of it ran
  std::uint64_t throttled = 0;                // of these, in which it had used its quota up
  std::chrono::microseconds throttledTime{};  // the sum over all CPUs
  friend bool operator==(const CpuQuotaUse&, const CpuQuotaUse&) = default;
};

// Pure. `mountinfo` is the text of /proc/self/mountinfo. v1 wins where any v1 controller but "cpu"
// is mounted that we set limits in: the same controller cannot be in both.
CgroupLayout parseCgroupLayout(std::string_view mountinfo);
// Pure. `max` is what cpu.max says ("50000 100000", "max 100000"), or v1's quota and period in one
// line ("-1 100000"); `stat` is cpu.stat. Nothing if there is no quota.
std::optional<CpuQuotaUse> parseCpuQuota(std::string_view max, std::string_view stat);
// Pure. Mount point and path of `controller` ("" for v2) for a process whose /proc/PID/cgroup is
// `text`: "/process_api/1"; nothing if the controller is not listed.
std::optional<std::string> cgroupOf(std::string_view text, std::string_view controller);

class CgroupTree {
 public:
  static Result<CgroupTree> probe();
  // For tests and odd hosts. kNoCgroups if the layout has nothing.
  static Result<CgroupTree> withLayout(CgroupLayout layout);

  const CgroupLayout& layout() const { return layout_; }

  // `path` is relative and canonical ("network0/galaxy0"). Makes parents too. Existing groups get
  // the limits anew; on v1 a first CPU quota holds for those who enter from then on. A limit whose
  // controller is missing is an error (kNoCgroups) that names it.
  Status create(const std::string& path, const CgroupLimits& limits) const;
  // Processes in it: EBUSY. A missing group is fine. Also removes parents that became empty.
  Status remove(const std::string& path) const;
  Status attach(const std::string& path, pid_t pid) const;
  // SIGKILL to everything in it and below; does not wait for the ends.
  Status killAll(const std::string& path) const;
  // The processes in it and below, sorted. Those that our pid namespace does not show are left out.
  // A missing group has none.
  Result<std::vector<pid_t>> members(const std::string& path) const;
  // Our groups, "network0/galaxy0", that have no groups below them; sorted.
  Result<std::vector<std::string>> list() const;
  bool exists(const std::string& path) const;
  // Nothing if the group has no quota, or is not there.
  std::optional<CpuQuotaUse> cpuQuota(const std::string& path) const;
  // v2: the directory for CLONE_INTO_CGROUP, which spares the move of a live process (a write to
  // cgroup.procs waits for an RCU grace period). v1: nothing, use attach.
  Result<std::optional<UniqueFd>> openForClone(const std::string& path) const;
  // v1: the `tasks` file of each tree, open for writing. A thread that writes "0" to them enters
  // the group at once; attach() is a move by another process, which waits for several RCU grace
  // periods (some 4 ms for each tree; cgroup_procs_write_start(), kernel/cgroup/cgroup.c, since
  // Linux 5.16). v2: none, use openForClone.
  Result<std::vector<UniqueFd>> openForEntry(const std::string& path) const;

 private:
  explicit CgroupTree(CgroupLayout layout);
  std::vector<std::string> rootsOf(const std::string& path) const;
  std::vector<std::string> allRoots() const;
  CgroupLayout layout_;
  std::vector<std::string> roots_;  // distinct mount points that hold all our groups
  // v1: of the tree that holds "cpu" and nothing else of ours. Only groups with a quota are made in
  // it: each tree more is a directory to make, to enter and to remove. Empty: there is none.
  std::string quotaRoot_;
};

}  // namespace orrery
