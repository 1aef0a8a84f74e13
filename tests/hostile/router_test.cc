// The hostile program in the place of services of real routers, made by routerctl and watched by
// real supervisors: what it does there, what it does to those who listen to it, and that the
// neighbour network does not notice.
#include <elf.h>
#include <linux/capability.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

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
    if (!all.contains(attempt.name) &&
        hostile::resultOf(attempt.expected[column]).starts_with("SIG"))
      all[attempt.name] = hostile::resultOf(attempt.expected[column]);
  return all;
}

std::vector<Event> blockedEvents(const Victim& victim) {
  std::vector<Event> blocked;
  const std::string text = must(readFile(RouterPaths(victim.router).events, 4 << 20));
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    Event event = must(parseEvent(line));
    if (event.name == kBlockedEvent && event.service == toString(victim.kind))
      blocked.push_back(std::move(event));
  }
  return blocked;
}

std::uint64_t numberIn(const Event& event, const char* field) {
  return parseNumber<std::uint64_t>(fieldOf(event, field)).value_or(0);
}

// Of each call that the table says the supervisor is told of there is an event that names router,
// service, thread, call, arguments and answer; and however often a call was made, it is told of at
// once and then in sums: 10 s apart at least.
void expectEvents(const Victim& victim, const Outcomes& tried, std::chrono::seconds passed) {
  std::map<std::string, std::vector<Event>, std::less<>> byCall;
  for (Event& event : blockedEvents(victim)) {
    EXPECT_EQ(event.router, victim.router);
    EXPECT_EQ(event.severity, Severity::warning);
    EXPECT_GT(numberIn(event, "pid"), 0u);
    EXPECT_NE(fieldOf(event, "arguments"), "");
    EXPECT_TRUE(fieldOf(event, "answer").starts_with("errno:")) << toJsonLine(event);
    byCall[std::string(fieldOf(event, "call"))].push_back(std::move(event));
  }
  for (const auto& [call, events] : byCall) {
    EXPECT_EQ(numberIn(events.front(), "count"), 1u) << call;
    std::uint64_t sum = 0;
    for (const Event& event : events) {
      sum += numberIn(event, "count");
      EXPECT_EQ(numberIn(event, "total"), sum) << call;
    }
    EXPECT_LE(events.size(), 2u + static_cast<std::size_t>(passed.count() / 10)) << call;
  }
  for (const hostile::Attempt& attempt : hostile::kAttempts) {
    if (!tried.contains(attempt.name) || !hostile::isTold(attempt.expected[victim.column]))
      continue;
    const auto calls = split(attempt.call, '|');
    EXPECT_TRUE(std::any_of(calls.begin(), calls.end(),
                            [&](std::string_view call) { return byCall.contains(call); }))
        << hostile::kColumnNames[victim.column] << " " << attempt.name << ": nothing told of "
        << attempt.call;
  }
}

TEST_F(Hostile, InThePlaceOfEveryServiceChangesNothing) {
  const auto began = Clock::now();
  spawnVictims();
  const auto before = networks();
  // Before Tor, the proxy is in a namespace that nobody else is in.
  const std::string alone =
      must(readLink(fmt::format("/proc/{}/ns/net", serviceState(victims()[5]).pid)));
  for (const auto& [name, network] : before)
    EXPECT_NE(alone, fmt::format("net:[{}]", network.inode)) << name;
  for (const Victim& victim : runningVictims()) {
    nudge(victim);
    ASSERT_TRUE(awaitLog(victim, "done .")) << hostile::kColumnNames[victim.column];
    const auto log = must(readFile(logPath(victim), 4 << 20));
    const Outcomes tried = outcomesIn(log);
    expectTable(survivable(tried, victim.column), victim.column);
    expectEvents(victim, tried,
                 std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began));
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
  outcomes["abstract-socket"] = expectedOf("abstract-socket", hostile::kLease);
  expectTable(survivable(outcomes, hostile::kLease), hostile::kLease);
  expectNeighbourServes();
}

std::string field(const std::string& status, const std::string& name) {
  const std::size_t at = status.find(name + ":\t");
  if (at == std::string::npos) return "";
  const std::size_t from = at + name.size() + 2;
  return status.substr(from, status.find('\n', from) - from);
}

// The run-time of a sanitizer makes calls of its own, so such a build has no filter (main.cc of
// runtime/supervisor), and nothing to test of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ORRERY_SUPERVISOR_FILTERED 0
#else
#define ORRERY_SUPERVISOR_FILTERED 1
#endif

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
    EXPECT_EQ(field(status, "Seccomp"), ORRERY_SUPERVISOR_FILTERED ? "2" : "0") << pid;
  }
}

#if ORRERY_SUPERVISOR_FILTERED

// As one who has taken it over would: a call by the process' own code. It waits in one, so that the
// instruction before the next is the one that makes calls.
void makeItCall(pid_t pid, long number) {
  int status = 0;
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, pid, 0, 0), 0) << std::strerror(errno);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
  ASSERT_EQ(::waitpid(pid, &status, __WALL), pid);
  user_regs_struct registers{};
  iovec area{&registers, sizeof registers};
  ASSERT_EQ(::ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &area), 0);
#if defined(__x86_64__)
  registers.rip -= 2;  // syscall
  registers.orig_rax = ~0ULL;
  registers.rax = static_cast<unsigned long long>(number);
  registers.rdi = 77;
#else
  registers.pc -= 4;  // svc
  registers.regs[8] = static_cast<unsigned long long>(number);
  registers.regs[0] = 77;
#endif
  ASSERT_EQ(::ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &area), 0);
  ASSERT_EQ(::ptrace(PTRACE_DETACH, pid, 0, 0), 0);
}

// What its own filter refuses ends it; its successor serves on, and says what it was.
TEST_F(Hostile, ASupervisorThatMakesAnotherCallIsEndedByName) {
  const pid_t first = neighbourState_.supervisorPid;
  const PidFd process = must(openPidfd(first));
  makeItCall(first, SYS_bpf);
  ASSERT_TRUE(must(waitGone(process, kPatience)));
  RouterState now;
  for (const auto deadline = Clock::now() + kPatience; Clock::now() < deadline;) {
    auto client = ControlClient::connect(RouterPaths(neighbour_).control);
    const bool served = client.has_value();
    if (served) {
      const auto reply = client->request({.verb = std::string(verb::kStatus)}, after(kPatience));
      if (reply) now = must(stateFromJson(*reply));
    }
    if (now.supervisorPid != 0 && now.supervisorPid != first && now.phase == RouterPhase::ready)
      break;
    (void)::poll(nullptr, 0, 10);  // the kernel offers no event for a listener that is to come
  }
  ASSERT_NE(now.supervisorPid, first);
  ASSERT_EQ(now.phase, RouterPhase::ready) << now.reason;
  ASSERT_EQ(now.warnings.size(), 1u);
  EXPECT_NE(now.warnings[0].find(
                fmt::format("process {} of the supervision was killed for bpf(77, ", first)),
            std::string::npos)
      << now.warnings[0];
  const std::string text = must(readFile(RouterPaths(neighbour_).events, 4 << 20));
  bool told = false;
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    const Event event = must(parseEvent(line));
    if (event.name != kBlockedEvent || event.service != "supervisor") continue;
    told = true;
    EXPECT_EQ(fieldOf(event, "call"), "bpf");
    EXPECT_EQ(fieldOf(event, "answer"), "killed");
    EXPECT_EQ(fieldOf(event, "pid"), std::to_string(first));
  }
  EXPECT_TRUE(told);
}

#endif

}  // namespace
}  // namespace orrery::test
