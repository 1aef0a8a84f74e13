#include "tests/system/sandbox_process/fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <thread>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery::test {

SandboxSpec probeSpec(std::vector<std::string> questions) {
  SandboxSpec spec;
  spec.name = "probe";
  spec.argv = {"/probe"};
  spec.argv.insert(spec.argv.end(), questions.begin(), questions.end());
  spec.root.binds = {BindMount{ORRERY_PROBE, "/probe", false, true}};
  spec.root.tmpfs = {TmpfsMount{"/tmp", 1 << 20, 01777}};
  spec.root.devices = {DeviceNode{"null", 1, 3}, DeviceNode{"zero", 1, 5},
                       DeviceNode{"net/tun", 10, 200}};
  spec.root.files = {TextFile{"/etc/motd", "hello"}};
  spec.root.proc = true;
  spec.ids = IdRange{kOutside, 1000};
  return spec;
}

Pipe makePipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) ADD_FAILURE() << "pipe2";
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

ProbeRun runProbe(const SandboxSpec& spec, SpawnRequest* options) {
  Pipe pipe = makePipe();
  SpawnRequest plain{.spec = spec};
  SpawnRequest& request = options != nullptr ? *options : plain;
  request.fds.emplace_back(pipe.writer.get(), STDOUT_FILENO);
  ProbeRun run;
  auto child = spawnSandboxed(request);
  pipe.writer.reset();
  if (!child) {
    ADD_FAILURE() << child.error().message;
    return run;
  }
  const std::string text = readAll(pipe.reader.get()).value_or("");
  for (std::string_view line : split(text, '\n')) {
    const std::size_t at = line.find('=');
    if (at == std::string_view::npos) continue;
    run.answers[std::string(line.substr(0, at))] = line.substr(at + 1);
  }
  auto status = waitExit(child->pidfd);
  if (status)
    run.status = *status;
  else
    ADD_FAILURE() << status.error().message;
  return run;
}

std::string readLine(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string linkTarget(const std::string& path) {
  char target[256];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  return n < 0 ? "" : std::string(target, static_cast<std::size_t>(n));
}

NetnsFd newNetns() {
  NetnsFd fd;
  std::thread([&fd] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    fd = NetnsFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }).join();
  EXPECT_TRUE(fd);
  return fd;
}

}  // namespace orrery::test
