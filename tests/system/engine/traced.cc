#include "tests/system/engine/traced.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <array>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "tests/system/engine/supervised.h"

namespace orrery::test {
namespace {

constexpr const char* kTrace = "/run/trace";

// -b lets go of the programs that it starts.
ExitStatus strace(std::vector<std::string> options, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv{"/usr/bin/strace", "-f", "-b", "execve", "-qq", "-o", kTrace};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(std::string(ORRERY_BINARY_DIR) + "/bin/routerctl");
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const UniqueFd nowhere = must(openFile("/dev/null", O_WRONLY));
  // A sanitizer cannot look for leaks under ptrace; other builds do not know the variable.
  Child child = must(spawnPlain(
      argv, {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "ASAN_OPTIONS=detect_leaks=0"},
      {{nowhere.get(), 1}, {nowhere.get(), 2}}));
  if (!must(waitGone(child.pidfd, kPatience))) (void)must(sendSignal(child.pidfd, SIGKILL));
  return must(waitExit(child.pidfd));
}

std::string takeTrace() {
  std::string text = must(readFile(kTrace, std::size_t{16} << 20));
  must(removeFile(kTrace));
  return text;
}

struct TracedCall {
  std::string_view thread, name, line;
};

// Without what the kernel begins anew by itself: a sysctl of forwarding does while somebody else
// holds the lock of all links (devinet_sysctl_forward(), net/ipv4/devinet.c).
std::vector<TracedCall> callsOf(std::string_view text) {
  std::vector<TracedCall> calls;
  for (const std::string_view line : split(text, '\n')) {
    if (line.find(" ERESTARTNOINTR ") != std::string_view::npos) continue;
    const auto words = splitWords(line);  // PID call(…
    if (words.size() < 2) continue;
    const std::size_t end = words[1].find('(');
    if (end != std::string_view::npos && end > 0)
      calls.push_back({words[0], words[1].substr(0, end), line});
  }
  return calls;
}

constexpr std::array kChanging{
    "mkdir",    "mkdirat",  "rmdir",      "unlink",        "unlinkat",  "rename",
    "renameat", "symlink",  "symlinkat",  "renameat2",     "fchown",    "fchmod",
    "write",    "pwrite64", "mount",      "umount2",       "setns",     "unshare",
    "fork",     "vfork",    "clone",      "clone3",        "kill",      "sendto",
    "sendmsg",  "fchownat", "move_mount", "mount_setattr", "ftruncate", "pidfd_send_signal"};

bool changes(const TracedCall& call) {
  if (call.name == "openat") return call.line.find("O_CREAT") != std::string_view::npos;
  return std::ranges::find(kChanging, call.name) != kChanging.end();
}

}  // namespace

int Trace::of(const std::string& name) const {
  const auto found = calls.find(name);
  return found == calls.end() ? 0 : found->second;
}

int Trace::all() const {
  int sum = 0;
  for (const auto& [name, count] : calls) sum += count;
  return sum;
}

Trace traced(const std::vector<std::string>& arguments) {
  const ExitStatus ended = strace({}, arguments);
  Trace trace;
  trace.text = takeTrace();
  for (const TracedCall& call : callsOf(trace.text)) ++trace.calls[std::string(call.name)];
  EXPECT_EQ(ended.code, 0) << trace.text;
  return trace;
}

std::vector<CallPoint> changesIn(const Trace& trace) {
  std::map<std::pair<std::string_view, std::string_view>, int> made;  // by thread and name
  std::map<std::string, std::vector<int>> numbers;
  for (const TracedCall& call : callsOf(trace.text)) {
    const int number = ++made[{call.thread, call.name}];
    if (!changes(call)) continue;
    auto& of = numbers[std::string(call.name)];
    if (std::ranges::find(of, number) == of.end()) of.push_back(number);
  }
  std::vector<CallPoint> points;
  for (const auto& [name, of] : numbers)
    for (const int number : of) points.push_back({name, number});
  return points;
}

bool killedAt(const std::vector<std::string>& arguments, const CallPoint& point) {
  const std::string inject = fmt::format("inject={}:signal=KILL:when={}", point.name, point.number);
  const ExitStatus ended = strace({"-e", "trace=" + point.name, "-e", inject}, arguments);
  (void)takeTrace();
  return ended.signal == SIGKILL;
}

}  // namespace orrery::test
