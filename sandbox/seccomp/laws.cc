// Each law is one or more patterns: a call, and for some arguments the values (under a mask) that
// are hostile. Enumeration goes over the product of the candidates of every argument that either
// the pattern or the profile looks at; arguments that nobody looks at stay 0.
#include "sandbox/seccomp/laws.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "sandbox/base/strings.h"
#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/decode.h"
#include "sandbox/seccomp/syscalls.h"

namespace orrery {
namespace {

using Args = std::array<std::uint64_t, 6>;

constexpr std::uint64_t kDirty = 0xdeadbeef00000000;  // the kernel ignores it in int arguments
constexpr std::uint64_t kLow = 0xffffffff;
constexpr std::uint64_t kTypeMask = 0xf;  // SOCK_TYPE_MASK of include/linux/net.h
constexpr std::uint64_t kTiocLinux = 0x541c;
constexpr std::uint64_t kFamilies = 64;  // AF_MAX is 46 in Linux 6.18

constexpr SeccompLaw kLaws[] = {
    {"namespaces", "makes no namespace and enters none"},
    {"mounts", "changes no mount and no root"},
    {"tracing", "looks into no other process and takes nothing from one"},
    {"kernel-code", "loads no code into the kernel and uses none of its most attacked interfaces"},
    {"keyrings", "uses no kernel keyring"},
    {"machine", "administrates nothing of the machine: modules, kexec, clock, swap, ports"},
    {"handles", "opens no file beside the checks of its path"},
    {"code-from-data", "makes no memory executable that is or was writable"},
    {"packet-sockets", "neither sees nor forges packets of others"},
    {"socket-filters", "attaches no program to a socket"},
    {"netlink", "asks the kernel nothing about links and routes"},
    {"netlink-other", "speaks no netlink but about links and routes"},
    {"families", "opens sockets of AF_UNIX and AF_INET only"},
    {"tunnels", "attaches to no tun or tap"},
    {"terminals", "takes over no terminal and types into none"},
    {"outliving", "cannot undo that it dies with its supervisor"},
    {"set-id-files", "makes no file set-user-id or set-group-id"},
};

constexpr SeccompLaw kSupervisorLaws[] = {
    {"namespaces", "enters network namespaces only, and makes none but a service's"},
    {"mounts",
     "moves, binds and remounts nothing by mount(2), and changes no root but by pivot_root"},
    {"tracing", "looks into no other process; of descriptors it may take a listener's"},
    {"kernel-code", "loads no code into the kernel and uses none of its most attacked interfaces"},
    {"keyrings", "uses no kernel keyring but to leave the one that it has"},
    {"machine", "administrates nothing of the machine: modules, kexec, clock, swap, ports"},
    {"handles", "opens no file beside the checks of its path"},
    {"code-from-data", "makes no memory executable that is or was writable"},
    {"packet-sockets", "neither sees nor forges packets of others"},
    {"socket-filters", "attaches no eBPF program to a socket, and none to a group of sockets"},
    {"netlink-other", "speaks netlink about links, WireGuard and packet filters only"},
    {"families", "opens sockets of AF_UNIX and AF_INET only"},
    {"terminals", "takes over no terminal and types into none"},
    {"set-id-files", "makes no file set-user-id or set-group-id"},
};

// (arg & mask) is one of the values, which lie inside of the mask.
struct Hostile {
  unsigned arg = 0;
  std::uint64_t mask = kLow;
  std::vector<std::uint64_t> values;
};
struct Pattern {
  std::string_view law;
  std::vector<std::string_view> calls;
  std::vector<Hostile> when;  // all; none: whatever the arguments
};

std::vector<std::uint64_t> familiesBut(std::set<std::uint64_t> except) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t family = 0; family < kFamilies; ++family)
    if (!except.contains(family)) out.push_back(family);
  return out;
}

Pattern cloneFlag(std::uint64_t flag) {
  return {"namespaces", {"clone"}, {{0, flag, {flag}}}};
}

std::vector<Pattern> namespacePatterns() {
  std::vector<Pattern> out = {{"namespaces", {"unshare", "setns", "clone3"}, {}}};
  for (const std::uint64_t flag :
       {std::uint64_t{CLONE_NEWNS}, std::uint64_t{CLONE_NEWCGROUP}, std::uint64_t{CLONE_NEWUTS},
        std::uint64_t{CLONE_NEWIPC}, std::uint64_t{CLONE_NEWUSER}, std::uint64_t{CLONE_NEWPID},
        std::uint64_t{CLONE_NEWNET}})
    out.push_back(cloneFlag(flag));
  return out;
}

std::vector<Pattern> memoryPatterns() {
  constexpr std::uint64_t kWriteExec = PROT_WRITE | PROT_EXEC;
  return {
      {"code-from-data", {"mmap"}, {{2, kWriteExec, {kWriteExec}}}},
      {"code-from-data",
       {"mmap"},
       {{2, PROT_EXEC, {PROT_EXEC}}, {3, MAP_ANONYMOUS, {MAP_ANONYMOUS}}}},
      {"code-from-data", {"mprotect", "pkey_mprotect"}, {{2, PROT_EXEC, {PROT_EXEC}}}},
      {"code-from-data", {"shmat"}, {{2, SHM_EXEC, {SHM_EXEC}}}},
      {"code-from-data",
       {"execveat", "memfd_create", "memfd_secret", "personality", "remap_file_pages"},
       {}},
  };
}

std::vector<Pattern> socketPatterns() {
  std::vector<std::uint64_t> netlinks;
  for (std::uint64_t protocol = 1; protocol < 32; ++protocol) netlinks.push_back(protocol);
  return {
      {"packet-sockets", {"socket"}, {{0, kLow, {AF_PACKET}}}},
      {"packet-sockets",
       {"socket"},
       {{0, kLow, {AF_INET, AF_INET6}}, {1, kTypeMask, {SOCK_RAW, SOCK_PACKET}}}},
      {"netlink", {"socket"}, {{0, kLow, {AF_NETLINK}}, {2, kLow, {0}}}},
      {"netlink-other", {"socket"}, {{0, kLow, {AF_NETLINK}}, {2, kLow, netlinks}}},
      {"families", {"socket"}, {{0, kLow, familiesBut({AF_UNIX, AF_INET, AF_NETLINK, AF_PACKET})}}},
      {"families", {"socketpair"}, {{0, kLow, familiesBut({AF_UNIX})}}},
      {"socket-filters",
       {"setsockopt"},
       {{1, kLow, {SOL_SOCKET}},
        {2,
         kLow,
         {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF}}}},
  };
}

std::vector<Pattern> devicePatterns() {
  return {
      {"tunnels", {"ioctl"}, {{1, kLow, {TUNSETIFF, TUNSETPERSIST, TUNSETOWNER}}}},
      {"terminals", {"ioctl"}, {{1, kLow, {TIOCSTI, kTiocLinux, TIOCSETD, TIOCSCTTY}}}},
      {"outliving", {"prctl"}, {{0, kLow, {PR_SET_PDEATHSIG}}}},
      {"kernel-code",
       {"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
        "io_uring_register"},
       {}},
  };
}

// A mode is looked at only where a file may be made.
std::vector<Pattern> filePatterns() {
  std::vector<Pattern> out = {{"set-id-files", {"openat2"}, {}}};
  constexpr std::uint64_t kTmpfile = 020000000;  // __O_TMPFILE
  for (const std::uint64_t bit : {std::uint64_t{S_ISUID}, std::uint64_t{S_ISGID}}) {
    out.push_back({"set-id-files", {"chmod", "fchmod", "creat", "mknod"}, {{1, bit, {bit}}}});
    out.push_back({"set-id-files", {"fchmodat", "fchmodat2", "mknodat"}, {{2, bit, {bit}}}});
    for (const std::uint64_t making : {std::uint64_t{O_CREAT}, kTmpfile}) {
      out.push_back({"set-id-files", {"open"}, {{1, making, {making}}, {2, bit, {bit}}}});
      out.push_back({"set-id-files", {"openat"}, {{2, making, {making}}, {3, bit, {bit}}}});
    }
  }
  return out;
}

std::vector<Pattern> callPatterns() {
  return {
      {"mounts",
       {"mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig",
        "fsmount", "fspick", "mount_setattr"},
       {}},
      {"tracing",
       {"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
        "move_pages", "migrate_pages"},
       {}},
      {"keyrings", {"add_key", "request_key", "keyctl"}, {}},
      {"handles", {"open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark"}, {}},
      {"machine",
       {"init_module",   "finit_module",  "delete_module", "kexec_load",    "kexec_file_load",
        "reboot",        "swapon",        "swapoff",       "acct",          "syslog",
        "iopl",          "ioperm",        "modify_ldt",    "quotactl",      "quotactl_fd",
        "settimeofday",  "clock_settime", "adjtimex",      "clock_adjtime", "sethostname",
        "setdomainname", "vhangup",       "lookup_dcookie"},
       {}},
  };
}

std::vector<Pattern> servicePatterns() {
  std::vector<Pattern> out;
  for (auto part : {namespacePatterns(), memoryPatterns(), socketPatterns(), devicePatterns(),
                    filePatterns(), callPatterns()})
    for (Pattern& p : part) out.push_back(std::move(p));
  return out;
}

std::vector<std::uint64_t> namespaceFlagsBut(std::uint64_t except) {
  std::vector<std::uint64_t> out;
  for (const std::uint64_t flag :
       {std::uint64_t{CLONE_NEWNS}, std::uint64_t{CLONE_NEWCGROUP}, std::uint64_t{CLONE_NEWUTS},
        std::uint64_t{CLONE_NEWIPC}, std::uint64_t{CLONE_NEWUSER}, std::uint64_t{CLONE_NEWPID},
        std::uint64_t{CLONE_NEWNET}, std::uint64_t{CLONE_NEWTIME}})
    if ((flag & except) == 0) out.push_back(flag);
  return out;
}

// What holds for the supervisor in place of what is taken away by supervisorPatterns().
std::vector<Pattern> supervisorsOwnPatterns() {
  constexpr std::uint64_t kMade = CLONE_NEWCGROUP | CLONE_NEWTIME | CLONE_NEWUSER | CLONE_NEWNET;
  std::vector<std::uint64_t> entered = namespaceFlagsBut(CLONE_NEWNET | CLONE_NEWTIME);
  entered.push_back(0);  // whatever the descriptor is of
  std::vector<std::uint64_t> keyOperations;
  for (std::uint64_t operation = 0; operation <= KEYCTL_WATCH_KEY; ++operation)
    if (operation != KEYCTL_JOIN_SESSION_KEYRING) keyOperations.push_back(operation);
  std::vector<std::uint64_t> protocols;
  for (std::uint64_t protocol = 1; protocol < 32; ++protocol)
    if (protocol != NETLINK_GENERIC && protocol != NETLINK_NETFILTER) protocols.push_back(protocol);
  std::vector<Pattern> out = {
      {"namespaces", {"setns"}, {{1, kLow, entered}}},
      {"mounts", {"chroot", "fspick"}, {}},
      {"keyrings", {"add_key", "request_key"}, {}},
      {"keyrings", {"keyctl"}, {{0, kLow, keyOperations}}},
      {"netlink-other", {"socket"}, {{0, kLow, {AF_NETLINK}}, {2, kLow, protocols}}},
      {"socket-filters",
       {"setsockopt"},
       {{1, kLow, {SOL_SOCKET}},
        {2, kLow, {SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF}}}},
  };
  for (const std::uint64_t flag : namespaceFlagsBut(kMade))
    out.push_back({"namespaces", {"unshare"}, {{0, flag, {flag}}}});
  for (const std::uint64_t flag :
       {std::uint64_t{MS_BIND}, std::uint64_t{MS_MOVE}, std::uint64_t{MS_REMOUNT}})
    out.push_back({"mounts", {"mount"}, {{3, flag, {flag}}}});
  return out;
}

std::vector<Pattern> supervisorPatterns() {
  const std::set<std::string_view> replaced = {"mounts", "keyrings", "netlink-other",
                                               "socket-filters"};
  const std::set<std::string_view> without = {"netlink", "tunnels", "outliving"};
  const std::set<std::string_view> needed = {"unshare",      "setns",       "clone3", "pidfd_getfd",
                                             "memfd_create", "sethostname", "openat2"};
  std::vector<Pattern> out = supervisorsOwnPatterns();
  for (Pattern& p : servicePatterns()) {
    if (replaced.contains(p.law) || without.contains(p.law)) continue;
    std::erase_if(p.calls, [&](std::string_view call) { return needed.contains(call); });
    if (!p.calls.empty()) out.push_back(std::move(p));
  }
  return out;
}

std::vector<Pattern> patternsOf(LawSet set) {
  return set == LawSet::service ? servicePatterns() : supervisorPatterns();
}

const FlatCall* findCall(const FlatProfile& profile, int number) {
  const auto at = std::find_if(profile.calls.begin(), profile.calls.end(),
                               [&](const FlatCall& c) { return c.number == number; });
  return at == profile.calls.end() ? nullptr : &*at;
}

const Hostile* hostileOf(const Pattern& pattern, unsigned arg) {
  for (const Hostile& h : pattern.when)
    if (h.arg == arg) return &h;
  return nullptr;
}

// What profiles compare one argument with.
struct Compared {
  std::set<std::uint64_t> values = {0};
  std::uint64_t masks = 0;

  void add(const FlatCall* call, unsigned arg) {
    if (call == nullptr) return;
    for (const FlatClause& clause : call->clauses)
      for (const SeccompCondition& c : clause.when) {
        if (c.arg != arg) continue;
        masks |= c.mask;
        values.insert(c.values.begin(), c.values.end());
      }
  }
};

// The product of all candidates must end: a user's profile can compare each argument with many
// values.
Status checkCountable(const FlatProfile& profile) {
  constexpr std::size_t kMostTried = 1 << 20;  // arguments of one call
  for (const FlatCall& call : profile.calls) {
    std::size_t product = 1;
    for (unsigned arg = 0; arg < Args{}.size(); ++arg) {
      Compared compared;
      compared.add(&call, arg);
      if (compared.masks != 0) product *= 3 * compared.values.size();
      if (product > kMostTried)
        return error(
            "seccomp profile '{}': '{}' has too many combinations of arguments to be judged",
            profile.name, call.name);
    }
  }
  return {};
}

// What to try for one argument: everything the profile compares with, made hostile.
std::vector<std::uint64_t> candidates(const Compared& compared, const Pattern& pattern,
                                      unsigned arg) {
  const std::set<std::uint64_t>& base = compared.values;
  const std::uint64_t masks = compared.masks;
  const Hostile* hostile = hostileOf(pattern, arg);
  if (hostile == nullptr && masks == 0) return {0};
  std::set<std::uint64_t> out;
  const std::uint64_t free = ~masks;  // bits that the profile never looks at
  for (const std::uint64_t b : base)
    for (const std::uint64_t v : {b, b | free, b | kDirty}) {
      if (hostile == nullptr) {
        out.insert(v);
        continue;
      }
      for (const std::uint64_t h : hostile->values) out.insert((v & ~hostile->mask) | h);
    }
  return {out.begin(), out.end()};
}

bool letsThrough(const CheckedProgram& program, const seccomp_data& data) {
  const SeccompAction::Kind kind = seccompActionOf(program.run(data)).kind;
  return kind == SeccompAction::Kind::allow || kind == SeccompAction::Kind::log;
}

// The first arguments of the product that the program lets through, and another does not.
class Search {
 public:
  Search(const CheckedProgram& program, SeccompArch arch, int number) : program_(program) {
    data_.arch = auditArch(arch);
    data_.nr = number;
  }
  void butNot(const CheckedProgram& other) { other_ = &other; }
  bool run(const std::vector<const FlatCall*>& calls, const Pattern& pattern) {
    for (unsigned arg = 0; arg < pools_.size(); ++arg) {
      Compared compared;
      for (const FlatCall* call : calls) compared.add(call, arg);
      pools_.at(arg) = candidates(compared, pattern, arg);
    }
    return from(0);
  }
  Args args() const {
    Args out{};
    std::copy(std::begin(data_.args), std::end(data_.args), out.begin());
    return out;
  }

 private:
  bool from(unsigned arg) {
    if (arg == pools_.size())
      return letsThrough(program_, data_) && (other_ == nullptr || !letsThrough(*other_, data_));
    for (const std::uint64_t value : pools_.at(arg)) {
      data_.args[arg] = value;
      if (from(arg + 1)) return true;
    }
    return false;
  }

  const CheckedProgram& program_;
  const CheckedProgram* other_ = nullptr;
  seccomp_data data_{};
  std::array<std::vector<std::uint64_t>, 6> pools_;
};

std::string place(const SeccompException& e) {
  return fmt::format("{}.toml:{}", e.profile, e.line);
}

Status checkExceptions(const FlatProfile& profile, const std::vector<LawBreach>& breaches) {
  const std::span<const SeccompLaw> laws = seccompLaws(profile.laws);
  std::set<std::string> seen;
  for (const SeccompException& e : profile.exceptions) {
    if (std::none_of(laws.begin(), laws.end(),
                     [&](const SeccompLaw& law) { return law.name == e.law; })) {
      std::vector<std::string> names;
      for (const SeccompLaw& law : laws) names.emplace_back(law.name);
      return error("{}: there is no law '{}'; there are: {}", place(e), e.law, join(names, ", "));
    }
    if (!seen.insert(e.law).second)
      return error("{}: a second exception from '{}'", place(e), e.law);
    if (std::none_of(breaches.begin(), breaches.end(),
                     [&](const LawBreach& b) { return b.law == e.law; }))
      return error("{}: the exception from '{}' is not needed: nothing against it is let through",
                   place(e), e.law);
  }
  return {};
}

}  // namespace

std::span<const SeccompLaw> seccompLaws(LawSet set) {
  if (set == LawSet::supervisor) return kSupervisorLaws;
  return kLaws;
}

std::vector<LawBreach> lawBreaches(const FlatProfile& profile,
                                   std::span<const sock_filter> program) {
  std::map<std::pair<std::string_view, std::string>, LawBreach> found;
  const auto checked = CheckedProgram::of(program);
  if (!checked) return {};  // it kills every call
  for (const Pattern& pattern : patternsOf(profile.laws))
    for (const std::string_view name : pattern.calls) {
      const auto number = syscallNumber(profile.arch, name);
      if (!number) continue;
      Search search(*checked, profile.arch, *number);
      if (search.run({findCall(profile, *number)}, pattern))
        found.try_emplace({pattern.law, std::string(name)},
                          LawBreach{pattern.law, std::string(name), search.args()});
    }
  std::vector<LawBreach> out;
  for (auto& entry : found) out.push_back(std::move(entry.second));
  return out;
}

Status checkLaws(const FlatProfile& profile, std::span<const sock_filter> program) {
  ORRERY_TRY(checkCountable(profile));
  const std::vector<LawBreach> breaches = lawBreaches(profile, program);
  ORRERY_TRY(checkExceptions(profile, breaches));
  for (const LawBreach& b : breaches) {
    if (std::any_of(profile.exceptions.begin(), profile.exceptions.end(),
                    [&](const SeccompException& e) { return e.law == b.law; }))
      continue;
    const auto number = syscallNumber(profile.arch, b.call);
    return error(
        "seccomp profile '{}' breaks the law '{}': it lets {} through; take the rule away, or "
        "state "
        "an [[exception]] with its reason",
        profile.name, b.law, toText(decodeCall(profile.arch, number.value_or(-1), b.args)));
  }
  return {};
}

Status checkWithin(const JudgedProfile& inner, const JudgedProfile& outer) {
  ORRERY_TRY_ASSIGN(const CheckedProgram narrow, CheckedProgram::of(inner.program));
  ORRERY_TRY_ASSIGN(const CheckedProgram wide, CheckedProgram::of(outer.program));
  for (const FlatCall& call : inner.flat.calls) {
    Search search(narrow, inner.flat.arch, call.number);
    search.butNot(wide);
    if (search.run({&call, findCall(outer.flat, call.number)}, Pattern{}))
      return error(
          "seccomp profile '{}' lets {} through, which '{}' refuses to all that runs under "
          "it",
          inner.flat.name, toText(decodeCall(inner.flat.arch, call.number, search.args())),
          outer.flat.name);
  }
  return {};
}

}  // namespace orrery
