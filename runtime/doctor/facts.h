// What `routerctl doctor` knows about a host, as a value. Gathering (gather.h) fills it, judging
// (checks.h) reads it; tests fake it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace orrery {

// Something that was tried. `unknown`: it could not be tried, mostly for want of privilege.
struct Probe {
  enum class Answer { yes, no, unknown };
  Answer answer = Answer::unknown;
  std::string detail;  // of a no or an unknown: the kernel's words; else what helps to judge

  bool yes() const { return answer == Answer::yes; }
  bool no() const { return answer == Answer::no; }
  friend bool operator==(const Probe&, const Probe&) = default;
};

struct KernelRelease {
  unsigned major = 0, minor = 0;
  std::string text;  // of uname(2): "6.1.0-18-amd64"
  friend auto operator<=>(const KernelRelease&, const KernelRelease&) = default;
};

struct CgroupFacts {
  enum class Version { none, v1, v2 };
  Version version = Version::none;
  std::vector<std::string> controllers;  // usable ones of memory, pids, cpuset, cpu, freezer
  bool writable = false;
  friend bool operator==(const CgroupFacts&, const CgroupFacts&) = default;
};

struct RunFacts {
  bool known = false;
  bool tmpfs = false;
  std::uint64_t freeBytes = 0;
  std::uint64_t freeInodes = 0;
  friend bool operator==(const RunFacts&, const RunFacts&) = default;
};

struct ProgramFacts {
  std::string name;  // "tor"
  std::string path;  // where it is expected
  bool present = false;
  std::string version;  // first line of what it says of itself; "" if it did not say
  friend bool operator==(const ProgramFacts&, const ProgramFacts&) = default;
};

struct ClockFacts {
  std::int64_t now = 0;              // seconds since 1970
  std::int64_t newest = 0;           // the latest time that a file of the system says has been
  std::optional<bool> synchronised;  // adjtimex(2): the kernel's clock is steered; none: unknown
  friend bool operator==(const ClockFacts&, const ClockFacts&) = default;
};

struct HostFacts {
  bool root = false;  // effective user 0 with CAP_SYS_ADMIN; else much is tried in a user namespace
  KernelRelease kernel;
  // By keys as in /proc/sys with '/' ("user/max_net_namespaces"); a missing key has no entry.
  std::map<std::string, std::string> sysctls;

  // By the names of kProbe… below. One that is missing was never tried.
  std::map<std::string, Probe> probes;

  int landlockAbi = 0;
  CgroupFacts cgroups;
  RunFacts run;
  // Lines of /etc/subuid, /etc/subgid and users of /etc/passwd that reach into our range of ids:
  // "/etc/subuid: ann 1879048192-1879113727".
  std::vector<std::string> idConflicts;
  std::vector<ProgramFacts> programs;
  std::vector<std::string> managers;  // names of running processes that configure NICs or firewalls
  ClockFacts clock;
};

namespace probe {
inline constexpr const char* kUserNamespace = "user namespace";
inline constexpr const char* kNetNamespace = "net namespace";
inline constexpr const char* kPidNamespace = "pid namespace";
inline constexpr const char* kMountNamespace = "mount namespace";
inline constexpr const char* kIpcNamespace = "ipc namespace";
inline constexpr const char* kUtsNamespace = "uts namespace";
inline constexpr const char* kCgroupNamespace = "cgroup namespace";
inline constexpr const char* kTimeNamespace = "time namespace";
inline constexpr const char* kSeccompFilter = "seccomp filter";
inline constexpr const char* kSeccompNotify = "seccomp notify";
inline constexpr const char* kOpenat2 = "openat2";
inline constexpr const char* kMountApi = "mount api";
inline constexpr const char* kPidfd = "pidfd";
inline constexpr const char* kCloseRange = "close_range";
inline constexpr const char* kNftFilter = "nft filter";
inline constexpr const char* kNftNat = "nft nat";
inline constexpr const char* kNftFib = "nft fib";
inline constexpr const char* kNftCt = "nft ct";
inline constexpr const char* kNftTproxy = "nft tproxy";
inline constexpr const char* kNftReject = "nft reject";
inline constexpr const char* kNftBridge = "nft bridge";
inline constexpr const char* kNftLimit = "nft limit";
inline constexpr const char* kNftConnlimit = "nft connlimit";
inline constexpr const char* kNftArp = "nft arp";
inline constexpr const char* kVeth = "veth";
inline constexpr const char* kBridge = "bridge";
inline constexpr const char* kTun = "tun";
inline constexpr const char* kWireGuard = "wireguard";
}  // namespace probe

}  // namespace orrery
