// The rest of the host: limits, ids, places, programs, clock, other managers.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/doctor/judges.h"
#include "sandbox/base/strings.h"

namespace orrery::doctor {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

// UTC, "2026-11-21 12:00". Days since 1970 to a date by H. Hinnant's civil_from_days formula.
std::string timeText(std::int64_t seconds) {
  const std::int64_t days = seconds / 86400, z = days + 719468;
  const std::int64_t era = z / 146097, doe = z - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  const std::int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
  const std::int64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0), rest = seconds % 86400;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", year, month, day, rest / 3600,
                     rest / 60 % 60);
}

Judgement program(const HostFacts& facts, const char* name, Verdict verdict, const char* effect,
                  const char* package) {
  for (const ProgramFacts& p : facts.programs) {
    if (p.name != name) continue;
    if (p.present) return fine(p.version.empty() ? p.path : p.version);
    return {verdict, p.path + " is not there", effect, fmt::format("apt install {}", package)};
  }
  return {Verdict::unknown, "not looked for", "", ""};
}

}  // namespace

Judgement cgroups(const HostFacts& facts) {
  const CgroupFacts& c = facts.cgroups;
  const std::string remedy = "mount -t cgroup2 cgroup2 /sys/fs/cgroup";
  if (c.version == CgroupFacts::Version::none)
    return {Verdict::warning, "no tree is mounted",
            "routers run without limits of memory, processes and CPUs", remedy};
  const std::string version = c.version == CgroupFacts::Version::v1 ? "v1" : "v2";
  std::vector<std::string> missing;
  std::vector<std::string> keys;  // that need what is missing
  const std::pair<const char*, const char*> needs[] = {{"memory", "memory"},
                                                       {"pids", "pids"},
                                                       {"cpuset", "limits.cpus"},
                                                       {"cpu", "limits.cpu_quota"}};
  for (const auto& [controller, key] : needs) {
    if (std::ranges::find(c.controllers, controller) != c.controllers.end()) continue;
    missing.emplace_back(controller);
    keys.emplace_back(key);
  }
  if (!missing.empty()) {
    // Every definition limits memory and processes; CPUs only those that say so.
    const bool all = missing.front() == "memory" || missing.front() == "pids";
    return {all ? Verdict::problem : Verdict::warning,
            fmt::format("{}, without {}", version, join(missing, ", ")),
            all ? "no router gets its limits, so none is spawned"
                : fmt::format("definitions with {} are not spawned", join(keys, " or ")),
            "boot with 'cgroup_enable=memory cgroup_no_v1=all', so that cgroup v2 has every "
            "controller"};
  }
  const std::string found = version + ": " + join(c.controllers, ", ");
  if (c.writable) return fine(found);
  if (!facts.root)
    return {Verdict::unknown, found + "; not writable without privilege", "",
            "sudo routerctl doctor"};
  return {Verdict::problem, found + ", read-only", "no router gets its limits",
          "mount -o remount,rw /sys/fs/cgroup"};
}

// Counted by user. Each service has a user of its own, so the limit is met by routerctl's root.
Judgement inotify(const HostFacts& facts) {
  const auto instances = number(facts, "fs/inotify/max_user_instances");
  if (!instances) return {Verdict::unknown, "cannot be read", "", ""};
  const std::string found = fmt::format("fs.inotify.max_user_instances = {}", *instances);
  if (*instances >= 64) return fine(found);
  return {Verdict::warning, found,
          "'logs --follow' and 'events --follow' may be refused; dnsmasq needs one of its own user",
          "sysctl -w fs.inotify.max_user_instances=128"};
}

Judgement processes(const HostFacts& facts) {
  const auto pids = number(facts, "kernel/pid_max");
  const auto threads = number(facts, "kernel/threads-max");
  if (!pids || !threads) return {Verdict::unknown, "cannot be read", "", ""};
  constexpr std::int64_t kPerRouter = 16;  // supervisor, keeper, services and their threads
  const std::int64_t routers = std::min(*pids, *threads) / kPerRouter;
  const std::string found =
      fmt::format("kernel.pid_max = {}, kernel.threads-max = {}", *pids, *threads);
  if (routers >= 200) return fine(found);
  const char* key = *pids <= *threads ? "kernel.pid_max" : "kernel.threads-max";
  return {routers == 0 ? Verdict::problem : Verdict::warning, found,
          fmt::format("room for about {} routers", routers),
          fmt::format("sysctl -w {}=65536", key)};
}

Judgement userIds(const HostFacts& facts) {
  if (facts.idConflicts.empty()) return fine("1879048192 to 2147483647 are free");
  return {Verdict::problem, join(facts.idConflicts, "; "),
          "a service would share its user with somebody else",
          "give these users ids below 1879048192 (usermod --del-subuids … --add-subuids …)"};
}

Judgement runDirectory(const HostFacts& facts) {
  const RunFacts& run = facts.run;
  if (!run.known) return {Verdict::unknown, "cannot be read", "", ""};
  const std::string found =
      fmt::format("{}{} MiB free", run.tmpfs ? "tmpfs, " : "", run.freeBytes / kMiB);
  if (run.freeBytes < 4 * kMiB || run.freeInodes < 100)
    return {Verdict::problem, fmt::format("{}, {} inodes", found, run.freeInodes),
            "journals and logs cannot be written, so nothing is spawned",
            "mount -o remount,size=20%,nr_inodes=0 /run"};
  if (!run.tmpfs)
    return {Verdict::warning, "not a tmpfs, " + found,
            "journals survive a reboot that their namespaces do not: run 'routerctl gc' after it; "
            "each step of a spawn waits for the disk",
            "mount /run as tmpfs (systemd does), or put 'routerctl gc' into the boot"};
  if (run.freeBytes < 64 * kMiB)
    return {Verdict::warning, found,
            "a router takes up to 1 MiB of logs for each service: with many it will fill",
            "mount -o remount,size=20% /run"};
  return fine(found);
}

Judgement programDnsmasq(const HostFacts& facts) {
  return program(facts, "dnsmasq", Verdict::problem,
                 "no router with DHCP or DNS can run, but those behind tor or SOCKS5 without DHCP",
                 "dnsmasq-base");
}
Judgement programTor(const HostFacts& facts) {
  return program(facts, "tor", Verdict::warning, "routers of kind 'star' cannot run", "tor");
}
Judgement programOpenvpn(const HostFacts& facts) {
  return program(facts, "openvpn", Verdict::warning, "routers with egress 'openvpn' cannot run",
                 "openvpn");
}
Judgement programUdhcpc(const HostFacts& facts) {
  return program(facts, "udhcpc", Verdict::warning, "a universe cannot get its address by DHCP",
                 "busybox udhcpc");
}

// Tor refuses consensuses that are hours off, certificates have dates, and nobody tells a host that
// has no network yet: the newest file that we know of is a lower bound.
Judgement clock(const HostFacts& facts) {
  const ClockFacts& c = facts.clock;
  constexpr std::int64_t kHour = 3600;
  if (c.now + kHour < c.newest)
    return {Verdict::problem,
            fmt::format("{}, but files of this system are from {}", timeText(c.now),
                        timeText(c.newest)),
            "Tor and certificates of VPNs refuse a clock that is wrong by hours",
            "set it: date -u -s 'YYYY-MM-DD HH:MM', then hwclock -w"};
  if (c.synchronised == false)
    return {Verdict::warning, timeText(c.now) + ", not synchronised",
            "Tor and certificates of VPNs refuse a clock that is wrong by hours; whether it is, "
            "cannot be told from here",
            "compare it with a watch, or run a time service: apt install systemd-timesyncd"};
  return fine(timeText(c.now) + (c.synchronised ? ", synchronised" : ""));
}

Judgement managers(const HostFacts& facts) {
  struct Manager {
    const char* name;
    const char* effect;
    const char* remedy;
  };
  static const std::vector<Manager> kManagers = {
      {"NetworkManager",
       "it may configure the NIC of a universe when that comes back to the host, before Orrery "
       "takes it again",
       "nmcli device set IFACE managed no, or unmanaged-devices in /etc/NetworkManager/conf.d/"},
      {"systemd-networkd", "the same for every NIC that a .network file matches",
       "give the NIC a file of its own in /etc/systemd/network/ with [Link] Unmanaged=yes"},
      {"connmand", "it configures every NIC that appears on the host",
       "put the NIC into NetworkInterfaceBlacklist of /etc/connman/main.conf"},
      {"dhcpcd", "it configures every NIC that appears on the host",
       "denyinterfaces IFACE in /etc/dhcpcd.conf"},
      {"firewalld", "it rewrites the host's rules; ours are in other namespaces and stay", ""},
  };
  std::vector<std::string> names;
  std::string effects, remedies;
  for (const Manager& manager : kManagers) {
    if (std::ranges::find(facts.managers, manager.name) == facts.managers.end()) continue;
    names.push_back(manager.name);
    effects += (effects.empty() ? "" : "; ") + std::string(manager.effect);
    if (*manager.remedy != '\0')
      remedies += (remedies.empty() ? "" : "; ") + std::string(manager.remedy);
  }
  if (names.empty()) return fine("none runs");
  if (remedies.empty()) return fine(join(names, ", ") + ": " + effects);
  return {Verdict::warning, join(names, ", "), effects, remedies};
}

}  // namespace orrery::doctor
