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
  EXPECT_NE(own.find("memory:/;"), std::string::npos) << own;
  EXPECT_EQ(toText(run.status), "killed by SIGKILL");
  EXPECT_TRUE(tree->remove(spec.cgroup));
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
  for (const char* file : {"/memory.max", "/pids.max", "/cpuset.cpus"})
    ASSERT_TRUE(writeFileAtomic(groups[3] + file, ""));
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v2;
  layout.unified = root;
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree) << tree.error().message;
  const Status created = tree->create("network0/star0", CgroupLimits{"0", 32 << 20, 16});
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(*readFile(groups[3] + "/memory.max"), "33554432");
  EXPECT_EQ(*readFile(groups[3] + "/pids.max"), "16");
  EXPECT_EQ(*readFile(groups[3] + "/cpuset.cpus"), "0");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(*readFile(groups[i] + "/cgroup.subtree_control"), "+cpuset") << groups[i];
  // The leaf has processes, so it may hand down nothing (no internal processes, cgroups(7)).
  EXPECT_EQ(*readFile(groups[3] + "/cgroup.subtree_control"), "");
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
}

}  // namespace
}  // namespace orrery::test
