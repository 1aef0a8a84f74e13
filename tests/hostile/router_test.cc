// The hostile program in the place of services of real routers, made by routerctl and watched by
// real supervisors: what it does there, what it does to those who listen to it, and that the
// neighbour network does not notice.
#include <linux/capability.h>

#include <algorithm>

#include "tests/hostile/house.h"

namespace orrery::test {
namespace {

Result<std::string> readLink(const std::string& path) {
  char target[256];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  if (n < 0) return sysError(errno, "read link '{}'", path);
  return std::string(target, static_cast<std::size_t>(n));
}

const std::vector<std::string>& namespaces() {
  static const std::vector<std::string> all = {"network0.universe0",      "network0.galaxy0",
                                               "network0.galaxy1",        "network0.star0",
                                               "network0.galaxy0.egress", "network0.galaxy1.egress",
                                               "network0.star0.egress"};
  return all;
}

std::map<std::string, Network> networks() {
  std::map<std::string, Network> all;
  for (const std::string& name : namespaces()) all[name] = networkOf(name);
  return all;
}

// The rest ends the process: it is made by jail_test.cc.
Outcomes survivable(const Outcomes& outcomes, hostile::Column column) {
  Outcomes all = outcomes;
  for (const hostile::Attempt& attempt : hostile::kAttempts)
    if (!all.contains(attempt.name) && attempt.expected[column].starts_with("SIG"))
      all[attempt.name] = attempt.expected[column];
  return all;
}

TEST_F(Hostile, InThePlaceOfEveryServiceChangesNothing) {
  spawnVictims();
  const auto before = networks();
  // Before Tor, the proxy is in a namespace that nobody else is in.
  const std::string alone =
      must(readLink(fmt::format("/proc/{}/ns/net", serviceState(victims()[5]).pid)));
  for (const auto& [name, network] : before)
    EXPECT_NE(alone, fmt::format("net:[{}]", network.inode)) << name;
  for (const Victim& victim : victims()) {
    nudge(victim);
    ASSERT_TRUE(awaitLog(victim, "done .")) << hostile::kColumnNames[victim.column];
    const auto log = must(readFile(logPath(victim), 4 << 20));
    expectTable(survivable(outcomesIn(log), victim.column), victim.column);
    EXPECT_EQ(serviceState(victim).restarts, 0u) << hostile::kColumnNames[victim.column];
  }
  const auto after = networks();
  for (const std::string& name : namespaces()) EXPECT_EQ(before.at(name), after.at(name)) << name;
  expectNeighbourServes();
}

TEST_F(Hostile, InThePlaceOfTheLeaseHelperChangesNothing) {
  const Victim& udhcpc = victims()[4];
  covers_.push_back(
      std::make_unique<InPlaceOf>(std::string(ORRERY_BINARY_DIR) + "/bin/orrery-lease"));
  const Outcome up = routerctl("spawn", "--no-wait", "/run/definitions/network0.toml");
  ASSERT_EQ(up.code, 0) << up;
  ASSERT_TRUE(awaitLog(udhcpc, "tried ."));
  const auto log = must(readFile(logPath(udhcpc), 4 << 20));
  Outcomes outcomes = outcomesIn(log);
  // The test had no time to listen there; jail_test.cc has.
  outcomes["abstract-socket"] = "EPERM";
  expectTable(survivable(outcomes, hostile::kLease), hostile::kLease);
  expectNeighbourServes();
}

std::string field(const std::string& status, const std::string& name) {
  const std::size_t at = status.find(name + ":\t");
  if (at == std::string::npos) return "";
  const std::size_t from = at + name.size() + 2;
  return status.substr(from, status.find('\n', from) - from);
}

// What a taken-over supervisor could do is what its services' making needs, and no more.
TEST_F(Hostile, SupervisorAndKeeperHoldOnlyWhatTheyNeed) {
  std::uint64_t needed = 0;
  for (const int capability :
       {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
        CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_MKNOD})
    needed |= std::uint64_t{1} << capability;
  const std::string expected = fmt::format("{:016x}", needed);
  const pid_t keeper = must(parseMark(must(readFile(keeperMarkPath(neighbour_))))).pid;
  for (const pid_t pid : {stateOf(neighbour_).supervisorPid, keeper}) {
    const std::string status = must(readFile(fmt::format("/proc/{}/status", pid)));
    for (const char* set : {"CapPrm", "CapEff", "CapBnd"})
      EXPECT_EQ(field(status, set), expected) << set << " of " << pid;
    for (const char* set : {"CapInh", "CapAmb"})
      EXPECT_EQ(field(status, set), "0000000000000000") << set << " of " << pid;
    EXPECT_EQ(field(status, "NoNewPrivs"), "1") << pid;
  }
}

}  // namespace
}  // namespace orrery::test
