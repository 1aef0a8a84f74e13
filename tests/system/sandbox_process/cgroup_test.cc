// Against the machine's own trees, in groups of our own that the tests remove.
#include "sandbox/cgroup/cgroup.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/base/file.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

std::string uniquePath() {
  return fmt::format("test{}/service", ::getpid());
}

// A process that only waits, and is killed and reaped at the end.
class Waiter {
 public:
  Waiter() : pid_(::fork()) {
    if (pid_ == 0)
      for (;;) ::pause();
    pidfd_ = std::move(openPidfd(pid_)).value();
  }
  ~Waiter() {
    (void)::kill(pid_, SIGKILL);
    if (!reaped_) (void)waitExit(pidfd_);
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  pid_t pid() const { return pid_; }
  std::string wait() {
    reaped_ = true;
    return toText(waitExit(pidfd_).value());
  }

 private:
  pid_t pid_;
  PidFd pidfd_;
  bool reaped_ = false;
};

// A creation that was cut short has made some of the parents, and not the group.
TEST(Cgroup, RemovesTheParentsOfWhatWasNeverMade) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree) << tree.error().message;
  const std::string root =
      tree->layout().memory.empty() ? tree->layout().unified : tree->layout().memory;
  const std::string made = root + "/orrery/cut-" + std::to_string(::getpid());
  ASSERT_TRUE(makeDirectories(made));
  EXPECT_TRUE(tree->remove("cut-" + std::to_string(::getpid()) + "/missing/group"));
  EXPECT_FALSE(pathExists(made));
}

TEST(Cgroup, LimitsMembersKillRemove) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree) << tree.error().message;
  const std::string path = uniquePath();
  const CgroupLimits limits{"0", 32 << 20, 16};
  ASSERT_FALSE(tree->exists(path));
  const Status created = tree->create(path, limits);
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_TRUE(tree->create(path, limits)) << "again";
  EXPECT_TRUE(tree->exists(path));
  if (tree->layout().version == CgroupLayout::Version::v1) {
    const CgroupLayout& at = tree->layout();
    EXPECT_EQ(*readFile(at.memory + "/orrery/" + path + "/memory.limit_in_bytes"), "33554432\n");
    EXPECT_EQ(*readFile(at.pids + "/orrery/" + path + "/pids.max"), "16\n");
    EXPECT_EQ(*readFile(at.cpuset + "/orrery/" + path + "/cpuset.cpus"), "0\n");
  }
  Waiter first;
  Waiter second;
  ASSERT_TRUE(tree->attach(path, first.pid()));
  ASSERT_TRUE(tree->attach(path, second.pid()));
  const std::string own = *readFile(fmt::format("/proc/{}/cgroup", first.pid()));
  const auto version1 = tree->layout().version == CgroupLayout::Version::v1;
  EXPECT_EQ(cgroupOf(own, version1 ? "pids" : ""), "/orrery/" + path);
  EXPECT_EQ(tree->remove(path).error().err, EBUSY);
  ASSERT_TRUE(tree->killAll(path));
  EXPECT_EQ(first.wait(), "killed by SIGKILL");
  EXPECT_EQ(second.wait(), "killed by SIGKILL");
  const Status removed = tree->remove(path);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(tree->exists(path));
  EXPECT_TRUE(tree->remove(path)) << "a missing group is fine";
  EXPECT_TRUE(tree->killAll(path));
  EXPECT_FALSE(pathExists(tree->layout().pids + "/orrery/" + path.substr(0, path.find('/'))));
}

TEST(Cgroup, SandboxedServiceIsAMemberAndDiesAtItsLimit) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree) << tree.error().message;
  SandboxSpec spec = probeSpec({"read:/proc/self/cgroup", "eat"});
  spec.cgroup = uniquePath();
  ASSERT_TRUE(tree->create(spec.cgroup, CgroupLimits{std::nullopt, 8 << 20, 0}));
  SpawnRequest request{.spec = spec};
  request.cgroups = &*tree;
  const ProbeRun run = runProbe(spec, &request);
  // The cgroup namespace has the group as its root.
  const std::string own = run.answers.at("read:/proc/self/cgroup");
  const bool v2 = tree->layout().version == CgroupLayout::Version::v2;
  EXPECT_NE((own + ";").find(v2 ? "0::/;" : "memory:/;"), std::string::npos) << own;
  EXPECT_EQ(toText(run.status), "killed by SIGKILL");
  EXPECT_TRUE(tree->remove(spec.cgroup));
}

constexpr std::chrono::milliseconds kBurnt{100};  // of CPU time
constexpr std::uint64_t kQuotaPeriods = 10;       // for that, at 10 %

// What came of a service that burns that much under a quota, in per cent; nothing without one.
std::optional<CpuQuotaUse> useOfABurner(const CgroupTree& tree, std::uint32_t quota) {
  SandboxSpec spec = probeSpec({"read:/proc/self/cgroup", fmt::format("burn:{}", kBurnt.count())});
  spec.cgroup = uniquePath();
  CgroupLimits limits;
  limits.cpuQuota = quota;
  const Status created = tree.create(spec.cgroup, limits);
  EXPECT_TRUE(created) << created.error().message;
  SpawnRequest request{.spec = spec};
  request.cgroups = &tree;
  const ProbeRun run = runProbe(spec, &request);
  EXPECT_EQ(toText(run.status), "exit 0");
  const auto use = tree.cpuQuota(spec.cgroup);
  EXPECT_TRUE(tree.remove(spec.cgroup));
  EXPECT_FALSE(pathExists(tree.layout().cpu + "/orrery/" + spec.cgroup));
  return use;
}

// By the kernel's counters, not by a clock: a busy machine takes longer, and throttles as often.
TEST(Cgroup, ABusyServiceIsHeldToItsCpuQuota) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree) << tree.error().message;
  const auto held = useOfABurner(*tree, 10);
  ASSERT_TRUE(held);
  EXPECT_EQ(held->percent, 10u);
  EXPECT_GE(held->periods, kQuotaPeriods / 2);
  EXPECT_GE(held->throttled, kQuotaPeriods / 2);
  EXPECT_GT(held->throttledTime.count(), 0);
  // The controls: with room for a hundred CPUs, and without a quota.
  const auto free = useOfABurner(*tree, 10'000);
  ASSERT_TRUE(free);
  EXPECT_EQ(free->percent, 10'000u);
  EXPECT_EQ(free->throttled, 0u);
  EXPECT_EQ(useOfABurner(*tree, 0), std::nullopt);
}

// A tree of the cpu controller's own costs those without a quota nothing.
TEST(Cgroup, OnlyGroupsWithAQuotaAreInTheTreeOfTheCpuController) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree) << tree.error().message;
  const std::string path = uniquePath();
  CgroupLimits limits{std::nullopt, 32 << 20, 16};
  ASSERT_TRUE(tree->create(path, limits));
  EXPECT_EQ(tree->cpuQuota(path), std::nullopt);
  const std::size_t trees = tree->openForEntry(path)->size();
  const bool v1 = tree->layout().version == CgroupLayout::Version::v1;
  EXPECT_FALSE(v1 && pathExists(tree->layout().cpu + "/orrery/" + path));
  limits.cpuQuota = 150;
  ASSERT_TRUE(tree->create(path, limits)) << "the limits anew";
  EXPECT_EQ(tree->cpuQuota(path)->percent, 150u);
  EXPECT_EQ(tree->openForEntry(path)->size(), trees + (v1 ? 1 : 0));
  Waiter waiter;
  ASSERT_TRUE(tree->attach(path, waiter.pid()));
  const std::string own = *readFile(fmt::format("/proc/{}/cgroup", waiter.pid()));
  EXPECT_EQ(cgroupOf(own, v1 ? "cpu" : ""), "/orrery/" + path);
  limits.cpuQuota = 0;
  ASSERT_TRUE(tree->create(path, limits)) << "lifted";
  EXPECT_EQ(tree->cpuQuota(path), std::nullopt);
  ASSERT_TRUE(tree->killAll(path));
  EXPECT_EQ(waiter.wait(), "killed by SIGKILL");
  const Status removed = tree->remove(path);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(pathExists(tree->layout().cpu + "/orrery/" + path.substr(0, path.find('/'))));
}

TEST(Cgroup, UnknownGroupFailsTheStart) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree);
  SandboxSpec spec = probeSpec({"ids"});
  spec.cgroup = "never-made";
  SpawnRequest request{.spec = spec};
  request.cgroups = &*tree;
  const auto child = spawnSandboxed(request);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().err, ENOENT) << child.error().message;
}

// The unified tree of this host, hybrid or not, has no controllers to give: what needs none.
TEST(Cgroup, UnifiedTree) {
  const auto host = parseCgroupLayout(*readFile("/proc/self/mountinfo"));
  ASSERT_FALSE(host.unified.empty());
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v2;
  layout.unified = host.unified;
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree);
  const std::string path = uniquePath();
  const Status created = tree->create(path, {});
  ASSERT_TRUE(created) << created.error().message;
  Waiter waiter;
  ASSERT_TRUE(tree->attach(path, waiter.pid()));
  EXPECT_EQ(cgroupOf(*readFile(fmt::format("/proc/{}/cgroup", waiter.pid())), ""),
            "/orrery/" + path);
  ASSERT_TRUE(tree->killAll(path));
  EXPECT_EQ(waiter.wait(), "killed by SIGKILL");

  SandboxSpec spec = probeSpec({"read:/proc/self/cgroup", "pause"});  // by CLONE_INTO_CGROUP
  spec.cgroup = path;
  SpawnRequest request{.spec = spec};
  request.cgroups = &*tree;
  auto child = spawnSandboxed(request);
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(cgroupOf(*readFile(fmt::format("/proc/{}/cgroup", child->pid)), ""), "/orrery/" + path);
  ASSERT_TRUE(tree->killAll(path));
  EXPECT_EQ(toText(*waitExit(child->pidfd)), "killed by SIGKILL");
  const Status removed = tree->remove(path);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(tree->exists(path));
  EXPECT_FALSE(pathExists(layout.unified + "/orrery"));
}

// Controllers that are mounted together have one tree, whose groups are made and entered once. This
// machine may have them apart, so these trees are of plain files.
TEST(Cgroup, ControllersOfOneMountAreOneTree) {
  char directory[] = "/tmp/orrery-together-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string root = directory;
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v1;
  layout.memory = layout.pids = root + "/memory,pids";
  layout.cpuset = layout.cpu = root + "/cpu,cpuset";
  const std::string group = "/orrery/network0";
  for (const std::string& parent : {layout.cpu, layout.cpu + "/orrery", layout.cpu + group}) {
    ASSERT_TRUE(makeDirectories(parent));
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"})
      ASSERT_TRUE(writeFileAtomic(parent + file, "7"));
  }
  for (const char* file : {"/tasks", "/cgroup.procs", "/cpu.cfs_quota_us", "/cpu.cfs_period_us"})
    ASSERT_TRUE(writeFileAtomic(layout.cpu + group + file, ""));
  ASSERT_TRUE(makeDirectories(layout.memory + group));
  for (const char* file : {"/tasks", "/cgroup.procs", "/memory.limit_in_bytes", "/pids.max"})
    ASSERT_TRUE(writeFileAtomic(layout.memory + group + file, ""));
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree) << tree.error().message;
  const Status created = tree->create("network0", CgroupLimits{"0", 32 << 20, 16, 25});
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(*readFile(layout.cpu + group + "/cpu.cfs_quota_us"), "25000");
  EXPECT_EQ(*readFile(layout.cpu + group + "/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(*readFile(layout.cpu + group + "/cpuset.cpus"), "0");
  EXPECT_EQ(*readFile(layout.memory + group + "/pids.max"), "16");
  EXPECT_EQ(tree->openForEntry("network0")->size(), 2u);
  EXPECT_TRUE(removeTree(root));
}

// No machine of v1 has controllers to give to v2 as well, so this tree is of plain files: that the
// right words go to the right files, in an order that the kernel's rules allow (a controller is
// handed down before the group that uses it is made; cgroups(7)). Plain files keep what is written
// last.
TEST(Cgroup, UnifiedTreeHandsItsControllersDown) {
  char directory[] = "/tmp/orrery-unified-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string root = directory;
  const std::string groups[] = {root, root + "/orrery", root + "/orrery/network0",
                                root + "/orrery/network0/star0"};
  for (const std::string& group : groups) {
    ASSERT_TRUE(makeDirectories(group));
    ASSERT_TRUE(writeFileAtomic(group + "/cgroup.subtree_control", ""));
  }
  ASSERT_TRUE(writeFileAtomic(root + "/cgroup.controllers", "cpuset cpu io memory pids\n"));
  for (const char* file : {"/memory.max", "/pids.max", "/cpuset.cpus", "/cpu.max"})
    ASSERT_TRUE(writeFileAtomic(groups[3] + file, ""));
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v2;
  layout.unified = root;
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree) << tree.error().message;
  const Status created = tree->create("network0/star0", CgroupLimits{"0", 32 << 20, 16, 50});
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(*readFile(groups[3] + "/memory.max"), "33554432");
  EXPECT_EQ(*readFile(groups[3] + "/pids.max"), "16");
  EXPECT_EQ(*readFile(groups[3] + "/cpuset.cpus"), "0");
  EXPECT_EQ(*readFile(groups[3] + "/cpu.max"), "50000 100000");
  EXPECT_EQ(tree->cpuQuota("network0/star0")->percent, 50u);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(*readFile(groups[i] + "/cgroup.subtree_control"), "+cpuset") << groups[i];
  // The leaf has processes, so it may hand down nothing (no internal processes, cgroups(7)).
  EXPECT_EQ(*readFile(groups[3] + "/cgroup.subtree_control"), "");
  for (const std::string& group : groups)
    ASSERT_TRUE(writeFileAtomic(group + "/cgroup.subtree_control", ""));
  ASSERT_TRUE(tree->create("network0/star0", CgroupLimits{std::nullopt, 0, 0, 75}));
  EXPECT_EQ(*readFile(groups[3] + "/cpu.max"), "75000 100000");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(*readFile(groups[i] + "/cgroup.subtree_control"), "+cpu") << groups[i];
  ASSERT_TRUE(writeFileAtomic(groups[3] + "/cpu.max", ""));
  ASSERT_TRUE(tree->create("network0/star0", {})) << "lifted";
  EXPECT_EQ(*readFile(groups[3] + "/cpu.max"), "max");
  EXPECT_TRUE(removeTree(root));
}

TEST(Cgroup, MissingControllerIsNamed) {
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v2;
  layout.unified = parseCgroupLayout(*readFile("/proc/self/mountinfo")).unified;
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree);
  const std::string controllers = *readFile(layout.unified + "/cgroup.controllers");
  if (controllers.find("memory") == std::string::npos) {
    const Status status = tree->create(uniquePath(), CgroupLimits{std::nullopt, 1 << 20, 0});
    EXPECT_EQ(status.error().err, kNoCgroups);
    EXPECT_NE(status.error().message.find("'memory'"), std::string::npos);
  }
  // v1, where a host may lack one tree: nothing is made for a limit that cannot be had.
  auto whole = CgroupTree::probe();
  ASSERT_TRUE(whole);
  CgroupLayout without = whole->layout();
  if (without.version != CgroupLayout::Version::v1) return;
  without.cpu.clear();
  const auto lame = CgroupTree::withLayout(without);
  ASSERT_TRUE(lame);
  CgroupLimits limits;
  limits.cpuQuota = 50;
  const Status status = lame->create(uniquePath(), limits);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().err, kNoCgroups);
  EXPECT_NE(status.error().message.find("'cpu'"), std::string::npos) << status.error().message;
  EXPECT_FALSE(lame->exists(uniquePath()));
}

}  // namespace
}  // namespace orrery::test
