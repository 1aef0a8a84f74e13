#include "runtime/doctor/gather.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <set>

#include "routers/kinds/desired.h"
#include "runtime/doctor/probing.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/process/process.h"

namespace orrery {
namespace {

constexpr std::chrono::seconds kPatience{10};        // with a child that tries things
constexpr std::chrono::seconds kProgramPatience{3};  // with a program that tells its version

constexpr std::size_t kMountinfoLimit = 16 << 20;  // 1000 routers have thousands of mounts

constexpr const char* kSysctls[] = {
    "fs/inotify/max_user_instances",
    "kernel/apparmor_restrict_unprivileged_userns",
    "kernel/pid_max",
    "kernel/threads-max",
    "kernel/unprivileged_userns_clone",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/ip_forward",
    "net/ipv4/neigh/default/gc_thresh3",
    "user/max_cgroup_namespaces",
    "user/max_ipc_namespaces",
    "user/max_mnt_namespaces",
    "user/max_net_namespaces",
    "user/max_pid_namespaces",
    "user/max_user_namespaces",
    "user/max_uts_namespaces",
};

constexpr const char* kManagers[] = {"NetworkManager", "systemd-networkd", "connmand", "dhcpcd",
                                     "firewalld"};

std::map<std::string, std::string> readSysctls(const std::string& root) {
  std::map<std::string, std::string> values;
  for (const char* key : kSysctls)
    if (const auto text = readFile(root + "/proc/sys/" + key, 4096))
      values[key] = std::string(trim(*text));
  return values;
}

// Effective capabilities, because root in a container may have none of them.
bool hasPrivilege() {
  const auto status = readFile("/proc/self/status");
  if (::geteuid() != 0 || !status) return false;
  constexpr std::uint64_t kSysAdmin = 1ull << 21, kNetAdmin = 1ull << 12;
  for (const std::string_view line : split(*status, '\n'))
    if (line.substr(0, 7) == "CapEff:") {
      const auto set = parseNumber<std::uint64_t>(trim(line.substr(7)), 16);
      return set && (*set & kSysAdmin) != 0 && (*set & kNetAdmin) != 0;
    }
  return false;
}

RunFacts runFacts(const std::string& root) {
  struct statfs fs {};
  if (::statfs((root + "/run").c_str(), &fs) != 0) return {};
  constexpr long kTmpfs = 0x01021994;  // TMPFS_MAGIC
  RunFacts run;
  run.known = true;
  run.tmpfs = fs.f_type == kTmpfs;
  run.freeBytes = static_cast<std::uint64_t>(fs.f_bavail) * static_cast<std::uint64_t>(fs.f_bsize);
  // Some file systems (btrfs) do not count inodes; a tmpfs with nr_inodes=0 neither.
  run.freeInodes = fs.f_files == 0 ? UINT64_MAX : fs.f_ffree;
  return run;
}

std::vector<std::string> idConflicts(const std::string& root) {
  constexpr std::uint64_t kFirst = kFirstId;
  constexpr std::uint64_t kLast = kFirst + std::uint64_t{kIdsPerRouter} * kIdSlots - 1;
  std::vector<std::string> all;
  const auto add = [&](const char* file, auto parse) {
    const auto text = readFile(root + file);
    if (!text) return;
    const auto found = parse(file, *text, kFirst, kLast);
    all.insert(all.end(), found.begin(), found.end());
  };
  add("/etc/subuid", subordinateConflicts);
  add("/etc/subgid", subordinateConflicts);
  add("/etc/passwd", userConflicts);
  return all;
}

// The first line that the program prints, nothing if it takes too long.
std::string versionLine(const std::vector<std::string>& argv) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "";
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  const auto child = spawnPlain(argv, {"LC_ALL=C"}, {{out.get(), 1}, {out.get(), 2}});
  out.reset();
  if (!child) return "";
  std::string text;
  const auto until = std::chrono::steady_clock::now() + kProgramPatience;
  while (text.size() < 4096 && text.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd wait{in.get(), POLLIN, 0};
    char bytes[512];
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) break;
    const ssize_t n = ::read(in.get(), bytes, sizeof bytes);
    if (n <= 0) break;
    text.append(bytes, static_cast<std::size_t>(n));
  }
  (void)terminate(child->pidfd, std::chrono::milliseconds(0));
  return std::string(trim(split(text, '\n').front()));
}

std::vector<ProgramFacts> programFacts(const ProgramPaths& paths, const std::string& root) {
  struct Program {
    const char* name;
    const std::string& path;
    const char* option;
  };
  const std::vector<Program> wanted = {{"dnsmasq", paths.dnsmasq, "--version"},
                                       {"tor", paths.tor, "--version"},
                                       {"openvpn", paths.openvpn, "--version"},
                                       {"wireguard-go", paths.wireguardGo, "--version"},
                                       {"udhcpc", paths.busybox, "udhcpc --help"}};
  std::vector<ProgramFacts> programs;
  for (const Program& program : wanted) {
    ProgramFacts facts{program.name, root + program.path, false, ""};
    facts.present = ::access(facts.path.c_str(), X_OK) == 0;
    std::vector<std::string> argv{facts.path};
    for (const std::string_view word : splitWords(program.option)) argv.emplace_back(word);
    if (facts.present) facts.version = versionLine(argv).substr(0, 80);
    programs.push_back(std::move(facts));
  }
  return programs;
}

// By /proc/PID/comm, which holds 15 bytes of a name.
std::vector<std::string> runningManagers(const std::string& root) {
  std::set<std::string> found;
  const auto entries = listDirectory(root + "/proc");
  if (!entries) return {};
  for (const std::string& entry : *entries) {
    if (!parseNumber<pid_t>(entry)) continue;
    const auto comm = readFile(root + "/proc/" + entry + "/comm", 64);
    if (!comm) continue;
    for (const char* name : kManagers)
      if (trim(*comm) == std::string_view(name).substr(0, 15)) found.insert(name);
  }
  return {found.begin(), found.end()};
}

// A range as people of the field write it: "first-last".
std::string conflict(std::string_view file, std::string_view who, std::uint64_t first,
                     std::uint64_t last) {
  return fmt::format("{}: {} {}-{}", file, who, first, last);
}

}  // namespace

KernelRelease parseRelease(std::string_view text) {
  KernelRelease release;
  release.text = std::string(text);
  const auto parts = split(text, '.');
  if (parts.size() < 2) return release;
  const std::string_view minor = parts[1].substr(0, parts[1].find_first_not_of("0123456789"));
  const auto a = parseNumber<unsigned>(parts[0]);
  const auto b = parseNumber<unsigned>(minor);
  if (!a || !b) return release;
  release.major = *a;
  release.minor = *b;
  return release;
}

std::vector<std::string> subordinateConflicts(std::string_view file, std::string_view text,
                                              std::uint64_t first, std::uint64_t last) {
  std::vector<std::string> conflicts;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(trim(line), ':');
    if (fields.size() != 3) continue;
    const auto begin = parseNumber<std::uint32_t>(fields[1]);
    const auto count = parseNumber<std::uint32_t>(fields[2]);
    if (!begin || !count || *count == 0) continue;
    const std::uint64_t end = std::uint64_t{*begin} + *count - 1;
    if (end >= first && *begin <= last) conflicts.push_back(conflict(file, fields[0], *begin, end));
  }
  return conflicts;
}

std::vector<std::string> userConflicts(std::string_view file, std::string_view text,
                                       std::uint64_t first, std::uint64_t last) {
  std::vector<std::string> conflicts;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 4) continue;
    const auto uid = parseNumber<std::uint32_t>(fields[2]);
    if (uid && *uid >= first && *uid <= last)
      conflicts.push_back(conflict(file, fields[0], *uid, *uid));
  }
  return conflicts;
}

std::string toText(const std::map<std::string, Probe>& probes) {
  std::string text;
  for (const auto& [name, probe] : probes) {
    std::string detail = probe.detail.substr(0, 500);
    std::replace_if(
        detail.begin(), detail.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    const char* answer = probe.yes() ? "yes" : probe.no() ? "no" : "unknown";
    text += name + "\t" + answer + "\t" + detail + "\n";
  }
  return text;
}

std::map<std::string, Probe> parseProbes(std::string_view text) {
  std::map<std::string, Probe> probes;
  const std::size_t end = text.rfind('\n');
  if (end == std::string_view::npos) return probes;
  for (const std::string_view line : split(text.substr(0, end), '\n')) {
    const auto fields = split(line, '\t');
    if (fields.size() != 3) continue;
    Probe probe{Probe::Answer::unknown, std::string(fields[2])};
    if (fields[1] == "yes") probe.answer = Probe::Answer::yes;
    if (fields[1] == "no") probe.answer = Probe::Answer::no;
    probes[std::string(fields[0])] = std::move(probe);
  }
  return probes;
}

HostFacts gatherHost(const ProgramPaths& programs, const std::string& root) {
  HostFacts facts;
  facts.root = hasPrivilege();
  utsname name{};
  if (::uname(&name) == 0) facts.kernel = parseRelease(name.release);
  facts.sysctls = readSysctls(root);
  facts.probes = doctor::probeCalls();
  facts.probes.merge(doctor::inChild(doctor::probeNamespaces, facts.root));
  facts.probes.merge(doctor::inChild(doctor::probeNetwork, facts.root));
  facts.landlockAbi = doctor::landlock();
  facts.cgroups = doctor::cgroupFacts(
      parseCgroupLayout(readFile("/proc/self/mountinfo", kMountinfoLimit).value_or("")));
  facts.run = runFacts(root);
  facts.idConflicts = idConflicts(root);
  facts.programs = programFacts(programs, root);
  facts.managers = runningManagers(root);
  facts.clock = doctor::clockFacts(root);
  return facts;
}

namespace doctor {

Probe answerOf(const Status& tried) {
  return tried ? yes() : no(tried.error().message);
}

Probe answerOfCall(long result, int err) {
  return result >= 0 ? yes() : no(std::strerror(err));
}

Probes inChild(Probes (*probe)(bool root), bool root) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return {};
  if (pid == 0) {
    const std::string text = toText(probe(root));
    (void)writeAll(out.get(), text);
    ::_exit(0);
  }
  out.reset();
  std::string text;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd wait{in.get(), POLLIN, 0};
    char bytes[4096];
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) break;
    const ssize_t n = ::read(in.get(), bytes, sizeof bytes);
    if (n <= 0) break;
    text.append(bytes, static_cast<std::size_t>(n));
  }
  (void)::kill(pid, SIGKILL);  // our own child, not yet reaped: the number is its
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return parseProbes(text);
}

}  // namespace doctor
}  // namespace orrery
