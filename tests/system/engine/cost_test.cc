// What a spawn and a destroy cost, in system calls: an upper bound, and the same for the thirtieth
// router as for the third. No times: those depend on the machine (bench/).
#include "tests/system/engine/supervised.h"
#include "tests/system/engine/traced.h"

namespace orrery::test {
namespace {

constexpr int kFew = 3, kMany = 30;

std::string galaxy(int number) {
  return fmt::format(R"(version = 1
network = "network0"
[router.galaxy{0}]
kind   = "galaxy"
uplink = "universe0"
lan    = {{ address = "10.1.{0}.254/24", dhcp = {{ range = ["10.1.{0}.2", "10.1.{0}.200"], lease = "9000s" }} }}
egress = {{ type = "direct" }}
)",
                     number);
}

constexpr const char* kUniverse = "/run/definitions/universe.toml";

class Cost : public Supervised {
 protected:
  static std::string fileOf(int number) {
    return fmt::format("/run/definitions/galaxy{}.toml", number);
  }
  static std::string defined(int number) {
    must(writeFileAtomic(fileOf(number), galaxy(number)));
    return fileOf(number);
  }
  static void plainly(const std::string& file) {
    const Outcome up = routerctl("spawn", file);
    ASSERT_EQ(up.code, 0) << up;
  }
  // The universe alone first: all that is measured comes behind it.
  void SetUp() override {
    Supervised::SetUp();
    const std::string text = definition();
    must(writeFileAtomic(kUniverse, text.substr(0, text.find("[router.galaxy3]"))));
    plainly(kUniverse);
    for (int i = 1; i < kFew; ++i) plainly(defined(i));
    measure(kFew);
    for (int i = kFew; i < kMany; ++i) plainly(defined(i));
    measure(kMany);
  }
  void TearDown() override {
    must(removeFile(kUniverse));
    for (int i = 1; i <= kMany; ++i) must(removeFile(fileOf(i)));
    Supervised::TearDown();
  }
  void measure(int number) {
    spawns_.push_back(traced({"spawn", defined(number)}));
    destroys_.push_back(traced({"destroy", fmt::format("galaxy{}", number)}));
  }
  std::vector<Trace> spawns_, destroys_;
};

// The run-time of a sanitizer makes calls of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kOfRuntime = 10'000;
#else
constexpr int kOfRuntime = 0;
#endif

// Netlink messages, mounts, namespaces and threads are what the kernel takes its time for.
constexpr const char* kDear[] = {"sendmsg", "socket",  "mount", "umount2", "clone3",
                                 "setns",   "unshare", "rmdir", "execve",  "openat"};

TEST_F(Cost, IsBoundedAndDoesNotGrow) {
  const Trace& spawn = spawns_.front();
  EXPECT_LE(spawn.all(), 800 + kOfRuntime);
  EXPECT_LE(spawn.of("sendmsg"), 30);
  EXPECT_LE(spawn.of("mount"), 2);
  EXPECT_EQ(spawn.of("inotify_init1"), 0) << "to close one waits for a grace period, some 10 ms";
  const Trace& destroy = destroys_.front();
  EXPECT_LE(destroy.all(), 600 + kOfRuntime);
  EXPECT_LE(destroy.of("sendmsg"), 6);
  EXPECT_LE(destroy.of("umount2"), 3);
  // By its protocol: with a socket that removes something a grace period is waited for.
  EXPECT_EQ(destroy.text.find("NETLINK_NETFILTER"), std::string::npos);
  // The definitions of its network are read for what can be said of all together; that apart, the
  // thirtieth costs what the third did.
  const int more = kMany - kFew;
  for (const char* name : kDear) {
    const int read = std::string(name) == "openat" ? more : 0;
    EXPECT_LE(spawns_.back().of(name), spawn.of(name) + read) << name;
    // Supervisor and keeper are looked for twice, and whoever has ended by then has no
    // /proc/PID/stat.
    const int late = std::string(name) == "openat" ? 2 : 0;
    EXPECT_LE(destroys_.back().of(name), destroy.of(name) + late) << name;
  }
  EXPECT_LE(destroys_.back().all(), destroy.all() + 12) << "directories have more to list";
}

}  // namespace
}  // namespace orrery::test
