// How services end: by themselves, by us, and with us.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "sandbox/base/file.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Lifetime, ExitStatusIsTheServices) {
  EXPECT_EQ(runProbe(probeSpec({"exit:7"})).status, (ExitStatus{7, 0, false}));
  EXPECT_EQ(toText(runProbe(probeSpec({"exit:7"})).status), "exit 7");
}

TEST(Lifetime, TerminateKillsWhatIgnoresTerm) {  // pid 1 without a handler does
  const SandboxSpec spec = probeSpec({"pid", "pause"});
  auto child = spawnSandboxed(SpawnRequest{.spec = spec});
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_FALSE(waitExitTimeout(child->pidfd, milliseconds(0))->has_value());
  const auto status = terminate(child->pidfd, milliseconds(20));
  ASSERT_TRUE(status);
  EXPECT_EQ(toText(*status), "killed by SIGKILL");
  EXPECT_FALSE(sendSignal(child->pidfd, SIGTERM).value_or(true));
}

// Forks a parent that spawns the probe, tells the probe's pid and waits; then kills that parent.
bool serviceOutlivesParent(SandboxSpec spec) {
  spec.argv = {"/probe", "pid", "pause"};
  Pipe pidPipe = makePipe();
  Pipe output = makePipe();
  const pid_t parent = ::fork();
  if (parent == 0) {
    SpawnRequest request{.spec = spec};
    request.fds = {{output.writer.get(), 1}};
    auto child = spawnSandboxed(request);
    const std::string text = child ? fmt::format("{}\n", child->pid) : child.error().message;
    (void)!::write(pidPipe.writer.get(), text.data(), text.size());
    for (;;) ::pause();
  }
  pidPipe.writer.reset();
  output.writer.reset();
  const std::string line = readLine(pidPipe.reader.get());
  EXPECT_EQ(readLine(output.reader.get()), "pid=1 1");  // it runs
  auto service = openPidfd(static_cast<pid_t>(std::atoi(line.c_str())));
  EXPECT_TRUE(service) << line;
  (void)::kill(parent, SIGKILL);
  (void)::waitpid(parent, nullptr, 0);
  if (!service) return false;
  const bool gone = waitGone(*service, spec.dieWithParent ? seconds(10) : seconds(0)).value();
  if (!gone) (void)sendSignal(*service, SIGKILL);
  return !gone;
}

TEST(Lifetime, DiesWithItsParent) {
  EXPECT_FALSE(serviceOutlivesParent(probeSpec({})));
}

TEST(Lifetime, DiesWithItsParentAlsoAsOrdinaryUserWithACapability) {
  SandboxSpec spec = probeSpec({});
  spec.ids.reset();
  spec.uid = kOutside;
  spec.gid = kOutside;
  spec.capabilities = {13};  // CAP_NET_RAW
  EXPECT_FALSE(serviceOutlivesParent(spec));
}

TEST(Lifetime, OutlivesItsParentIfAsked) {
  SandboxSpec spec = probeSpec({});
  spec.dieWithParent = false;
  EXPECT_TRUE(serviceOutlivesParent(spec));
}

pid_t onlyChildOf(pid_t parent) {
  const auto path = "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent);
  return static_cast<pid_t>(std::atoi(readFile(path + "/children").value().c_str()));
}

// The parent dies while the child is not yet armed with PDEATHSIG: it is held half-way by a full
// pipe in the place of a cgroup's file.
TEST(Lifetime, DiesWithAParentThatDiesDuringTheStart) {
  char directory[] = "/tmp/orrery-fifo-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v1;
  layout.memory = std::string(directory) + "/memory";
  layout.pids = std::string(directory) + "/pids";
  const auto fifoIn = [](const std::string& root, int flags) {
    const std::string path = root + "/orrery/x/tasks";
    EXPECT_TRUE(makeDirectories(root + "/orrery/x"));
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    return UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags));
  };
  const UniqueFd first = fifoIn(layout.memory, 0);
  const UniqueFd second = fifoIn(layout.pids, O_NONBLOCK);
  ASSERT_TRUE(first && second);
  std::array<char, 4096> page{};
  while (::write(second.get(), page.data(), page.size()) > 0) {
  }
  const auto tree = CgroupTree::withLayout(layout);
  ASSERT_TRUE(tree);
  SandboxSpec spec = probeSpec({"pause"});
  spec.cgroup = "x";
  const pid_t parent = ::fork();
  if (parent == 0) {
    SpawnRequest request{.spec = spec};
    request.cgroups = &*tree;
    (void)spawnSandboxed(request);
    ::_exit(0);
  }
  char told = 0;
  ASSERT_EQ(::read(first.get(), &told, 1), 1);
  EXPECT_EQ(told, '0');
  const auto child = openPidfd(onlyChildOf(parent));
  ASSERT_TRUE(child);
  EXPECT_FALSE(waitGone(*child, milliseconds(0)).value());
  (void)::kill(parent, SIGKILL);
  (void)::waitpid(parent, nullptr, 0);
  EXPECT_FALSE(waitGone(*child, milliseconds(0)).value());
  while (::read(second.get(), page.data(), page.size()) > 0) {
  }
  EXPECT_TRUE(waitGone(*child, seconds(10)).value());
  EXPECT_TRUE(removeTree(directory));
}

}  // namespace
}  // namespace orrery::test
