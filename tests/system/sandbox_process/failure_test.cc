// Every failing step says which, and leaves nothing behind.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/wait.h>

#include <functional>

#include "sandbox/base/file.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

struct Case {
  const char* name;
  std::function<void(SandboxSpec&)> spoil;
  std::string message;
};

const Case kCases[] = {
    {"bind source",
     [](auto& s) {
       s.root.binds.push_back({"/no/such", "/usr/lib"});
     },
     "mount '/no/such' at '/usr/lib': No such file or directory"},
    {"no program", [](auto& s) { s.argv = {"/absent"}; },
     "execute '/absent': No such file or directory"},
    {"not executable", [](auto& s) { s.root.binds[0].executable = false; },
     "execute '/probe': Permission denied"},
    {"working directory", [](auto& s) { s.workingDirectory = "/absent"; },
     "change to working directory '/absent': No such file or directory"},
    {"relative directory", [](auto& s) { s.workingDirectory = "tmp"; },
     "working directory 'tmp' is not a canonical absolute path"},
    {"no arguments", [](auto& s) { s.argv.clear(); }, "no program is named"},
    {"too long a map",
     [](auto& s) {
       s.ids = IdRange{4294967000U, 1000};
     },
     "id range 4294967000+1000 goes beyond the highest id"},
    {"host root",
     [](auto& s) {
       s.ids = IdRange{0, 1000};
     },
     "id range from 0 contains the host's root"},
    {"unmapped user", [](auto& s) { s.uid = 1000; },
     "id 1000 is not in the range of 1000 mapped ids"},
    {"unmapped root", [](auto& s) { s.ids.reset(); },
     "root without a user namespace of its own is refused"},
    {"capability", [](auto& s) { s.capabilities = {63}; },
     "63 is not a capability: this kernel has 0 to 40"},
    {"hostname", [](auto& s) { s.hostname = std::string(65, 'x'); },
     "hostname '" + std::string(65, 'x') + "' does not have 1 to 64 bytes"},
    {"mount point in a bind",
     [](auto& s) {
       s.root.binds.push_back({"/usr/share", "/share"});
       s.root.tmpfs.push_back({"/share/no-such-point"});
     },
     "mount point '/share/no-such-point': in the bind of '/usr/share': open 'no-such-point': No "
     "such file or directory"},
    {"file into a bind",
     [](auto& s) {
       s.root.binds.push_back({"/usr/share", "/share"});
       s.root.files.push_back({"/share/x", ""});
     },
     "'/share/x' would be written into what is mounted at '/share'"},
    {"no cgroup tree", [](auto& s) { s.cgroup = "network0/x"; },
     "cgroup 'network0/x' is asked for, but there is no cgroup tree"},
};

TEST(Failure, NamesTheStep) {
  const std::size_t before = listDirectory("/proc/self/fd")->size();
  for (const Case& c : kCases) {
    SandboxSpec spec = probeSpec({"ids"});
    c.spoil(spec);
    const auto child = spawnSandboxed(SpawnRequest{.spec = spec});
    ASSERT_FALSE(child) << c.name;
    EXPECT_EQ(child.error().message, "start 'probe': " + c.message) << c.name;
    EXPECT_TRUE(child.error().also.empty()) << c.name;
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(listDirectory("/proc/self/fd")->size(), before) << "a descriptor is left";
}

TEST(Failure, BadDescriptors) {
  const SandboxSpec spec = probeSpec({"ids"});
  SpawnRequest request{.spec = spec};
  request.fds = {{1, 5}, {2, 5}};
  EXPECT_EQ(spawnSandboxed(request).error().message,
            "start 'probe': descriptor 5 for the child is given twice");
  request.fds = {{1, 256}};
  EXPECT_EQ(spawnSandboxed(request).error().message,
            "start 'probe': descriptor 256 for the child is not in 0 to 255");
  request.fds = {{4000, 5}};
  EXPECT_EQ(spawnSandboxed(request).error().message,
            "start 'probe': duplicate descriptor 4000 for the child's 5: Bad file descriptor");
}

TEST(Failure, NotANetworkNamespace) {
  const SandboxSpec spec = probeSpec({"ids"});
  const NetnsFd other(::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
  SpawnRequest request{.spec = spec};
  request.netns = &other;
  EXPECT_EQ(spawnSandboxed(request).error().message,
            "start 'probe': enter the network namespace: Invalid argument");
}

TEST(Failure, FilterThatTheKernelRefuses) {
  SandboxSpec spec = probeSpec({"ids"});
  spec.seccomp = "dnsmasq";
  const sock_filter noReturn[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
  SpawnRequest request{.spec = spec};
  request.filter = noReturn;
  EXPECT_EQ(spawnSandboxed(request).error().message,
            "start 'probe': install seccomp filter 'dnsmasq': Invalid argument");
}

TEST(Failure, KilledByItsFilterAtExecShowsInTheExitStatus) {
  const sock_filter killAll[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  const SandboxSpec spec = probeSpec({"ids"});
  SpawnRequest request{.spec = spec};
  request.filter = killAll;
  const auto child = spawnSandboxed(request);
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(waitExit(child->pidfd)->signal, SIGSYS);
}

}  // namespace
}  // namespace orrery::test
