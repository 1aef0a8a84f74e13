#include "sandbox/cgroup/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <set>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::string_view kTop = "orrery";
constexpr std::size_t kMountinfoLimit = 16 << 20;  // a host of 1000 routers has thousands of mounts
// In which a quota is used up and given anew: the kernel's default. In a shorter one a router of
// few per cent would get less than the least that the kernel gives (1 ms; kernel/sched/core.c).
constexpr std::uint64_t kQuotaPeriodUs = 100'000;
// v1 without a freezer: a process may fork while we read the list, so it is read again.
constexpr int kKillRounds = 16;

Status checkPath(const std::string& path) {
  if (path.empty() || path.size() >= PATH_MAX)
    return error("cgroup path '{}' is empty or too long", path);
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX ||
        part.find_first_of(std::string_view("\0\n", 2)) != std::string_view::npos)
      return error("cgroup path '{}' is not relative and canonical", path);
  }
  return {};
}

std::string groupIn(const std::string& root, const std::string& path) {
  return fmt::format("{}/{}/{}", root, kTop, path);
}

// "<root>/orrery", "<root>/orrery/a", "<root>/orrery/a/b" for "a/b".
std::vector<std::string> chain(const std::string& root, const std::string& path) {
  std::vector<std::string> groups{fmt::format("{}/{}", root, kTop)};
  for (std::string_view part : split(path, '/'))
    groups.push_back(fmt::format("{}/{}", groups.back(), part));
  return groups;
}

Status makeGroup(const std::string& directory) {
  constexpr mode_t kMode = 0755;
  if (::mkdir(directory.c_str(), kMode) != 0 && errno != EEXIST)
    return sysError(errno, "make cgroup '{}'", directory);
  return {};
}

std::string parentOf(const std::string& directory) {
  return directory.substr(0, directory.rfind('/'));
}

// A new v1 cpuset has no CPUs and no memory nodes, and takes no process until it has both.
Status inheritCpuset(const std::string& directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string own = fmt::format("{}/{}", directory, file);
    ORRERY_TRY_ASSIGN(const std::string present, readFile(own));
    if (!trim(present).empty()) continue;
    ORRERY_TRY_ASSIGN(const std::string given,
                      readFile(fmt::format("{}/{}", parentOf(directory), file)));
    ORRERY_TRY(writeExisting(own, trim(given)));
  }
  return {};
}

Status missing(std::string_view controller) {
  Error e;
  e.err = kNoCgroups;
  e.message =
      fmt::format("no cgroup tree with the '{}' controller is mounted writable", controller);
  return tl::unexpected<Error>(std::move(e));
}

std::uint64_t quotaUs(const CgroupLimits& limits) {
  constexpr std::uint64_t kWhole = 100;  // per cent
  return limits.cpuQuota * kQuotaPeriodUs / kWhole;
}

// `own`: the tree holds only groups with a quota.
Status setQuotaV1(const CgroupLayout& layout, bool own, const std::string& path,
                  const CgroupLimits& limits) {
  const std::string group = groupIn(layout.cpu, path);
  const std::string quota = group + "/cpu.cfs_quota_us";
  if (limits.cpuQuota == 0)  // of an earlier definition
    return !layout.cpu.empty() && pathExists(quota) ? writeExisting(quota, "-1") : Status{};
  if (own)
    for (const std::string& directory : chain(layout.cpu, path)) ORRERY_TRY(makeGroup(directory));
  ORRERY_TRY(writeExisting(group + "/cpu.cfs_period_us", fmt::format("{}", kQuotaPeriodUs)));
  return writeExisting(quota, fmt::format("{}", quotaUs(limits)));
}

Status createV1(const CgroupLayout& layout, const std::vector<std::string>& roots,
                const std::string& path, const CgroupLimits& limits) {
  if (limits.memory != 0 && layout.memory.empty()) return missing("memory");
  if (limits.pids != 0 && layout.pids.empty()) return missing("pids");
  if (limits.cpus && layout.cpuset.empty()) return missing("cpuset");
  if (limits.cpuQuota != 0 && layout.cpu.empty()) return missing("cpu");
  for (const std::string& root : roots) {
    for (const std::string& directory : chain(root, path)) {
      ORRERY_TRY(makeGroup(directory));
      if (root == layout.cpuset) ORRERY_TRY(inheritCpuset(directory));
    }
  }
  if (!layout.memory.empty())
    ORRERY_TRY(writeExisting(groupIn(layout.memory, path) + "/memory.limit_in_bytes",
                             limits.memory == 0 ? "-1" : fmt::format("{}", limits.memory)));
  if (!layout.pids.empty())
    ORRERY_TRY(writeExisting(groupIn(layout.pids, path) + "/pids.max",
                             limits.pids == 0 ? "max" : fmt::format("{}", limits.pids)));
  if (limits.cpus)
    ORRERY_TRY(writeExisting(groupIn(layout.cpuset, path) + "/cpuset.cpus", *limits.cpus));
  const bool own = std::ranges::find(roots, layout.cpu) == roots.end();
  return setQuotaV1(layout, own, path, limits);
}

// Our groups' ancestors hand down exactly the controllers that a limit needs.
Status handDown(const std::string& directory, std::string_view controller) {
  const std::string file = directory + "/cgroup.subtree_control";
  ORRERY_TRY_ASSIGN(const std::string present, readFile(file));
  const auto words = splitWords(present);
  if (std::ranges::find(words, controller) != words.end()) return {};
  return writeExisting(file, fmt::format("+{}", controller));
}

Status createV2(const CgroupLayout& layout, const std::string& path, const CgroupLimits& limits) {
  std::vector<std::string_view> needed;
  if (limits.memory != 0) needed.emplace_back("memory");
  if (limits.pids != 0) needed.emplace_back("pids");
  if (limits.cpuQuota != 0) needed.emplace_back("cpu");
  if (limits.cpus) needed.emplace_back("cpuset");
  ORRERY_TRY_ASSIGN(const std::string text, readFile(layout.unified + "/cgroup.controllers"));
  const auto available = splitWords(text);
  for (std::string_view controller : needed) {
    if (std::ranges::find(available, controller) == available.end()) return missing(controller);
  }
  for (const std::string& directory : chain(layout.unified, path)) {
    for (std::string_view controller : needed)
      ORRERY_TRY(handDown(parentOf(directory), controller));
    ORRERY_TRY(makeGroup(directory));
  }
  const std::string group = groupIn(layout.unified, path);
  const auto set = [&group](const char* file, bool limited, const std::string& value,
                            const char* none) -> Status {
    const std::string name = fmt::format("{}/{}", group, file);
    if (!limited && !pathExists(name)) return {};  // the controller was never handed down
    return writeExisting(name, limited ? value : none);
  };
  ORRERY_TRY(set("memory.max", limits.memory != 0, fmt::format("{}", limits.memory), "max"));
  ORRERY_TRY(set("pids.max", limits.pids != 0, fmt::format("{}", limits.pids), "max"));
  ORRERY_TRY(set("cpuset.cpus", limits.cpus.has_value(), limits.cpus.value_or(""), "\n"));
  return set("cpu.max", limits.cpuQuota != 0, fmt::format("{} {}", quotaUs(limits), kQuotaPeriodUs),
             "max");
}

// The group and everything below it, deepest last.
Result<std::vector<std::string>> groupsBelow(const std::string& directory) {
  std::vector<std::string> groups{directory};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    ORRERY_TRY_ASSIGN(const auto names, listDirectory(groups[i]));
    for (const std::string& name : names) {
      struct stat st {};
      const std::string below = fmt::format("{}/{}", groups[i], name);
      if (::lstat(below.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) groups.push_back(below);
    }
  }
  return groups;
}

// Signals every process in `directory`; the number of those found.
Result<std::size_t> killListed(const std::string& directory) {
  std::size_t found = 0;
  ORRERY_TRY_ASSIGN(const auto groups, groupsBelow(directory));
  for (const std::string& group : groups) {
    auto text = readFile(group + "/cgroup.procs");
    if (!text && text.error().err == ENOENT) continue;
    if (!text) return tl::unexpected<Error>(std::move(text).error());
    for (std::string_view word : splitWords(*text)) {
      const auto pid = parseNumber<pid_t>(word);
      if (!pid || *pid <= 0) continue;  // 0: of a pid namespace that we cannot see
      ++found;
      // A number that was just read from a frozen group, or one whose end we have not waited for.
      if (::kill(*pid, SIGKILL) != 0 && errno != ESRCH)
        return sysError(errno, "kill process {} of cgroup '{}'", *pid, group);
    }
  }
  return found;
}

Status killV1(const CgroupLayout& layout, const std::string& root, const std::string& path) {
  if (layout.freezer.empty()) {
    for (int round = 0; round < kKillRounds; ++round) {
      ORRERY_TRY_ASSIGN(const std::size_t found, killListed(groupIn(root, path)));
      if (found == 0) break;
    }
    return {};
  }
  const std::string group = groupIn(layout.freezer, path);
  ORRERY_TRY(writeExisting(group + "/freezer.state", "FROZEN"));
  auto killed = killListed(group);
  Status thawed = writeExisting(group + "/freezer.state", "THAWED");
  if (!killed) {
    Error first = std::move(killed).error();
    if (!thawed) first.also.push_back(std::move(thawed).error());
    return tl::unexpected<Error>(std::move(first));
  }
  return thawed;
}

// A process leaves its group a moment after it was reaped (the kernel unlinks it when it has
// switched out for the last time), and v1 has no event for that. So a group that lists nobody is
// tried again.
Status removeGroup(const std::string& directory) {
  constexpr int kTries = 1000;
  constexpr int kPauseMs = 1;
  for (int tries = 0;; ++tries) {
    Status removed = removeDirectory(directory);
    if (removed || removed.error().err != EBUSY || tries == kTries) return removed;
    const auto members = readFile(directory + "/cgroup.procs");
    if (!members || !members->empty()) return removed;
    (void)::poll(nullptr, 0, kPauseMs);
  }
}

}  // namespace

CgroupTree::CgroupTree(CgroupLayout layout) : layout_(std::move(layout)) {
  if (layout_.version == CgroupLayout::Version::v2) {
    roots_.push_back(layout_.unified);
    return;
  }
  for (const std::string* root :
       {&layout_.memory, &layout_.pids, &layout_.cpuset, &layout_.freezer}) {
    if (!root->empty() && std::ranges::find(roots_, *root) == roots_.end()) roots_.push_back(*root);
  }
  // Mounted together ("cpu,cpuset"), it is one tree, whose groups are made and entered once.
  if (std::ranges::find(roots_, layout_.cpu) == roots_.end()) quotaRoot_ = layout_.cpu;
}

namespace {

constexpr const char* kUsualRoot = "/sys/fs/cgroup";

bool isWritableTree(const std::string& path, long magic) {
  struct statfs fs {};
  return ::statfs(path.c_str(), &fs) == 0 && fs.f_type == magic && (fs.f_flags & ST_RDONLY) == 0;
}

// Controllers that are mounted together have links to the one mount: "cpu" -> "cpu,cpuacct". Two
// names of one tree must not look like two trees.
std::string mountOf(const std::string& path) {
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) == nullptr ? path : std::string(resolved);
}

// Where nearly every host has them (cgroups(7)). mountinfo has a line for each router too, and all
// of it is made for whoever reads it.
std::optional<CgroupLayout> usualLayout() {
  const std::string root = kUsualRoot;
  CgroupLayout layout;
  if (isWritableTree(root, CGROUP2_SUPER_MAGIC)) {
    const std::string controllers = readFile(root + "/cgroup.controllers").value_or("");
    const auto names = splitWords(controllers);
    for (const std::string_view needed : {"memory", "pids"})
      if (std::ranges::find(names, needed) == names.end()) return std::nullopt;
    layout.version = CgroupLayout::Version::v2;
    layout.unified = root;
    return layout;
  }
  layout.version = CgroupLayout::Version::v1;
  const auto take = [&](std::string& slot, const char* controller) {
    const std::string path = fmt::format("{}/{}", root, controller);
    if (isWritableTree(path, CGROUP_SUPER_MAGIC)) slot = mountOf(path);
    return !slot.empty();
  };
  for (const bool found :
       {take(layout.memory, "memory"), take(layout.pids, "pids"), take(layout.cpuset, "cpuset"),
        take(layout.cpu, "cpu"), take(layout.freezer, "freezer")})
    if (!found) return std::nullopt;
  const std::string unified = root + "/unified";
  if (isWritableTree(unified, CGROUP2_SUPER_MAGIC)) layout.unified = unified;
  return layout;
}

}  // namespace

Result<CgroupTree> CgroupTree::probe() {
  if (auto usual = usualLayout()) return withLayout(*std::move(usual));
  ORRERY_TRY_ASSIGN(const std::string mountinfo, readFile("/proc/self/mountinfo", kMountinfoLimit));
  return withLayout(parseCgroupLayout(mountinfo));
}

Result<CgroupTree> CgroupTree::withLayout(CgroupLayout layout) {
  CgroupTree tree(std::move(layout));
  const auto writable = [](const std::string& root) {
    return !root.empty() && ::access(root.c_str(), W_OK) == 0;
  };
  if (tree.layout_.version == CgroupLayout::Version::none ||
      !std::ranges::all_of(tree.roots_, writable))
    return sysError(kNoCgroups,
                    "no cgroup tree is mounted and writable, so limits are unavailable");
  return tree;
}

// The trees that this group is in.
std::vector<std::string> CgroupTree::rootsOf(const std::string& path) const {
  std::vector<std::string> roots = roots_;
  if (!quotaRoot_.empty() && pathExists(groupIn(quotaRoot_, path))) roots.push_back(quotaRoot_);
  return roots;
}

std::vector<std::string> CgroupTree::allRoots() const {
  std::vector<std::string> roots = roots_;
  if (!quotaRoot_.empty()) roots.push_back(quotaRoot_);
  return roots;
}

Status CgroupTree::create(const std::string& path, const CgroupLimits& limits) const {
  ORRERY_TRY(checkPath(path));
  if (layout_.version == CgroupLayout::Version::v2) return createV2(layout_, path, limits);
  return createV1(layout_, roots_, path, limits);
}

Status CgroupTree::remove(const std::string& path) const {
  ORRERY_TRY(checkPath(path));
  Status result;
  for (const std::string& root : allRoots()) {
    std::vector<std::string> groups = chain(root, path);
    if (Status s = removeGroup(groups.back()); !s) {
      if (result)
        result = std::move(s);
      else
        result.error().also.push_back(std::move(s).error());
      continue;
    }
    // Ignoring failures: a parent with other groups or processes in it stays. One that is not there
    // was never made, by a creation that was cut short; those above it may have been.
    for (groups.pop_back(); !groups.empty(); groups.pop_back())
      if (::rmdir(groups.back().c_str()) != 0 && errno != ENOENT) break;
  }
  return result;
}

Status CgroupTree::attach(const std::string& path, pid_t pid) const {
  ORRERY_TRY(checkPath(path));
  for (const std::string& root : rootsOf(path))
    ORRERY_TRY(writeExisting(groupIn(root, path) + "/cgroup.procs", fmt::format("{}", pid)));
  return {};
}

Status CgroupTree::killAll(const std::string& path) const {
  ORRERY_TRY(checkPath(path));
  if (!exists(path)) return {};
  if (layout_.version == CgroupLayout::Version::v1) return killV1(layout_, roots_.front(), path);
  const std::string kill = groupIn(layout_.unified, path) + "/cgroup.kill";
  if (pathExists(kill)) return writeExisting(kill, "1");
  for (int round = 0; round < kKillRounds; ++round) {  // before Linux 5.14
    ORRERY_TRY_ASSIGN(const std::size_t found, killListed(groupIn(layout_.unified, path)));
    if (found == 0) break;
  }
  return {};
}

Result<std::vector<pid_t>> CgroupTree::members(const std::string& path) const {
  ORRERY_TRY(checkPath(path));
  std::set<pid_t> found;
  for (const std::string& root : roots_) {
    ORRERY_TRY_ASSIGN(const auto groups, groupsBelow(groupIn(root, path)));
    for (const std::string& group : groups) {
      auto text = readFile(group + "/cgroup.procs");
      if (!text && (text.error().err == ENOENT || text.error().err == ENODEV)) continue;
      if (!text) return tl::unexpected<Error>(std::move(text).error());
      for (std::string_view word : splitWords(*text))
        if (const auto pid = parseNumber<pid_t>(word); pid && *pid > 0) found.insert(*pid);
    }
  }
  return std::vector<pid_t>(found.begin(), found.end());
}

Result<std::vector<std::string>> CgroupTree::list() const {
  std::set<std::string> found;
  for (const std::string& root : allRoots()) {
    const std::string top = fmt::format("{}/{}", root, kTop);
    ORRERY_TRY_ASSIGN(const auto groups, groupsBelow(top));
    for (const std::string& group : groups) {
      const bool hasBelow = std::ranges::any_of(
          groups, [&](const std::string& other) { return other.starts_with(group + "/"); });
      if (group != top && !hasBelow) found.insert(group.substr(top.size() + 1));
    }
  }
  return std::vector<std::string>(found.begin(), found.end());
}

bool CgroupTree::exists(const std::string& path) const {
  if (!checkPath(path)) return false;
  return std::ranges::any_of(
      roots_, [&path](const std::string& root) { return pathExists(groupIn(root, path)); });
}

std::optional<CpuQuotaUse> CgroupTree::cpuQuota(const std::string& path) const {
  if (!checkPath(path)) return std::nullopt;
  const bool v2 = layout_.version == CgroupLayout::Version::v2;
  const std::string& root = v2 ? layout_.unified : layout_.cpu;
  if (root.empty()) return std::nullopt;
  const auto text = [group = groupIn(root, path)](const char* file) {
    return readFile(fmt::format("{}/{}", group, file)).value_or("");
  };
  const std::string max =
      v2 ? text("cpu.max") : text("cpu.cfs_quota_us") + " " + text("cpu.cfs_period_us");
  return parseCpuQuota(max, text("cpu.stat"));
}

Result<std::vector<UniqueFd>> CgroupTree::openForEntry(const std::string& path) const {
  ORRERY_TRY(checkPath(path));
  std::vector<UniqueFd> files;
  if (layout_.version == CgroupLayout::Version::v2) return files;
  for (const std::string& root : rootsOf(path)) {
    ORRERY_TRY_ASSIGN(UniqueFd file, openFile(groupIn(root, path) + "/tasks", O_WRONLY));
    files.push_back(std::move(file));
  }
  return files;
}

Result<std::optional<UniqueFd>> CgroupTree::openForClone(const std::string& path) const {
  ORRERY_TRY(checkPath(path));
  if (layout_.version != CgroupLayout::Version::v2) return std::optional<UniqueFd>{};
  ORRERY_TRY_ASSIGN(UniqueFd fd, openFile(groupIn(layout_.unified, path), O_PATH | O_DIRECTORY));
  return std::optional<UniqueFd>(std::move(fd));
}

}  // namespace orrery
