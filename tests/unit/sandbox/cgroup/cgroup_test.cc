#include "sandbox/cgroup/cgroup.h"

#include <gtest/gtest.h>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

using Version = CgroupLayout::Version;

constexpr const char* kV1 =
    "21 20 0:19 / /proc rw,relatime - proc proc rw\n"
    "31 30 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "32 30 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "33 30 0:28 / /sys/fs/cgroup/cpu,cpuset rw - cgroup cgroup rw,cpu,cpuset\n"
    "34 30 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";

constexpr const char* kUnifiedBeside =
    "35 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

constexpr const char* kV2 =
    "24 23 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";

TEST(CgroupLayout, V1) {
  const CgroupLayout layout = parseCgroupLayout(kV1);
  EXPECT_EQ(layout.version, Version::v1);
  EXPECT_EQ(layout.memory, "/sys/fs/cgroup/memory");
  EXPECT_EQ(layout.pids, "/sys/fs/cgroup/pids");
  EXPECT_EQ(layout.cpuset, "/sys/fs/cgroup/cpu,cpuset");
  EXPECT_EQ(layout.cpu, "/sys/fs/cgroup/cpu,cpuset");
  EXPECT_EQ(layout.freezer, "/sys/fs/cgroup/freezer");
  EXPECT_EQ(layout.unified, "");
}

TEST(CgroupLayout, CpuWithItsAccounting) {
  const char* line = "33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
  const CgroupLayout both = parseCgroupLayout(std::string(kUnifiedBeside) + line);
  EXPECT_EQ(both.cpu, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(both.cpuset, "");
  EXPECT_EQ(both.version, Version::v2) << "all that every router needs is there";
  const char* accounting = "33 30 0:28 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n";
  EXPECT_EQ(parseCgroupLayout(accounting).cpu, "");
}

TEST(CgroupLayout, Hybrid) {
  const CgroupLayout layout = parseCgroupLayout(std::string(kV1) + kUnifiedBeside);
  EXPECT_EQ(layout.version, Version::v1);
  EXPECT_EQ(layout.memory, "/sys/fs/cgroup/memory");
  EXPECT_EQ(layout.unified, "/sys/fs/cgroup/unified");
}

TEST(CgroupLayout, V2) {
  const CgroupLayout layout = parseCgroupLayout(kV2);
  EXPECT_EQ(layout.version, Version::v2);
  EXPECT_EQ(layout.unified, "/sys/fs/cgroup");
  EXPECT_EQ(layout.memory, "");
}

TEST(CgroupLayout, V2BesideAnUnrelatedV1Tree) {  // systemd's name=systemd hierarchy
  const std::string named = "40 30 0:40 / /x rw - cgroup cgroup rw,xattr,name=systemd\n";
  EXPECT_EQ(parseCgroupLayout(named + kV2).version, Version::v2);
}

TEST(CgroupLayout, NothingUsable) {
  EXPECT_EQ(parseCgroupLayout("").version, Version::none);
  EXPECT_EQ(parseCgroupLayout("garbage\n- - -\n1 2 3 4 5 6 -\n").version, Version::none);
  const char* readOnly = "24 23 0:22 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(parseCgroupLayout(readOnly).version, Version::none);
}

TEST(CgroupLayout, EscapedMountPoint) {
  const char* line = "24 23 0:22 / /mnt/a\\040b\\134c rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(parseCgroupLayout(line).unified, "/mnt/a b\\c");
}

TEST(CgroupOf, Table) {
  constexpr const char* kText = "8:cpu,cpuset:/x\n4:memory:/a/b:c\n1:name=systemd:/\n0::/u\n";
  EXPECT_EQ(cgroupOf(kText, "memory"), "/a/b:c");
  EXPECT_EQ(cgroupOf(kText, "cpuset"), "/x");
  EXPECT_EQ(cgroupOf(kText, ""), "/u");
  EXPECT_EQ(cgroupOf(kText, "pids"), std::nullopt);
  EXPECT_EQ(cgroupOf("", ""), std::nullopt);
}

TEST(CpuQuota, Table) {
  struct Case {
    const char* max;
    const char* stat;
    std::optional<CpuQuotaUse> use;
  };
  using std::chrono::microseconds;
  const std::vector<Case> cases = {
      {"50000 100000\n",  // v2
       "usage_usec 900\nuser_usec 1\nsystem_usec 2\nnr_periods 7\nnr_throttled 3\n"
       "throttled_usec 1500\nnr_bursts 0\n",
       CpuQuotaUse{50, 7, 3, microseconds(1500)}},
      {"200000\n 100000\n", "nr_periods 7\nnr_throttled 3\nthrottled_time 1500000\n",  // v1
       CpuQuotaUse{200, 7, 3, microseconds(1500)}},
      {"1000 100000", "", CpuQuotaUse{1, 0, 0, microseconds(0)}},
      {"1000 100000", "nr_periods\nnr_throttled x\n nr_periods 2 3\n",
       CpuQuotaUse{1, 0, 0, microseconds(0)}},
      {"max 100000", "nr_periods 7\n", std::nullopt},
      {"-1\n 100000\n", "nr_periods 7\n", std::nullopt},
      {"1000 0", "", std::nullopt},
      {"1000", "", std::nullopt},
      {" ", "", std::nullopt},  // no group
  };
  for (const Case& c : cases) EXPECT_EQ(parseCpuQuota(c.max, c.stat), c.use) << c.max;
}

TEST(CgroupTree, WithoutATreeLimitsAreUnavailable) {
  const auto tree = CgroupTree::withLayout(CgroupLayout{});
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().err, kNoCgroups);
}

TEST(CgroupTree, ProbedIsWhatTheMountsSay) {
  const auto tree = CgroupTree::probe();
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(tree->layout(),
            parseCgroupLayout(readFile("/proc/self/mountinfo", std::size_t{16} << 20).value()));
}

TEST(CgroupTree, PathsAreChecked) {
  CgroupLayout layout;
  layout.version = Version::v2;
  layout.unified = "/tmp";
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree);
  for (const char* bad : {"", "/a", "a/", "a//b", "..", "a/../b", "a/.", "a\nb"}) {
    EXPECT_FALSE(tree->create(bad, {})) << bad;
    EXPECT_FALSE(tree->attach(bad, 1)) << bad;
    EXPECT_FALSE(tree->remove(bad)) << bad;
    EXPECT_FALSE(tree->killAll(bad)) << bad;
    EXPECT_FALSE(tree->exists(bad)) << bad;
  }
}

}  // namespace
}  // namespace orrery
