// The kernel: release, namespaces, confinement.
#include <fmt/format.h>

#include "runtime/doctor/judges.h"
#include "sandbox/base/strings.h"

namespace orrery::doctor {
namespace {

constexpr const char* kNewerKernel = "boot a newer kernel: 'apt install linux-image-amd64', reboot";

// Services of a router, at most, and so the namespaces of each kind that it takes.
constexpr std::int64_t kNamespacesPerRouter = 4;

struct NamespaceKind {
  const char* probe;
  const char* name;
  const char* limit;
};
constexpr NamespaceKind kNeeded[] = {
    {probe::kUserNamespace, "user", "user/max_user_namespaces"},
    {probe::kNetNamespace, "net", "user/max_net_namespaces"},
    {probe::kPidNamespace, "pid", "user/max_pid_namespaces"},
    {probe::kMountNamespace, "mnt", "user/max_mnt_namespaces"},
    {probe::kIpcNamespace, "ipc", "user/max_ipc_namespaces"},
    {probe::kUtsNamespace, "uts", "user/max_uts_namespaces"},
    {probe::kCgroupNamespace, "cgroup", "user/max_cgroup_namespaces"},
};

}  // namespace

Judgement privilege(const HostFacts& facts) {
  if (facts.root) return fine("root");
  return {Verdict::unknown, "without privilege",
          "spawn, destroy and attach need root; some checks could not be made",
          "sudo routerctl doctor"};
}

// What we cannot do without, and since when it is there: clone3 with
// CLONE_PIDFD 5.3, openat2 5.6, proc's subset=pid 5.8, close_range 5.9, mount_setattr 5.12.
Judgement kernelRelease(const HostFacts& facts) {
  const KernelRelease& k = facts.kernel;
  const auto before = [&](unsigned major, unsigned minor) {
    return k.major < major || (k.major == major && k.minor < minor);
  };
  if (k.major == 0) return {Verdict::unknown, "unknown release", "", ""};
  if (before(5, 12))
    return {Verdict::problem, "Linux " + k.text,
            "no service can be confined: mount_setattr(2) came with Linux 5.12", kNewerKernel};
  if (before(5, 19))
    return {Verdict::warning, "Linux " + k.text,
            "services whose calls the supervisor answers (wireguard-go) cannot start before 5.19",
            kNewerKernel};
  return fine("Linux " + k.text);
}

Judgement systemCalls(const HostFacts& facts) {
  struct Call {
    const char* probe;
    const char* since;
  };
  constexpr Call kCalls[] = {{probe::kOpenat2, "5.6"},
                             {probe::kPidfd, "5.3"},
                             {probe::kCloseRange, "5.9"},
                             {probe::kMountApi, "5.12"}};
  std::vector<std::string> missing, unknown;
  for (const Call& call : kCalls) {
    const Probe& p = probed(facts, call.probe);
    if (p.no()) missing.push_back(fmt::format("{} (Linux {})", call.probe, call.since));
    if (p.answer == Probe::Answer::unknown) unknown.push_back(call.probe);
  }
  if (!missing.empty())
    return {Verdict::problem, "missing: " + join(missing, ", "), "no service can be confined",
            "boot a newer kernel, or leave the container whose seccomp filter forbids these calls"};
  if (!unknown.empty())
    return notTried(facts, {Probe::Answer::unknown, "not tried: " + join(unknown, ", ")});
  return fine("openat2, pidfd, close_range, mount API");
}

Judgement namespaces(const HostFacts& facts) {
  std::vector<std::string> missing, unknown;
  std::string why;
  for (const NamespaceKind& kind : kNeeded) {
    const Probe& p = probed(facts, kind.probe);
    if (p.no()) {
      missing.push_back(kind.name);
      why = p.detail;
    }
    if (p.answer == Probe::Answer::unknown) unknown.push_back(kind.name);
  }
  if (!missing.empty())
    return {Verdict::problem, fmt::format("refused: {} ({})", join(missing, ", "), why),
            "no router can run",
            "allow them: in a container, start it with the right to make namespaces; else boot a "
            "kernel with CONFIG_NAMESPACES"};
  if (!unknown.empty())
    return notTried(facts, {Probe::Answer::unknown, "not tried: " + join(unknown, ", ")});
  return fine("user, net, pid, mnt, ipc, uts, cgroup");
}

Judgement timeNamespace(const HostFacts& facts) {
  const Probe& p = probed(facts, probe::kTimeNamespace);
  if (p.yes()) return fine("yes");
  if (!p.no()) return notTried(facts, p);
  return {Verdict::warning, "none: " + p.detail,
          "a service can read since when the host is up (needs Linux 5.6, CONFIG_TIME_NS)",
          kNewerKernel};
}

Judgement namespaceLimits(const HostFacts& facts) {
  std::string found = "no limits";
  std::int64_t least = -1;
  const char* key = "";
  for (const NamespaceKind& kind : kNeeded) {
    const auto limit = number(facts, kind.limit);
    if (!limit || (least >= 0 && *limit >= least)) continue;
    least = *limit;
    key = kind.limit;
  }
  if (least < 0) return {Verdict::unknown, "/proc/sys/user is not there", "", ""};
  std::string name = key;
  name[name.find('/')] = '.';
  found = fmt::format("{} = {}", name, least);
  const std::string remedy =
      fmt::format("sysctl -w {}=65536, and the same in /etc/sysctl.d/orrery.conf to keep it", name);
  if (least < kNamespacesPerRouter) return {Verdict::problem, found, "no router can run", remedy};
  const std::int64_t routers = least / kNamespacesPerRouter;
  if (routers < 100)
    return {Verdict::warning, found, fmt::format("room for {} routers", routers), remedy};
  return fine(found);
}

// Services get their user namespaces from root, whom neither setting restrains: both are told
// because they decide what doctor itself, and programs behind `run`, may do.
Judgement unprivilegedNamespaces(const HostFacts& facts) {
  const auto clone = number(facts, "kernel/unprivileged_userns_clone");
  const auto restricted = number(facts, "kernel/apparmor_restrict_unprivileged_userns");
  std::string found;
  if (clone == 0) found = "kernel.unprivileged_userns_clone = 0";
  if (restricted.value_or(0) != 0)
    found +=
        std::string(found.empty() ? "" : ", ") + "kernel.apparmor_restrict_unprivileged_userns = 1";
  if (found.empty()) return fine("allowed");
  if (facts.root) return fine(found + ": routers are not touched, root starts their services");
  return {Verdict::unknown, found, "without privilege hardly anything can be tried",
          "sudo routerctl doctor"};
}

Judgement seccompFilter(const HostFacts& facts) {
  const Probe& p = probed(facts, probe::kSeccompFilter);
  if (p.yes()) return fine("yes");
  if (!p.no()) return notTried(facts, p);
  return {Verdict::problem, "none: " + p.detail, "no service can be confined, so none is started",
          "boot a kernel with CONFIG_SECCOMP_FILTER"};
}

Judgement seccompNotify(const HostFacts& facts) {
  const Probe& p = probed(facts, probe::kSeccompNotify);
  if (p.yes()) return fine("yes");
  if (!p.no()) return notTried(facts, p);
  return {Verdict::problem, "none: " + p.detail,
          "services whose profile is answered by the supervisor cannot start (Linux 5.5)",
          kNewerKernel};
}

Judgement landlock(const HostFacts& facts) {
  if (facts.landlockAbi >= 6) return fine(fmt::format("ABI {}", facts.landlockAbi));
  if (facts.landlockAbi > 0)
    return fine(
        fmt::format("ABI {}: files only (6 adds abstract sockets and signals)", facts.landlockAbi));
  return {Verdict::warning, "none",
          "a service's file access has one wall (its mounts) in place of two",
          "boot with 'lsm=landlock,…' on the kernel's command line (CONFIG_SECURITY_LANDLOCK)"};
}

}  // namespace orrery::doctor
