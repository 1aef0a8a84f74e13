// Commands at once, what crashed ones leave, and what an idle router costs.
#include "routers/kinds/desired.h"
#include "routers/services/service_spec.h"
#include "tests/system/engine/supervised.h"

namespace orrery::test {
namespace {

// --- commands at once, and what crashed ones leave
// ------------------------------------------------

TEST_F(Supervised, OfTwoSpawnsAtOnceOneFindsItDone) {
  Command one({"--json", "spawn", kDefinition});
  Command two({"--json", "spawn", kDefinition});
  const Outcome first = one.wait();
  const Outcome second = two.wait();
  EXPECT_EQ(first.code, 0) << first;
  EXPECT_EQ(second.code, 0) << second;
  const auto changed = [](const Outcome& o) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = o.out.find("\"changed\":true", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  EXPECT_EQ(changed(first) + changed(second), 2u) << "each router was made once\n"
                                                  << first << second;
}

TEST_F(Supervised, NobodyKeepsTheStoreLocked) {
  spawn();
  const UniqueFd fd = must(openFile("/run", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(::flock(fd.get(), LOCK_EX | LOCK_NB), 0);
  // Who only reads does not wait for it.
  EXPECT_EQ(routerctl("list").code, 0);
  EXPECT_EQ(routerctl("status", "galaxy3").code, 0);
  EXPECT_EQ(routerctl("plan", kDefinition).code, 0);
}

TEST_F(Supervised, GcTakesBackWhatAKilledRunLeft) {
  spawn();
  {
    Command run({"run", "galaxy3", "--", "/bin/sleep", "1000"});
    awaitLink(paths_.lanNetns, "c0a0104fd", Presence::there);
    run.kill();
    (void)run.wait();
    awaitLink(paths_.lanNetns, "c0a0104fd", Presence::gone);
  }
  EXPECT_TRUE(pathExists(paths_.runDir + "/dnsmasq/hosts.d/10.1.4.253"));
  const Outcome swept = routerctl("gc");
  EXPECT_EQ(swept.code, 0) << swept;
  EXPECT_NE(swept.out.find("client 10.1.4.253 of network0.galaxy3"), std::string::npos) << swept;
  EXPECT_FALSE(pathExists(paths_.runDir + "/dnsmasq/hosts.d/10.1.4.253"));
  EXPECT_TRUE(must(listDirectory(paths_.attachments)).empty());
}

TEST_F(Supervised, AnAttachedClientGetsItsAddressHoweverSoonItAsks) {
  spawn();
  const NetnsFd client = must(createNetns());
  must(pinNetns(client, "client"));
  const Outcome attached = routerctl("attach", "galaxy3", "--netns", "client", "--dhcp");
  // Nothing is waited for: dnsmasq reads it before any packet that comes after the signal.
  const std::string told = must(readFile(dnsmasqHostsPath(galaxy_)));
  ASSERT_EQ(attached.code, 0) << attached;
  const auto reserved = must(listDirectory(reservationDirectory(galaxy_)));
  ASSERT_EQ(reserved.size(), 1u);
  EXPECT_NE(told.find("," + reserved.front() + "\n"), std::string::npos) << told;
  must(unpinNetns("client"));
}

TEST_F(Supervised, GcRemovesSlotsAndGroupsWithoutARouterOnly) {
  spawn();
  const CgroupTree cgroups = must(CgroupTree::probe());
  must(cgroups.create("network0/ghost", {}));
  must(writeFileAtomic("/run/orrery/ids/7", "network0.ghost\n"));
  const NetnsFd other = must(createNetns());
  must(pinNetns(other, "network0.ghost"));  // no journal names it: not ours for sure
  const Outcome swept = routerctl("gc");
  EXPECT_EQ(swept.code, 0) << swept;
  EXPECT_EQ(swept.out, "removed file /run/orrery/ids/7\nremoved cgroup network0/ghost\n");
  EXPECT_TRUE(must(netnsPinned("network0.ghost")));
  must(unpinNetns("network0.ghost"));
  EXPECT_EQ(status().phase, RouterPhase::ready);
  EXPECT_EQ(must(listDirectory("/run/orrery/ids")).size(), 2u);
}

// --- rest
// -----------------------------------------------------------------------------------------

std::string contextSwitches(pid_t pid) {
  const std::string text = must(readFile(fmt::format("/proc/{}/status", pid)));
  const std::size_t at = text.find("voluntary_ctxt_switches:");
  return text.substr(at, text.find('\n', at) - at);
}

// Of the system call that the process sleeps in, from 1 (proc(5), /proc/PID/syscall).
std::string callArgument(pid_t pid, std::size_t number) {
  const std::string text = must(readFile(fmt::format("/proc/{}/syscall", pid)));
  const auto words = splitWords(text);
  return number < words.size() ? std::string(words[number]) : text;
}

TEST_F(Supervised, AnIdleRouterSleeps) {
  spawn();
  const std::vector<pid_t> ours{supervisor(), keeper(), pidIn(supervisorMarkPath(universe_)),
                                pidIn(keeperMarkPath(universe_))};
  const auto count = [&] {
    std::vector<std::string> counts;
    for (const pid_t pid : ours) counts.push_back(contextSwitches(pid));
    return counts;
  };
  // It is the passing of time itself that is looked at here. The last events of a start come after
  // it: what services log then, and the kernel's word on a bridge, which it holds back for a
  // second.
  std::vector<std::string> before = count();
  for (int i = 0; i < 10; ++i) {
    (void)::poll(nullptr, 0, 1500);
    if (std::exchange(before, count()) == before) break;
  }
  constexpr int kWhileMs = 3000;
  (void)::poll(nullptr, 0, kWhileMs);
  EXPECT_EQ(count(), before);
  // No timer is set either: epoll_wait(2) and poll(2) without a limit.
  for (const pid_t pid : {ours[0], ours[2]}) EXPECT_EQ(callArgument(pid, 4), "0xffffffff");
  for (const pid_t pid : {ours[1], ours[3]}) EXPECT_EQ(callArgument(pid, 3), "0xffffffff");
  // One event, and they are awake again: the count is alive.
  (void)status();
  // It is counted when they fall asleep again, a moment after the answer.
  constexpr int kTries = 50;
  for (int i = 0; i < kTries && count() == before; ++i) (void)::poll(nullptr, 0, 100);
  EXPECT_NE(count(), before);
}

}  // namespace
}  // namespace orrery::test
