// Milliseconds from before the clone until a program that does nothing has ended, with one element
// of the jail more in each line. The lines take turns, so that a busy machine meets all alike.
//
//   bench_sandbox [ROUNDS]     200 unless told; as root
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "sandbox/base/file.h"
#include "sandbox/process/spawn.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/own_calls.h"

namespace {

using namespace orrery;

constexpr const char* kGroup = "bench-sandbox";
constexpr std::uint32_t kOutside = 700'000;  // first id of the user namespace, on the host

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

SandboxSpec bare() {
  SandboxSpec spec;
  spec.name = "nothing";
  spec.argv = {"/nothing"};
  spec.root.binds = {BindMount{ORRERY_NOTHING, "/nothing", false, true}};
  spec.uid = spec.gid = 65534;
  return spec;
}

struct Step {
  const char* what;
  std::function<void(SandboxSpec&, SpawnRequest&)> add;
};

// Cumulative, but for the last one.
std::vector<Step> steps(const NetnsFd& netns, const CgroupTree* cgroups) {
  std::vector<Step> all = {
      {"pid, mount, ipc, uts, cgroup, time namespaces; a root",
       [&netns](SandboxSpec&, SpawnRequest& request) { request.netns = &netns; }},
      {"user namespace",
       [](SandboxSpec& spec, SpawnRequest&) {
         spec.ids = IdRange{kOutside, 65536};
       }},
      {"/dev, /proc, a tmpfs, two text files",
       [](SandboxSpec& spec, SpawnRequest&) {
         spec.root.devices = {DeviceNode{"null", 1, 3}, DeviceNode{"urandom", 1, 9}};
         spec.root.proc = true;
         spec.root.tmpfs = {TmpfsMount{"/tmp", 1 << 20, 01777}};
         spec.root.files = {TextFile{"/etc/passwd", "x\n"}, TextFile{"/etc/group", "x\n"}};
       }},
      {"four more binds",
       [](SandboxSpec& spec, SpawnRequest&) {
         for (const char* at : {"/lib1", "/lib2", "/lib3", "/lib4"})
           spec.root.binds.push_back(BindMount{"/usr/lib", at, false, true});
       }},
      {"Landlock", [](SandboxSpec&, SpawnRequest& request) { request.landlock = true; }},
      {"seccomp: the filter of dnsmasq",
       [](SandboxSpec&, SpawnRequest& request) {
         request.filter = must(embeddedProfile("dnsmasq"));
       }},
      {"seccomp: its listener", [](SandboxSpec&, SpawnRequest& request) {
         request.filter = must(embeddedReportingProfile("dnsmasq"));
         request.wantSeccompListener = true;
       }}};
  if (cgroups != nullptr)
    all.push_back({"cgroup", [cgroups](SandboxSpec& spec, SpawnRequest& request) {
                     spec.cgroup = kGroup;
                     request.cgroups = cgroups;
                   }});
  all.push_back({"a network namespace of its own, in place of a given one",
                 [](SandboxSpec&, SpawnRequest& request) { request.netns = nullptr; }});
  return all;
}

double millisecondsOf(const std::function<void()>& act) {
  const auto began = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

double measure(const std::vector<Step>& all, std::size_t count) {
  SandboxSpec spec = bare();
  SpawnRequest request{.spec = spec};
  for (std::size_t i = 0; i < count; ++i) all[i].add(spec, request);
  return millisecondsOf([&] {
    const SandboxedChild child = must(spawnSandboxed(request));
    (void)must(waitExit(child.pidfd));
  });
}

double plain() {
  return millisecondsOf([] {
    const Child child = must(spawnPlain({ORRERY_NOTHING}, {}, {}));
    (void)must(waitExit(child.pidfd));
  });
}

struct Line {
  std::string what;
  std::vector<double> times;
};

// The lower quartile is what a busy machine disturbs least.
void print(std::vector<Line>& lines) {
  std::printf("%8s %8s %8s\n", "median", "quarter", "more");
  double before = 0;
  for (Line& line : lines) {
    std::sort(line.times.begin(), line.times.end());
    const double quarter = line.times[line.times.size() / 4];
    std::printf("%8.3f %8.3f %+8.3f  %s\n", line.times[line.times.size() / 2], quarter,
                quarter - before, line.what.c_str());
    before = quarter;
  }
}

void stayOnOneCpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);
}

void run(std::size_t rounds, const NetnsFd& netns, const CgroupTree* cgroups, bool filtered) {
  const std::vector<Step> all = steps(netns, cgroups);
  std::vector<Line> lines = {{"a program, unconfined", {}}};
  for (const Step& step : all) lines.push_back({step.what, {}});
  for (std::size_t round = 0; round < rounds; ++round) {
    lines.front().times.push_back(plain());
    for (std::size_t i = 0; i < all.size(); ++i) lines[i + 1].times.push_back(measure(all, i + 1));
  }
  std::printf("%s\n", filtered ? "The same, started under the supervisor's filter" : "ms");
  print(lines);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 200;
  stayOnOneCpu();
  const NetnsFd netns(must(openFile("/proc/self/ns/net", O_RDONLY)).release());
  auto cgroups = CgroupTree::probe();
  const bool grouped = cgroups && cgroups->create(kGroup, {});
  run(rounds, netns, grouped ? &*cgroups : nullptr, false);
  std::fflush(stdout);
  if (const pid_t child = ::fork(); child == 0) {
    const auto program = must(embeddedProfile("supervisor"));
    if (!confineToCalls(program, "/dev/null")) ::_exit(1);
    run(rounds, netns, grouped ? &*cgroups : nullptr, true);
    std::fflush(stdout);
    ::_exit(0);
  } else {
    (void)::waitpid(child, nullptr, 0);
  }
  if (grouped) (void)cgroups->remove(kGroup);
  return 0;
}
