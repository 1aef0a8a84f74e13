#include <gtest/gtest.h>

#include <functional>

#include "sandbox/namespaces/clocks.h"
#include "sandbox/namespaces/id_map.h"
#include "sandbox/namespaces/mount_plan.h"

namespace orrery {
namespace {

TEST(IdMap, TextAndOutsideId) {
  EXPECT_EQ(*idMapText(IdRange{100000, 65536}), "0 100000 65536\n");
  EXPECT_EQ(*idMapText(IdRange{4294967294U, 1}), "0 4294967294 1\n");
  EXPECT_EQ(*outsideId(IdRange{100000, 10}, 9), 100009U);
}

TEST(IdMap, Refused) {
  EXPECT_FALSE(idMapText(IdRange{100000, 0}));
  EXPECT_FALSE(idMapText(IdRange{0, 1}));
  EXPECT_FALSE(idMapText(IdRange{4294967294U, 2}));
  EXPECT_FALSE(idMapText(IdRange{4294967295U, 1}));
  EXPECT_FALSE(outsideId(IdRange{100000, 10}, 10));
  EXPECT_FALSE(outsideId(IdRange{0, 10}, 1));
}

TEST(CanonicalPath, Table) {
  for (const char* good : {"/", "/a", "/a/b.c", "/...", "/a/..b"})
    EXPECT_TRUE(isCanonicalPath(good)) << good;
  for (const char* bad : {"", "a", "//", "/a/", "/a//b", "/./a", "/a/.", "/..", "/a/../b", "./a"})
    EXPECT_FALSE(isCanonicalPath(bad)) << bad;
  EXPECT_FALSE(isCanonicalPath(std::string("/a\0b", 4)));
  EXPECT_FALSE(isCanonicalPath("/" + std::string(256, 'x')));
  std::string deep;
  while (deep.size() < 4096) deep += "/xxxxxxx";
  EXPECT_FALSE(isCanonicalPath(deep));
}

RootSpec sample() {
  RootSpec root;
  root.binds = {BindMount{"/lib", "/usr/lib/x", false, true},
                BindMount{"/usr", "/usr", false, true}};
  root.tmpfs = {TmpfsMount{"/run"}, TmpfsMount{"/run/deep/er"}};
  root.devices = {DeviceNode{"net/tun", 10, 200}};
  root.files = {TextFile{"/etc/passwd", "x"}, TextFile{"/run/pid", ""}};
  root.symlinks = {{"usr/bin", "/bin"}};
  root.proc = true;
  return root;
}

TEST(MountPlan, ParentsComeFirstAndPointsAreRelative) {
  const auto plan = planMounts(sample());
  ASSERT_TRUE(plan) << plan.error().message;
  std::string text;
  for (const PlannedMount& m : plan->mounts)
    text += fmt::format("{} {}: {} in {}\n", static_cast<int>(m.kind), m.target, m.point,
                        plan->mounts[m.on].target);
  EXPECT_EQ(text,
            "0 /:  in /\n"
            "1 /usr: usr in /\n"
            "2 /run: run in /\n"
            "3 /dev: dev in /\n"
            "4 /proc: proc in /\n"
            "1 /usr/lib/x: lib/x in /usr\n"
            "2 /run/deep/er: deep/er in /run\n");
}

TEST(MountPlan, EntriesLieOnTheirMounts) {
  const auto plan = planMounts(sample());
  ASSERT_TRUE(plan);
  std::string text;
  for (const PlannedEntry& e : plan->entries)
    text +=
        fmt::format("{} {} in {}\n", static_cast<int>(e.kind), e.path, plan->mounts[e.on].target);
  EXPECT_EQ(text,
            "0 net/tun in /dev\n"
            "1 etc/passwd in /\n"
            "1 pid in /run\n"
            "2 bin in /\n");
}

TEST(MountPlan, EmptyRootIsARoot) {
  const auto plan = planMounts(RootSpec{});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->mounts.size(), 1U);
  EXPECT_TRUE(plan->entries.empty());
}

struct Refusal {
  std::function<void(RootSpec&)> spoil;
  const char* message;
};

TEST(MountPlan, Refused) {
  const Refusal refusals[] = {
      {[](auto& r) {
         r.binds.push_back({"/a", "/usr"});
       },
       "two things are to be at '/usr'"},
      {[](auto& r) {
         r.binds.push_back({"/a", "/"});
       },
       "'/' is not a canonical absolute path below /"},
      {[](auto& r) {
         r.binds.push_back({"/a/../b", "/x"});
       },
       "bind source '/a/../b' is not a canonical absolute path"},
      {[](auto& r) { r.tmpfs.push_back({"/a/../../etc"}); },
       "'/a/../../etc' is not a canonical absolute path below /"},
      {[](auto& r) {
         r.devices.push_back({"../sda", 8, 0});
       },
       "'/dev/../sda' is not a canonical absolute path below /"},
      {[](auto& r) { r.tmpfs.push_back({"/dev"}); }, "two things are to be at '/dev'"},
      {[](auto& r) {
         r.files.push_back({"/usr/share/x", ""});
       },
       "'/usr/share/x' would be written into what is mounted at '/usr'"},
      {[](auto& r) {
         r.files.push_back({"/proc/x", ""});
       },
       "'/proc/x' would be written into what is mounted at '/proc'"},
      {[](auto& r) { r.tmpfs.push_back({"/proc/x"}); },
       "'/proc/x': nothing can be mounted in /proc"},
      {[](auto& r) {
         r.files.push_back({"/bin/sh", ""});
       },
       "'/bin/sh' would lie below '/bin', which is no directory"},
      {[](auto& r) {
         r.binds.push_back({"/a", "/etc/passwd/x"});
       },
       "'/etc/passwd/x' would lie below '/etc/passwd', which is no directory"},
      {[](auto& r) {
         r.symlinks.push_back({"", "/link"});
       },
       "the link '/link' points nowhere"},
      {[](auto& r) {
         r.files.push_back({"/big", std::string(kMaxTextFile + 1, 'x')});
       },
       "'/big' has more than 262144 bytes"},
      {[](auto& r) { r.tmpfs.resize(kMaxMounts); }, "more than 128 mounts"},
      {[](auto& r) { r.files.resize(kMaxEntries); }, "more than 256 devices, files and links"},
  };
  for (const Refusal& refusal : refusals) {
    RootSpec root = sample();
    refusal.spoil(root);
    const auto plan = planMounts(root);
    ASSERT_FALSE(plan) << refusal.message;
    EXPECT_EQ(plan.error().message, refusal.message);
  }
}

TEST(Clocks, AreMovedFromWhereTheyAreToTheStart) {
  constexpr const char* kNone =
      "monotonic           0         0\nboottime            0         0\n";
  HostClocks now;
  now.monotonic = {1000, 500'000'000};
  now.boottime = {3000, 0};
  constexpr std::uint64_t kStart = 3600'250'000'000;  // ns
  // 3600.25 - 1000.5 and 3600.25 - 3000
  EXPECT_EQ(clockOffsets(kNone, now, kStart).value_or(""),
            "monotonic 2599 750000000\nboottime 600 250000000\n");
  // 1.25 - 1000.5 = -1000 + 0.75; the kernel takes no negative rest
  EXPECT_EQ(clockOffsets(kNone, now, 1'250'000'000).value_or(""),
            "monotonic -1000 750000000\nboottime -2999 250000000\n");
  // What we read is moved already: the offsets count from the initial namespace.
  EXPECT_EQ(clockOffsets("monotonic -10 250000000\nboottime 5 0\n", now, kStart).value_or(""),
            "monotonic 2590 0\nboottime 605 250000000\n");
}

TEST(Clocks, AFileThatIsNotTheKernelsIsRefused) {
  for (const char* text : {"", "monotonic 0 0\n", "boottime 0 0\n", "monotonic 0\nboottime 0 0\n",
                           "monotonic x 0\nboottime 0 0\n", "monotonic 0 -\nboottime 0 0\n"})
    EXPECT_FALSE(clockOffsets(text, HostClocks{}, 1)) << text;
}

}  // namespace
}  // namespace orrery
