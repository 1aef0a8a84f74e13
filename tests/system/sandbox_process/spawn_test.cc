// What a sandboxed process is: namespaces, ids, capabilities, root, descriptors, limits.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/landlock/landlock.h"
#include "sandbox/seccomp/install.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

TEST(Spawn, EveryNamespaceIsItsOwn) {
  const std::vector<std::string> kinds = {"pid",    "mnt", "ipc",  "uts",
                                          "cgroup", "net", "user", "time"};
  std::vector<std::string> questions;
  for (const std::string& kind : kinds) questions.push_back("ns:" + kind);
  const ProbeRun run = runProbe(probeSpec(questions));
  for (const std::string& kind : kinds) {
    const std::string answer = run.answers.at("ns:" + kind);
    EXPECT_EQ(answer.compare(0, kind.size() + 2, kind + ":["), 0) << answer;
    EXPECT_NE(answer, linkTarget("/proc/self/ns/" + kind));
  }
}

std::vector<std::int64_t> clocksOf(const SandboxSpec& spec) {
  std::vector<std::int64_t> out;
  const std::string text = runProbe(spec).answers.at("clocks");
  for (const std::string_view word : splitWords(text))
    out.push_back(parseNumber<std::int64_t>(word).value_or(-1));
  return out;
}

// They name a host to whoever compares two of its services.
TEST(Spawn, ClocksSinceTheHostIsUpAreTheServicesOwn) {
  constexpr std::int64_t kHour = 3600;
  constexpr std::int64_t kWeek = 7 * 24 * kHour;
  constexpr std::int64_t kSlack = 600;  // seconds that this test may take
  SandboxSpec spec = probeSpec({"clocks"});
  const auto first = clocksOf(spec);
  const auto second = clocksOf(spec);
  ASSERT_EQ(first.size(), 3u);
  for (const std::int64_t seconds : first) {
    EXPECT_GE(seconds, kHour);
    EXPECT_LE(seconds, kWeek + kSlack);
    EXPECT_NEAR(static_cast<double>(seconds), static_cast<double>(first[0]), 2);
  }
  // By chance they are as near as this once in 60,000 times.
  EXPECT_GT(std::abs(first[0] - second[0]), 10);
  spec.ids.reset();  // as udhcpc: without a user namespace, there is no power over a time namespace
  spec.uid = spec.gid = kOutside;
  timespec host{};
  ASSERT_EQ(::clock_gettime(CLOCK_BOOTTIME, &host), 0);
  EXPECT_NEAR(static_cast<double>(clocksOf(spec)[1]), static_cast<double>(host.tv_sec),
              static_cast<double>(kSlack));
}

TEST(Spawn, NetworkNamespaceIsTheGivenOne) {
  const NetnsFd netns = newNetns();
  struct stat st {};
  ASSERT_EQ(::fstat(netns.get(), &st), 0);
  const SandboxSpec spec = probeSpec({"ns:net"});
  SpawnRequest request{.spec = spec};
  request.netns = &netns;
  EXPECT_EQ(runProbe(spec, &request).answers.at("ns:net"), fmt::format("net:[{}]", st.st_ino));
}

TEST(Spawn, IdsAreMappedAndGroupsAreGone) {
  SandboxSpec spec = probeSpec({"ids", "read:/proc/self/uid_map", "read:/proc/self/gid_map",
                                "read:/proc/self/setgroups", "setgroups", "setuid0"});
  spec.uid = 5;
  spec.gid = 6;
  const Answers a = runProbe(spec).answers;
  EXPECT_EQ(a.at("ids"), "5 5 5 6 6 6 groups=0");
  EXPECT_EQ(a.at("read:/proc/self/uid_map"), "         0     700000       1000;");
  EXPECT_EQ(a.at("read:/proc/self/gid_map"), "         0     700000       1000;");
  EXPECT_EQ(a.at("read:/proc/self/setgroups"), "deny;");
  EXPECT_EQ(a.at("setgroups"), "EPERM");
  EXPECT_EQ(a.at("setuid0"), "EPERM");
}

// What the kernel counts by user is charged to the maker of a user namespace as well: were it root,
// all services of the host would share root's 128 inotify instances.
TEST(Spawn, UserNamespaceBelongsToTheService) {
  SandboxSpec spec = probeSpec({"pause"});
  spec.uid = 5;
  const auto child = spawnSandboxed(SpawnRequest{.spec = spec});
  ASSERT_TRUE(child) << child.error().message;
  const UniqueFd userNamespace(
      ::open(fmt::format("/proc/{}/ns/user", child->pid).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(userNamespace);
  uid_t owner = 0;
  ASSERT_EQ(::ioctl(userNamespace.get(), NS_GET_OWNER_UID, &owner), 0);
  EXPECT_EQ(owner, 700005u);
  (void)terminate(child->pidfd, std::chrono::milliseconds(0));
}

TEST(Spawn, MappedRootHasNoCapabilityAndGetsNone) {
  const Answers a = runProbe(probeSpec({"ids", "caps", "nnp", "securebits", "ambient"})).answers;
  EXPECT_EQ(a.at("ids"), "0 0 0 0 0 0 groups=0");
  EXPECT_EQ(a.at("caps"), "p=0 e=0 i=0 bounding=0 ambient=0");
  EXPECT_EQ(a.at("nnp"), "1");
  // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE with their locks, and KEEP_CAPS locked off.
  EXPECT_EQ(a.at("securebits"), std::to_string(0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80));
  EXPECT_EQ(a.at("ambient"), "EPERM");
}

TEST(Spawn, NamedCapabilitiesSurviveExecAsAnOrdinaryUser) {
  SandboxSpec spec = probeSpec({"ids", "caps"});
  spec.uid = 5;
  spec.gid = 5;
  spec.capabilities = {CAP_NET_BIND_SERVICE, CAP_NET_RAW};
  const Answers a = runProbe(spec).answers;
  EXPECT_EQ(a.at("ids"), "5 5 5 5 5 5 groups=0");
  EXPECT_EQ(a.at("caps"), "p=2400 e=2400 i=2400 bounding=2 ambient=2");
}

TEST(Spawn, WithoutAUserNamespaceOnlyTheNamedCapabilityCounts) {
  SandboxSpec spec = probeSpec({"ids", "caps", "packet", "link", "nft", "mount", "ns:user"});
  spec.ids.reset();
  spec.uid = kOutside;
  spec.gid = kOutside;
  spec.capabilities = {CAP_NET_RAW};
  const Answers a = runProbe(spec).answers;
  EXPECT_EQ(a.at("ids"), "700000 700000 700000 700000 700000 700000 groups=0");
  EXPECT_EQ(a.at("caps"), "p=2000 e=2000 i=2000 bounding=1 ambient=1");
  EXPECT_EQ(a.at("packet"), "ok");
  EXPECT_EQ(a.at("link"), "EPERM");
  EXPECT_EQ(a.at("nft"), "EPERM");
  EXPECT_EQ(a.at("mount"), "EPERM");
  EXPECT_EQ(a.at("ns:user"), linkTarget("/proc/self/ns/user"));
}

TEST(Spawn, RootIsReadOnlyAndHoldsWhatWasAsked) {
  SandboxSpec spec =
      probeSpec({"create:/x", "create:/etc/x", "create:/dev/x", "create:/tmp/x",
                 "open-write:/etc/motd", "open-write:/probe", "read:/etc/motd", "link-to:/bin",
                 "mode:/dev/net/tun", "mode:/tmp", "mode:/dev/null", "dev", "read:/etc/passwd",
                 "open-write:/proc/self/oom_score_adj", "read:/proc/uptime"});
  spec.root.symlinks = {{"usr/bin", "/bin"}};
  const Answers a = runProbe(spec).answers;
  EXPECT_EQ(a.at("create:/x"), "EROFS");
  EXPECT_EQ(a.at("create:/etc/x"), "EROFS");
  EXPECT_EQ(a.at("create:/dev/x"), "EROFS");
  EXPECT_EQ(a.at("create:/tmp/x"), "ok");
  EXPECT_EQ(a.at("open-write:/etc/motd"), "EACCES");  // its mode speaks before the mount
  // In a checkout on a read-only file system that speaks first.
  struct statvfs fs {};
  ASSERT_EQ(::statvfs(ORRERY_PROBE, &fs), 0);
  EXPECT_EQ(a.at("open-write:/probe"), (fs.f_flag & ST_RDONLY) != 0 ? "EROFS" : "EACCES");
  EXPECT_EQ(a.at("read:/etc/motd"), "hello");
  EXPECT_EQ(a.at("link-to:/bin"), "usr/bin");
  EXPECT_EQ(a.at("mode:/dev/net/tun"), "666 65534:65534");  // the host's root, not the mapped one
  EXPECT_EQ(a.at("mode:/dev/null"), "666 65534:65534");
  EXPECT_EQ(a.at("mode:/tmp"), "1777 0:0");
  EXPECT_EQ(a.at("dev"), "ok");
  EXPECT_EQ(a.at("read:/etc/passwd"), "ENOENT");
  EXPECT_EQ(a.at("open-write:/proc/self/oom_score_adj"), "EROFS");
  EXPECT_EQ(a.at("read:/proc/uptime"), "ENOENT");  // subset=pid
}

TEST(Spawn, MountsCarryTheirFlags) {
  SandboxSpec spec =
      probeSpec({"read:/proc/self/mountinfo", "create:/data/made", "exec:/data/copy"});
  char directory[] = "/tmp/orrery-bind-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  ASSERT_EQ(::chown(directory, kOutside, kOutside), 0);
  ASSERT_TRUE(writeFileAtomic(std::string(directory) + "/copy", "#!/probe\n", 0755));
  spec.root.binds.push_back(BindMount{directory, "/data", true, false});
  const Answers a = runProbe(spec).answers;
  const std::string info = a.at("read:/proc/self/mountinfo");
  for (const char* part : {" / / ro,nosuid,nodev,noexec", " /probe ro,nosuid,nodev,relatime",
                           " /data rw,nosuid,nodev,noexec", " / /tmp rw,nosuid,nodev,noexec",
                           " / /dev ro,nosuid,noexec", " / /proc ro,nosuid,nodev,noexec"})
    EXPECT_NE(info.find(part), std::string::npos) << part << " in " << info;
  EXPECT_EQ(info.find("shared:"), std::string::npos) << info;
  EXPECT_EQ(std::count(info.begin(), info.end(), ';'), 6) << info;  // and nothing else
  EXPECT_EQ(a.at("create:/data/made"), "ok");
  EXPECT_EQ(a.at("exec:/data/copy"), "EACCES");
  struct stat st {};
  EXPECT_EQ(::stat((std::string(directory) + "/made").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, kOutside);
  EXPECT_TRUE(removeTree(directory));
}

TEST(Spawn, OnlyTheNamedDescriptorsAreOpen) {
  const UniqueFd leaky(::open("/etc", O_RDONLY));  // NOLINT: without CLOEXEC on purpose
  const Pipe first = makePipe();
  const Pipe second = makePipe();
  const SandboxSpec spec = probeSpec({"fds", "link-to:/proc/self/fd/3", "link-to:/proc/self/fd/9"});
  SpawnRequest request{.spec = spec};
  // Crossed over on purpose: each source has the number of the other's target, or may have.
  request.fds = {{first.reader.get(), 9}, {second.reader.get(), 3}};
  const std::string wanted9 = linkTarget(fmt::format("/proc/self/fd/{}", first.reader.get()));
  const std::string wanted3 = linkTarget(fmt::format("/proc/self/fd/{}", second.reader.get()));
  const Answers a = runProbe(spec, &request).answers;
  EXPECT_EQ(a.at("fds"), "0,1,2,3,9");
  EXPECT_EQ(a.at("link-to:/proc/self/fd/3"), wanted3);
  EXPECT_EQ(a.at("link-to:/proc/self/fd/9"), wanted9);
}

TEST(Spawn, ProcessSettings) {
  (void)::signal(SIGPIPE, SIG_IGN);
  SandboxSpec spec =
      probeSpec({"pid", "umask", "signals", "nofile", "core", "fsize", "nproc", "nofile+", "env",
                 "cwd", "host", "read:/proc/self/oom_score_adj", "unshare-user"});
  spec.environment = {"A=1", "B=two"};
  spec.workingDirectory = "/tmp";
  spec.hostname = "galaxy0";
  spec.limits = SandboxLimits{100, 7, 4096};
  const Answers a = runProbe(spec).answers;
  (void)::signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(a.at("pid"), "1 1");
  EXPECT_EQ(a.at("umask"), "63");
  EXPECT_EQ(a.at("signals"), "ignored=0 blocked=0");
  EXPECT_EQ(a.at("nofile"), "100/100");
  // Not 0, which still lets a dump go to the host's program for it (kernel.core_pattern).
  EXPECT_EQ(a.at("core"), "1/1");
  EXPECT_EQ(a.at("fsize"), "4096/4096");
  EXPECT_EQ(a.at("nproc"), "7/7");
  EXPECT_EQ(a.at("read:/proc/self/oom_score_adj"), "500;");
  EXPECT_EQ(a.at("unshare-user"), "ENOSPC");  // not even without a filter
  EXPECT_EQ(a.at("nofile+"), "EPERM");
  EXPECT_EQ(a.at("env"), "A=1;B=two;");
  EXPECT_EQ(a.at("cwd"), "/tmp");
  EXPECT_EQ(a.at("host"), "galaxy0");
}

// Allows everything, but answers getcwd by `action`.
std::vector<sock_filter> filterGetcwd(std::uint32_t action) {
  return {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getcwd, 0, 1), BPF_STMT(BPF_RET | BPF_K, action),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
}

TEST(Spawn, FilterIsInstalled) {
  const auto filter = filterGetcwd(SECCOMP_RET_ERRNO | EXDEV);
  const SandboxSpec spec = probeSpec({"seccomp", "getcwd-syscall"});
  SpawnRequest request{.spec = spec};
  request.filter = filter;
  const Answers a = runProbe(spec, &request).answers;
  EXPECT_EQ(a.at("seccomp"), "2");
  EXPECT_EQ(a.at("getcwd-syscall"), "EXDEV");
}

TEST(Spawn, ListenerAnswersTheServicesCalls) {
  const auto filter = filterGetcwd(SECCOMP_RET_USER_NOTIF);
  const SandboxSpec spec = probeSpec({"fds", "getcwd-syscall"});
  Pipe pipe = makePipe();
  SpawnRequest request{.spec = spec};
  request.filter = filter;
  request.wantSeccompListener = true;
  request.fds = {{pipe.writer.get(), 1}};
  auto child = spawnSandboxed(request);
  ASSERT_TRUE(child) << child.error().message;
  pipe.writer.reset();
  ASSERT_TRUE(child->seccompListener);
  EXPECT_EQ(::fcntl(child->seccompListener.get(), F_GETFD), FD_CLOEXEC);
  seccomp_notif notification{};
  ASSERT_EQ(::ioctl(child->seccompListener.get(), SECCOMP_IOCTL_NOTIF_RECV, &notification), 0);
  EXPECT_EQ(notification.data.nr, SYS_getcwd);
  seccomp_notif_resp response{};
  response.id = notification.id;
  response.error = -ENOTNAM;
  ASSERT_EQ(::ioctl(child->seccompListener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response), 0);
  EXPECT_EQ(readLine(pipe.reader.get()), "fds=0,1,2");
  EXPECT_EQ(readLine(pipe.reader.get()), "getcwd-syscall=ENOTNAM");
  EXPECT_TRUE(waitExit(child->pidfd)->ok());
}

// In a container whose runtime listens itself: the kernel lets a process have one listener, and the
// caller may try again without (service_runner.cc).
TEST(Spawn, ASecondListenerIsRefusedAsBusy) {
  const auto outer = filterGetcwd(SECCOMP_RET_USER_NOTIF);
  const auto inner = filterGetcwd(SECCOMP_RET_ERRNO | EXDEV);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (installSeccomp(outer, kSeccompNewListener) < 0) ::_exit(10);
    const SandboxSpec spec = probeSpec({"pid"});
    SpawnRequest request{.spec = spec};
    request.filter = inner;
    request.wantSeccompListener = true;
    const auto busy = spawnSandboxed(request);
    if (busy || busy.error().err != EBUSY) ::_exit(11);
    request.wantSeccompListener = false;
    const auto started = spawnSandboxed(request);
    if (!started) ::_exit(12);
    ::_exit(waitExit(started->pidfd)->ok() ? 0 : 13);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Spawn, LandlockLetsEverythingNeededThroughAndDeniesTheRest) {
  ASSERT_GT(landlockAbi(), 0);
  SandboxSpec spec = probeSpec({"create:/tmp/x", "read:/etc/motd", "dev", "ids", "mknod",
                                "read:/proc/self/setgroups", "create:/data/x"});
  char directory[] = "/tmp/orrery-bind-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  ASSERT_EQ(::chown(directory, kOutside, kOutside), 0);
  spec.root.binds.push_back(BindMount{directory, "/data", true, false});
  SpawnRequest request{.spec = spec};
  request.landlock = true;
  const Answers a = runProbe(spec, &request).answers;
  EXPECT_EQ(a.at("create:/tmp/x"), "ok");
  EXPECT_EQ(a.at("create:/data/x"), "ok");
  EXPECT_EQ(a.at("read:/etc/motd"), "hello");
  EXPECT_EQ(a.at("read:/proc/self/setgroups"), "deny;");
  EXPECT_EQ(a.at("dev"), "ok");
  // EACCES is Landlock's; the capability check that comes after it would say EPERM.
  EXPECT_EQ(a.at("mknod"), "EACCES");
  EXPECT_TRUE(removeTree(directory));
}

}  // namespace
}  // namespace orrery::test
