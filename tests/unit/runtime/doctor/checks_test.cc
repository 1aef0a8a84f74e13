// Each finding by a host that has it: a healthy one, with one thing changed.
#include "runtime/doctor/checks.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace orrery {
namespace {

constexpr const char* kEveryProbe[] = {
    probe::kUserNamespace,
    probe::kNetNamespace,
    probe::kPidNamespace,
    probe::kMountNamespace,
    probe::kIpcNamespace,
    probe::kUtsNamespace,
    probe::kCgroupNamespace,
    probe::kTimeNamespace,
    probe::kSeccompFilter,
    probe::kSeccompNotify,
    probe::kOpenat2,
    probe::kMountApi,
    probe::kPidfd,
    probe::kCloseRange,
    probe::kNftFilter,
    probe::kNftNat,
    probe::kNftFib,
    probe::kNftCt,
    probe::kNftTproxy,
    probe::kNftReject,
    probe::kNftBridge,
    probe::kNftLimit,
    probe::kNftConnlimit,
    probe::kNftArp,
    probe::kVeth,
    probe::kBridge,
    probe::kTun,
    probe::kWireGuard,
};

HostFacts healthy() {
  HostFacts facts;
  facts.root = true;
  facts.kernel = {6, 1, "6.1.0-18-amd64"};
  facts.sysctls = {{"fs/inotify/max_user_instances", "128"},
                   {"kernel/pid_max", "4194304"},
                   {"kernel/threads-max", "127000"},
                   {"net/ipv4/conf/all/rp_filter", "0"},
                   {"net/ipv4/ip_forward", "0"},
                   {"net/ipv4/neigh/default/gc_thresh3", "1024"},
                   {"user/max_net_namespaces", "31000"},
                   {"user/max_user_namespaces", "31000"}};
  for (const char* name : kEveryProbe) facts.probes[name] = {Probe::Answer::yes, ""};
  facts.landlockAbi = 6;
  facts.cgroups = {CgroupFacts::Version::v2, {"memory", "pids", "cpuset", "cpu"}, true};
  facts.run = {true, true, 800u << 20, 100000};
  for (const char* name : {"dnsmasq", "tor", "openvpn", "wireguard-go", "udhcpc"})
    facts.programs.push_back({name, std::string("/usr/bin/") + name, true, "version 1"});
  facts.clock = {1'790'000'000, 1'789'999'000, true};
  return facts;
}

Finding find(const HostFacts& facts, std::string_view id) {
  for (Finding& finding : judgeHost(facts))
    if (finding.id == id) return finding;
  ADD_FAILURE() << "no check " << id;
  return {};
}

Probe refused() {
  return {Probe::Answer::no, "Operation not supported"};
}

struct Case {
  const char* id;
  std::function<void(HostFacts&)> spoil;
  Verdict verdict;
  const char* found;  // each a part of it
  const char* effect;
  const char* remedy;
};

std::function<void(HostFacts&)> without(const char* name) {
  return [name](HostFacts& f) { f.probes[name] = refused(); };
}
std::function<void(HostFacts&)> with(const char* key, const char* value) {
  return [key, value](HostFacts& f) { f.sysctls[key] = value; };
}
std::function<void(HostFacts&)> lacking(const char* program) {
  return [program](HostFacts& f) {
    for (ProgramFacts& p : f.programs)
      if (p.name == program) p.present = false;
  };
}

const std::vector<Case>& cases() {
  using S = Verdict;
  static const std::vector<Case> kCases = {
      {"privilege", [](HostFacts& f) { f.root = false; }, S::unknown, "without privilege",
       "spawn, destroy and attach need root", "sudo routerctl doctor"},
      {"kernel",
       [](HostFacts& f) {
         f.kernel = {4, 19, "4.19.0"};
       },
       S::problem, "Linux 4.19.0", "mount_setattr", "apt install linux-image-amd64"},
      {"kernel",
       [](HostFacts& f) {
         f.kernel = {5, 15, "5.15.0-91"};
       },
       S::warning, "5.15.0-91", "5.19", "newer kernel"},
      {"kernel", [](HostFacts& f) { f.kernel = {}; }, S::unknown, "unknown", "", ""},
      {"system-calls", without(probe::kOpenat2), S::problem, "openat2 (Linux 5.6)",
       "no service can be confined", "newer kernel"},
      {"system-calls", [](HostFacts& f) { f.probes.erase(probe::kMountApi); }, S::unknown,
       "mount api", "not checked", ""},
      {"namespaces", without(probe::kPidNamespace), S::problem, "refused: pid", "no router can run",
       "CONFIG_NAMESPACES"},
      {"namespaces", [](HostFacts& f) { f.probes.clear(); }, S::unknown, "user, net", "", ""},
      {"time-namespace", without(probe::kTimeNamespace), S::warning, "not supported",
       "since when the host is up", "newer kernel"},
      {"namespace-limits", with("user/max_user_namespaces", "0"), S::problem,
       "user.max_user_namespaces = 0", "no router can run",
       "sysctl -w user.max_user_namespaces=65536"},
      {"namespace-limits", with("user/max_net_namespaces", "80"), S::warning,
       "user.max_net_namespaces = 80", "room for 20 routers", "user.max_net_namespaces=65536"},
      {"namespace-limits", [](HostFacts& f) { f.sysctls.clear(); }, S::unknown, "/proc/sys/user",
       "", ""},
      {"unprivileged-namespaces", with("kernel/unprivileged_userns_clone", "0"), S::ok,
       "routers are not touched", "", ""},
      {"unprivileged-namespaces",
       [](HostFacts& f) {
         f.root = false;
         f.sysctls["kernel/apparmor_restrict_unprivileged_userns"] = "1";
       },
       S::unknown, "apparmor_restrict_unprivileged_userns = 1", "hardly anything can be tried",
       "sudo routerctl doctor"},
      {"seccomp", without(probe::kSeccompFilter), S::problem, "none", "none is started",
       "CONFIG_SECCOMP_FILTER"},
      {"seccomp-notify", without(probe::kSeccompNotify), S::problem, "none", "Linux 5.5", "kernel"},
      {"landlock", [](HostFacts& f) { f.landlockAbi = 0; }, S::warning, "none", "one wall",
       "lsm=landlock"},
      {"landlock", [](HostFacts& f) { f.landlockAbi = 2; }, S::ok, "ABI 2: files only", "", ""},
      {"cgroups", [](HostFacts& f) { f.cgroups = {}; }, S::warning, "no tree", "without limits",
       "mount -t cgroup2"},
      {"cgroups",
       [](HostFacts& f) {
         f.cgroups.controllers = {"pids", "cpuset", "cpu"};
       },
       S::problem, "v2, without memory", "none is spawned", "cgroup_enable=memory"},
      {"cgroups",
       [](HostFacts& f) {
         f.cgroups.controllers = {"memory", "pids", "cpu"};
       },
       S::warning, "without cpuset", "with limits.cpus are not spawned", "cgroup_no_v1=all"},
      {"cgroups",
       [](HostFacts& f) {
         f.cgroups.controllers = {"memory", "pids"};
       },
       S::warning, "without cpuset, cpu", "with limits.cpus or limits.cpu_quota are not spawned",
       "cgroup_no_v1=all"},
      {"cgroups", [](HostFacts& f) { f.cgroups.writable = false; }, S::problem, "read-only",
       "no router gets its limits", "mount -o remount,rw"},
      {"cgroups",
       [](HostFacts& f) {
         f.cgroups.writable = false;
         f.root = false;
       },
       S::unknown, "without privilege", "", "sudo"},
      {"nftables", without(probe::kNftNat), S::problem, "nft nat (Operation not supported)",
       "no router can run", "modprobe -a nft_masq"},
      {"nftables", [](HostFacts& f) { f.probes.erase(probe::kNftFilter); }, S::unknown, "not tried",
       "", ""},
      {"nft-tproxy", without(probe::kNftTproxy), S::warning, "not supported", "'tor' or 'socks5'",
       "modprobe nft_tproxy"},
      {"nft-connlimit", without(probe::kNftConnlimit), S::warning, "not supported", "not counted",
       "modprobe nft_connlimit"},
      {"nft-arp", without(probe::kNftArp), S::warning, "not supported", "ARP",
       "CONFIG_NF_TABLES_ARP"},
      {"nft-bridge", without(probe::kNftBridge), S::problem, "not supported", "kept apart",
       "modprobe -a nf_tables"},
      {"veth", without(probe::kVeth), S::problem, "not supported", "no client", "modprobe veth"},
      {"bridge", without(probe::kBridge), S::problem, "not supported", "isolated ports",
       "modprobe bridge"},
      {"tun", without(probe::kTun), S::warning, "not supported", "openvpn", "modprobe tun"},
      {"wireguard", without(probe::kWireGuard), S::ok, "wireguard-go", "", ""},
      {"wireguard",
       [](HostFacts& f) {
         f.probes[probe::kWireGuard] = refused();
         lacking("wireguard-go")(f);
       },
       S::warning, "neither", "'wireguard' cannot run", "apt install wireguard-go"},
      {"wireguard",
       [](HostFacts& f) {
         f.probes[probe::kWireGuard] = refused();
         f.probes[probe::kTun] = refused();
       },
       S::warning, "no /dev/net/tun", "'wireguard' cannot run", "modprobe tun"},
      {"br-netfilter", with("net/bridge/bridge-nf-call-iptables", "1"), S::ok,
       "on for the host, off in our namespaces", "", ""},
      {"br-netfilter",
       [](HostFacts& f) {
         f.kernel = {5, 2, "5.2.0"};
         f.sysctls["net/bridge/bridge-nf-call-iptables"] = "1";
       },
       S::problem, "for all namespaces", "wrong rules", "modprobe -r br_netfilter"},
      {"ip-forward", with("net/ipv4/ip_forward", "1"), S::warning, "net.ipv4.ip_forward = 1",
       "routes for others", "sysctl -w net.ipv4.ip_forward=0"},
      {"rp-filter", with("net/ipv4/conf/all/rp_filter", "2"), S::ok, "rp_filter = 2", "", ""},
      {"neighbours", with("net/ipv4/neigh/default/gc_thresh3", "300"), S::warning, "300",
       "about 100 routers", "sysctl -w net.ipv4.neigh.default.gc_thresh3=8192"},
      {"inotify", with("fs/inotify/max_user_instances", "8"), S::warning, "= 8", "--follow",
       "sysctl -w fs.inotify.max_user_instances=128"},
      {"pids", with("kernel/pid_max", "1600"), S::warning, "pid_max = 1600", "about 100 routers",
       "sysctl -w kernel.pid_max=65536"},
      {"pids", with("kernel/threads-max", "10"), S::problem, "threads-max = 10", "about 0 routers",
       "sysctl -w kernel.threads-max=65536"},
      {"user-ids", [](HostFacts& f) { f.idConflicts = {"/etc/subuid: ann 1879048192-1879113727"}; },
       S::problem, "ann", "share its user", "usermod --del-subuids"},
      {"run", [](HostFacts& f) { f.run.freeBytes = 1 << 20; }, S::problem, "1 MiB free",
       "nothing is spawned", "mount -o remount,size=20%"},
      {"run", [](HostFacts& f) { f.run.freeInodes = 3; }, S::problem, "3 inodes",
       "nothing is spawned", "nr_inodes=0"},
      {"run", [](HostFacts& f) { f.run.freeBytes = 20 << 20; }, S::warning, "20 MiB free",
       "will fill", "size=20%"},
      {"run", [](HostFacts& f) { f.run.tmpfs = false; }, S::warning, "not a tmpfs",
       "survive a reboot", "routerctl gc"},
      {"dnsmasq", lacking("dnsmasq"), S::problem, "is not there", "DHCP or DNS",
       "apt install dnsmasq-base"},
      {"tor", lacking("tor"), S::warning, "is not there", "'star' cannot run", "apt install tor"},
      {"openvpn", lacking("openvpn"), S::warning, "is not there", "'openvpn' cannot run",
       "apt install openvpn"},
      {"udhcpc", lacking("udhcpc"), S::warning, "is not there", "by DHCP",
       "apt install busybox udhcpc"},
      {"clock", [](HostFacts& f) { f.clock.now = f.clock.newest - 86400; }, S::problem,
       "but files of this system are from", "refuse a clock", "date -u -s"},
      {"clock", [](HostFacts& f) { f.clock.synchronised = false; }, S::warning, "not synchronised",
       "cannot be told from here", "systemd-timesyncd"},
      {"network-managers", [](HostFacts& f) { f.managers = {"NetworkManager"}; }, S::warning,
       "NetworkManager", "configure the NIC", "nmcli device set"},
      {"network-managers",
       [](HostFacts& f) {
         f.managers = {"systemd-networkd", "firewalld"};
       },
       S::warning, "systemd-networkd, firewalld", ".network file", "Unmanaged=yes"},
      {"network-managers", [](HostFacts& f) { f.managers = {"firewalld"}; }, S::ok,
       "other namespaces", "", ""},
  };
  return kCases;
}

TEST(Doctor, AHealthyHostHasNothingToMend) {
  for (const Finding& finding : judgeHost(healthy())) {
    EXPECT_EQ(finding.judgement.verdict, Verdict::ok)
        << finding.id << ": " << finding.judgement.found;
    EXPECT_EQ(finding.judgement.effect + finding.judgement.remedy, "") << finding.id;
    EXPECT_NE(finding.judgement.found, "") << finding.id;
  }
  EXPECT_TRUE(canRun(judgeHost(healthy())));
}

TEST(Doctor, JudgesWhatIsAmissAndNamesTheRemedy) {
  for (const Case& c : cases()) {
    HostFacts facts = healthy();
    c.spoil(facts);
    const Judgement judgement = find(facts, c.id).judgement;
    EXPECT_STREQ(toString(judgement.verdict), toString(c.verdict)) << c.id << ": " << c.found;
    EXPECT_NE(judgement.found.find(c.found), std::string::npos) << c.id << ": " << judgement.found;
    EXPECT_NE(judgement.effect.find(c.effect), std::string::npos)
        << c.id << ": " << judgement.effect;
    EXPECT_NE(judgement.remedy.find(c.remedy), std::string::npos)
        << c.id << ": " << judgement.remedy;
    EXPECT_EQ(canRun(judgeHost(facts)), c.verdict != Verdict::problem) << c.id << ": " << c.found;
  }
}

TEST(Doctor, AWarningOrAProblemSaysWhatItDoesAndWhatToDo) {
  for (const Case& c : cases()) {
    HostFacts facts = healthy();
    c.spoil(facts);
    for (const Finding& finding : judgeHost(facts)) {
      const Verdict verdict = finding.judgement.verdict;
      if (verdict == Verdict::ok || verdict == Verdict::unknown) continue;
      EXPECT_NE(finding.judgement.effect, "") << finding.id;
      EXPECT_NE(finding.judgement.remedy, "") << finding.id;
      EXPECT_EQ(finding.judgement.remedy.find('\n'), std::string::npos) << finding.id;
    }
  }
}

TEST(Doctor, EveryCheckCanFindSomething) {
  std::set<std::string_view> judged;
  for (const Case& c : cases()) judged.insert(c.id);
  std::set<std::string_view> ids;
  for (const Check& check : hostChecks()) {
    EXPECT_TRUE(ids.insert(check.id).second) << check.id << " is there twice";
    EXPECT_TRUE(judged.contains(check.id)) << "no case for " << check.id;
  }
}

TEST(Doctor, NothingKnownIsNoProblemAndNoClaim) {
  for (const Finding& finding : judgeHost(HostFacts{})) {
    const Verdict verdict = finding.judgement.verdict;
    EXPECT_NE(verdict, Verdict::problem) << finding.id;
    const std::set<std::string> claims = {"user-ids", "network-managers", "clock", "br-netfilter",
                                          "unprivileged-namespaces"};
    if (!claims.contains(finding.id)) {
      EXPECT_NE(verdict, Verdict::ok) << finding.id;
    }
  }
}

}  // namespace
}  // namespace orrery
