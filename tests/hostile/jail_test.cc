// Every attempt of the table, alone, in the very sandbox of every kind of service: its namespaces,
// its ids, its root, its cgroup, its filter; and of each that the filter refuses, that the listener
// is told.
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/hostile/house.h"

namespace orrery::test {
namespace {

using hostile::Column;

struct Seen {
  Outcomes outcomes;
  std::vector<ToldCall> told;
};

// Told to the supervisor, which kills: what the filter would do by SIGSYS.
void nameKills(Seen& seen) {
  for (const ToldCall& call : seen.told)
    if (call.killed) seen.outcomes[call.attempt] = "SIGSYS";
}

// What it survives in one life, and a life for each attempt that ends it.
Seen seenIn(Jail& jail, Column column, bool filtered) {
  Jail::End all = jail.run({"all", std::to_string(static_cast<int>(column))}, filtered);
  Seen seen{outcomesIn(all.output), std::move(all.told)};
  Outcomes& found = seen.outcomes;
  for (const hostile::Attempt& attempt : hostile::kAttempts) {
    if (found.contains(attempt.name)) continue;
    Jail::End end = jail.run({"try", attempt.name}, filtered);
    found.merge(outcomesIn(end.output));
    for (ToldCall& call : end.told) {
      call.attempt = attempt.name;
      seen.told.push_back(std::move(call));
    }
    constexpr std::string_view kKilled = "killed by ";
    if (!end.how.starts_with(kKilled)) continue;
    const std::size_t at = kKilled.size();
    found[attempt.name] = end.how.substr(at, end.how.find(' ', at) - at);
  }
  nameKills(seen);
  return seen;
}

TEST_F(Hostile, EveryAttemptInTheSandboxOfEveryService) {
  spawnVictims();
  std::vector<Victim> all = victims();
  all.push_back(leaseHelper());
  for (const Victim& victim : all) {
    Jail jail(victim);
    const Seen seen = seenIn(jail, victim.column, true);
    expectTable(seen.outcomes, victim.column);
    expectTold(seen.told, seen.outcomes, victim.column);
  }
  expectNeighbourServes();
}

// The filter is one wall of several: this is what stands without it.
TEST_F(Hostile, EveryAttemptWithoutTheFilter) {
  spawnVictims();
  Jail jail(victims()[3]);
  expectTable(seenIn(jail, hostile::kNoFilter, false).outcomes, hostile::kNoFilter);
  expectNeighbourServes();
}

constexpr int kInherited = 3;

// A host of its own for the control: what is attempted is there to be had.
void furnish() {
  (void)::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  (void)::mount("proc", "/proc", "proc", 0, nullptr);
  (void)::mount("tmpfs", "/run", "tmpfs", 0, nullptr);
  for (const char* directory : {"/run/dnsmasq", "/run/netns", "/run/orrery/network1/universe0",
                                "/run/orrery/network0/universe0", "/run/dbus", "/run/definitions",
                                "/run/multiverse/portals/universe0.router.network1"})
    must(makeDirectories(directory));
  must(writeFileAtomic("/run/netns/hostile", ""));
  (void)::mount("/proc/self/ns/net", "/run/netns/hostile", nullptr, MS_BIND, nullptr);
  must(makeDirectories("/run/systemd/journal"));
  must(writeFileAtomic("/run/secret", ""));
  must(writeExisting("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"));
  for (const char* path : {"/run/systemd/journal/stdout", "/run/orrery/network1/universe0/control",
                           "/run/orrery/network0/universe0/control",
                           "/run/multiverse/portals/universe0.router.network1/virtserial-sock",
                           "/run/dbus/system_bus_socket"})
    (void)listenAt(path).release();
  (void)listenAt(std::string("\0hostile-test", 13)).release();
  const NetnsFd here = must(openNetns(""));
  Rtnl rtnl = must(Rtnl::open(here));
  must(setLinkUp(rtnl, ifName("lo")));
  must(addAddress(rtnl, ifName("lo"), prefix("10.9.0.1/32")));
  // Somebody who holds the sockets and can be killed; a terminal; a namespace.
  if (::fork() == 0)
    for (;;) (void)::pause();
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  (void)::unlockpt(terminal);
  (void)::dup2(::open(::ptsname(terminal), O_RDWR), STDIN_FILENO);
  (void)::dup2(here.get(), kInherited);
}

// That the attempts are some: root, in namespaces that nobody else uses.
TEST_F(Hostile, ControlTheAttemptsSucceedUnconfined) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr int kAll =
        CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;
    if (::unshare(kAll) != 0) ::_exit(1);
    if (const pid_t init = ::fork(); init != 0) {
      int status = 0;
      (void)::waitpid(init, &status, 0);
      ::_exit(0);
    }
    furnish();
    (void)::dup2(writer.get(), STDOUT_FILENO);
    (void)::execl(ORRERY_HOSTILE, ORRERY_HOSTILE, "all",
                  std::to_string(static_cast<int>(hostile::kFree)).c_str(), nullptr);
    ::_exit(1);
  }
  writer.reset();
  const std::string text = must(readAll(reader.get()));
  (void)::waitpid(child, nullptr, 0);
  expectTable(outcomesIn(text), hostile::kFree);
}

}  // namespace
}  // namespace orrery::test
