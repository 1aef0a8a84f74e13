// What a service may use up, and what it can do to those who listen to it: its own limits, its own
// router's. The neighbour and the machine go on.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "runtime/control/events.h"
#include "sandbox/base/file.h"
#include "tests/hostile/house.h"

namespace orrery::test {
namespace {

std::uint64_t residentKib(pid_t pid) {
  const std::string text = must(readFile(fmt::format("/proc/{}/status", pid)));
  const std::size_t at = text.find("VmRSS:");
  if (at == std::string::npos) return 0;
  return parseNumber<std::uint64_t>(splitWords(std::string_view(text).substr(at))[1]).value_or(0);
}

std::uint64_t freeBytesOf(const std::string& path) {
  struct statvfs st {};
  if (::statvfs(path.c_str(), &st) != 0) throw std::runtime_error("statvfs " + path);
  return st.f_bavail * st.f_bsize;
}

struct Bomb {
  const char* name;
  std::size_t victim;    // in victims()
  std::string_view end;  // "bomb NAME OUTCOME", or how it was killed
};

constexpr Bomb kBombs[] = {
    {"memory", 0, "killed by SIGKILL"},  // the router's memory, 96 MiB
    {"memory", 5, "killed by SIGKILL"},
    {"forks", 0, "bomb forks EAGAIN"},  // the router's pids, 24
    {"forks", 4, "bomb forks EAGAIN"},
    {"descriptors", 0, "bomb descriptors EMFILE"},
    {"descriptors", 1, "bomb descriptors EMFILE"},
    {"descriptors", 3, "bomb descriptors EMFILE"},
    {"disk", 0, "bomb disk EFBIG"},
    {"disk", 1, "bomb disk EFBIG"},
    {"disk", 2, "bomb disk ENOENT"},  // nowhere to write
    {"disk", 3, "bomb disk ENOSPC"},  // half of the router's memory
    {"disk", 4, "bomb disk ENOENT"},
    {"disk", 5, "bomb disk ENOENT"},
};

TEST_F(Hostile, BombsUseUpWhatIsTheRoutersOwn) {
  spawnVictims();
  for (const Bomb& bomb : kBombs) {
    const Victim& victim = victims()[bomb.victim];
    Jail jail(victim);
    const std::uint64_t before = freeBytesOf("/run");
    const Jail::End end = jail.run({"bomb", bomb.name});
    const std::string what =
        std::string(trim(end.output)) + (end.how == "exit 0" ? "" : " " + end.how);
    EXPECT_NE(what.find(bomb.end), std::string::npos)
        << hostile::kColumnNames[victim.column] << " " << bomb.name << ": " << what;
    constexpr std::uint64_t kRouterMemory = 96 << 20;
    EXPECT_GE(freeBytesOf("/run") + kRouterMemory, before) << bomb.name;
  }
  expectNeighbourServes();
}

std::uint64_t sizeOf(const std::string& path) {
  struct statvfs st {};
  if (::statvfs(path.c_str(), &st) != 0) throw std::runtime_error("statvfs " + path);
  return st.f_blocks * st.f_bsize;
}

int dataFullEvents(const Victim& victim) {
  int found = 0;
  const std::string text = must(readFile(RouterPaths(victim.router).events, 4 << 20));
  for (const std::string_view line : split(text, '\n'))
    if (!line.empty() && must(parseEvent(line)).name == "data-full") ++found;
  return found;
}

// Whatever is in tor's place has a file system of its own, whose size is the bound: for files that
// are removed and held open too. Nothing of it is on a disk, and its supervisor says that it is
// full.
TEST_F(Hostile, TorsDirectoryHasABound) {
  spawnVictims();
  const Victim& tor = victims()[3];
  const std::string data = torDataDirectory(tor.router);
  constexpr std::uint64_t kBound = 48 << 20;  // half of the router's memory
  EXPECT_EQ(sizeOf(data), kBound);
  const std::uint64_t run = freeBytesOf("/run"), disk = freeBytesOf("/var/lib");
  Jail jail(tor);
  const Jail::End end = jail.run({"bomb", "files"});
  EXPECT_EQ(trim(end.output), "bomb files ENOSPC") << end.how;
  constexpr std::uint64_t kLogs = 1 << 20;
  EXPECT_GE(freeBytesOf("/run") + kLogs, run);
  EXPECT_GE(freeBytesOf("/var/lib") + kLogs, disk);
  // What it held open is gone with it: of what is left, more than the sixteenth is free.
  must(writeFileAtomic(data + "/rest", std::string(freeBytesOf(data) - (1 << 20), 'x')));
  EXPECT_EQ(dataFullEvents(tor), 0);
  nudge(tor);
  ASSERT_TRUE(awaitLog(tor, "done ."));
  EXPECT_EQ(stateOf(tor.router).id, tor.router);
  Watch watch(RouterPaths(tor.router).logDir, IN_MODIFY);
  EXPECT_TRUE(watch.until([&] { return dataFullEvents(tor) == 1; }));
  expectNeighbourServes();
}

// Without that file system the same fills what is below: /run, until the router's memory is used
// up.
TEST_F(Hostile, ControlWithoutItTorsDirectoryFillsWhatIsBelow) {
  spawnVictims();
  const Victim& tor = victims()[3];
  const std::string data = torDataDirectory(tor.router);
  struct stat owner {};
  ASSERT_EQ(::stat(data.c_str(), &owner), 0);
  ASSERT_EQ(::umount2(data.c_str(), MNT_DETACH), 0);
  ASSERT_EQ(::chown(data.c_str(), owner.st_uid, owner.st_gid), 0);
  const std::uint64_t run = freeBytesOf("/run");
  Jail jail(tor);
  const Jail::End end = jail.run({"bomb", "files"});
  EXPECT_EQ(end.how, "killed by SIGKILL") << end.output;
  EXPECT_LT(freeBytesOf("/run") + (32 << 20), run);
}

constexpr std::uint32_t kQuota = 10;        // per cent
constexpr std::uint64_t kQuotaUs = 10'000;  // in each period

std::uint64_t childrensCpuUs() {
  rusage use{};
  (void)::getrusage(RUSAGE_CHILDREN, &use);
  const auto us = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(t.tv_usec);
  };
  return us(use.ru_utime) + us(use.ru_stime);
}

struct Burnt {
  std::uint64_t us = 0;  // of CPU time
  std::optional<CpuQuotaUse> before, after;
};

// In a service's sandbox, by as many processes as it may have.
Burnt burnIn(const Victim& victim) {
  const CgroupTree cgroups = must(CgroupTree::probe());
  const std::string group = victim.router.network + "/" + victim.router.name;
  const bool forks = victim.kind == ServiceKind::dnsmasq || victim.kind == ServiceKind::udhcpc;
  Jail jail(victim);
  Burnt burnt;
  burnt.before = cgroups.cpuQuota(group);
  const std::uint64_t begin = childrensCpuUs();
  const Jail::End end = jail.run({"bomb", forks ? "cpu-forks" : "cpu"});
  burnt.us = childrensCpuUs() - begin;
  burnt.after = cgroups.cpuQuota(group);
  EXPECT_EQ(end.how, "exit 0") << hostile::kColumnNames[victim.column] << ": " << end.output;
  return burnt;
}

// Whoever burns CPU time in the place of a service gets its router's quota in each period, as the
// kernel counts them, and waits.
TEST_F(Hostile, ABurnerGetsItsRoutersCpuQuota) {
  setCpuQuota(fmt::format("{}%", kQuota));
  spawnVictims();
  for (const Victim& victim : runningVictims()) {
    const char* name = hostile::kColumnNames[victim.column];
    const Burnt burnt = burnIn(victim);
    ASSERT_TRUE(burnt.before && burnt.after) << name;
    EXPECT_EQ(burnt.after->percent, kQuota) << name;
    ASSERT_GT(burnt.us, 3 * kQuotaUs) << name << ": too little work to tell";
    const std::uint64_t periods = burnt.after->periods - burnt.before->periods;
    // A period's quota at its begin, and what a tick and the kernel's shares for each CPU let pass.
    constexpr std::uint64_t kSlackUs = 2 * kQuotaUs;
    EXPECT_LE(burnt.us, periods * kQuotaUs + kSlackUs) << name;
    EXPECT_GE(burnt.after->throttled - burnt.before->throttled, burnt.us / kQuotaUs / 2) << name;
    EXPECT_GT(burnt.after->throttledTime, burnt.before->throttledTime) << name;
  }
  const Outcome shown = routerctl("inspect", "network0.universe0", "limits", "--json");
  const auto json = must(parseJson(shown.out));
  EXPECT_EQ(json["limits"]["cpu-quota"], Json(kQuota)) << shown;
  EXPECT_GT(json["limits"]["cpu-throttled"].integer("throttled"), 0) << shown;
  expectNeighbourServes();
}

// With a quota that is no bound the same work is done in whatever periods there are.
TEST_F(Hostile, ControlABurnerOfNoQuotaIsNotThrottled) {
  setCpuQuota("10000%");
  spawnVictims();
  for (const Victim& victim : runningVictims()) {
    const char* name = hostile::kColumnNames[victim.column];
    const Burnt burnt = burnIn(victim);
    ASSERT_TRUE(burnt.before && burnt.after) << name;
    ASSERT_GT(burnt.us, 3 * kQuotaUs) << name;
    EXPECT_EQ(burnt.after->throttled, 0u) << name;
  }
  // The neighbour's definition limits none.
  EXPECT_EQ(must(CgroupTree::probe()).cpuQuota("network1/universe0"), std::nullopt);
  const Outcome shown = routerctl("inspect", "network1.universe0", "limits");
  EXPECT_NE(shown.out.find("unlimited"), std::string::npos) << shown;
}

// Each service floods what its supervisor reads, and reads nothing itself: every supervisor still
// answers, has not grown, and the routers can be destroyed (TearDown).
TEST_F(Hostile, FloodsStopNobody) {
  spawnVictims();
  for (const Victim& victim : runningVictims()) {
    nudge(victim);
    ASSERT_TRUE(awaitLog(victim, "done ."));
  }
  for (const Victim& victim : runningVictims()) nudge(victim);
  constexpr int kRounds = 15;  // long enough for every buffer to be full
#ifdef __SANITIZE_ADDRESS__    // which keeps 256 MiB of what is freed, and the shadow of all
  constexpr std::uint64_t kEnough = 1 << 20;  // KiB
#else
  constexpr std::uint64_t kEnough = 64 << 10;
#endif
  for (int round = 0; round < kRounds; ++round) {
    for (const Victim& victim : runningVictims()) {
      const RouterState state = stateOf(victim.router);
      EXPECT_LT(residentKib(state.supervisorPid), kEnough) << victim.router.text();
    }
    expectNeighbourServes();
    if (HasFailure()) return;
  }
  // Of the one that floods its log its supervisor has said so, once.
  const std::string events = must(readFile(RouterPaths(victims()[0].router).events, 4 << 20));
  int floods = 0;
  for (const std::string_view line : split(events, '\n')) {
    if (line.empty()) continue;
    const Event event = must(parseEvent(line));
    if (event.name != "log-flood") continue;
    ++floods;
    EXPECT_EQ(event.service, "dnsmasq");
  }
  EXPECT_EQ(floods, 1);
  for (const Victim& victim : runningVictims()) {
    struct stat log {};
    ASSERT_EQ(::stat(logPath(victim).c_str(), &log), 0);
    EXPECT_LE(log.st_size, 2 << 20) << logPath(victim);
  }
}

// Who may speak to a supervisor at all may still not stop it.
TEST_F(Hostile, AControlSocketOutlivesItsPeers) {
  const std::string path = RouterPaths(neighbour_).control;
  const auto dial = [&path] {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    (void)::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return fd;
  };
  std::vector<UniqueFd> silent;
  constexpr int kMany = 300;
  for (int i = 0; i < kMany; ++i) silent.push_back(dial());
  for (const std::string& garbage :
       {std::string(1 << 20, 'x'), std::string(1 << 20, '\n'), std::string(1 << 16, '\0'),
        std::string(1 << 16, '['), std::string("{\"schema\":\"orrery.control/1\",\"request\":")}) {
    const UniqueFd fd = dial();
    (void)::send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  }
  silent.clear();
  expectNeighbourServes();
}

// Where a service may write, its supervisor and routerctl read with care: what it puts there is
// never followed, waited for or taken in whole, and can be removed again.
TEST_F(Hostile, WhatItWritesLeadsNobodyAstray) {
  spawnVictims();
  const std::string leases = RouterPaths(victims()[0].router).leases;
  const std::function<void()> tricks[] = {
      [&] { EXPECT_EQ(::symlink("/etc/shadow", leases.c_str()), 0); },
      [&] { EXPECT_EQ(::mkfifo(leases.c_str(), 0666), 0); },
      [&] { EXPECT_EQ(::mkdir(leases.c_str(), 0777), 0); }, [&] { (void)listenAt(leases); },
      [&] {
        const UniqueFd file = must(openFile(leases, O_WRONLY | O_CREAT, 0666));
        EXPECT_EQ(::ftruncate(file.get(), off_t{1} << 30), 0);
      }};
  for (const auto& trick : tricks) {
    must(removeTree(leases));
    trick();
    for (const char* section : {"dhcp", "services"}) {
      const Outcome asked = routerctl("inspect", "network0.universe0", section);
      EXPECT_EQ(asked.out.find("root:"), std::string::npos) << asked;
    }
    EXPECT_EQ(stateOf(victims()[0].router).id, victims()[0].router);
  }
  expectNeighbourServes();
}

// Deeper than anybody has descriptors for.
TEST_F(Hostile, ADeepTreeIsRemovedWithItsRouter) {
  spawnVictims();
  const std::string top = RouterPaths(victims()[3].router).runDir + "/tor/socks";
  UniqueFd at = must(openFile(top, O_RDONLY | O_DIRECTORY));
  constexpr int kDeep = 3000;
  for (int i = 0; i < kDeep; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), "d", 0700), 0);
    at.reset(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
  }
  at.reset();
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit few{256, files.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Outcome down = routerctl("destroy", "star0");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(down.code, 0) << down;
}

}  // namespace
}  // namespace orrery::test
