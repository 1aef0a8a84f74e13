#include "sandbox/seccomp/decode.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include <algorithm>
#include <span>

#include "sandbox/base/strings.h"
#include "sandbox/seccomp/syscalls.h"

namespace orrery {
namespace {

struct Name {
  std::uint64_t value;
  const char* text;
};
#define ORRERY_NAME(name) \
  { static_cast<std::uint64_t>(name), #name }

constexpr Name kFamilies[] = {
    ORRERY_NAME(AF_UNSPEC),    ORRERY_NAME(AF_UNIX),   ORRERY_NAME(AF_INET),
    ORRERY_NAME(AF_AX25),      ORRERY_NAME(AF_INET6),  ORRERY_NAME(AF_KEY),
    ORRERY_NAME(AF_NETLINK),   ORRERY_NAME(AF_PACKET), ORRERY_NAME(AF_RDS),
    ORRERY_NAME(AF_PPPOX),     ORRERY_NAME(AF_CAN),    ORRERY_NAME(AF_TIPC),
    ORRERY_NAME(AF_BLUETOOTH), ORRERY_NAME(AF_ALG),    ORRERY_NAME(AF_VSOCK),
    ORRERY_NAME(AF_KCM),       ORRERY_NAME(AF_SMC),    ORRERY_NAME(AF_XDP)};
constexpr Name kTypes[] = {ORRERY_NAME(SOCK_STREAM),    ORRERY_NAME(SOCK_DGRAM),
                           ORRERY_NAME(SOCK_RAW),       ORRERY_NAME(SOCK_RDM),
                           ORRERY_NAME(SOCK_SEQPACKET), ORRERY_NAME(SOCK_DCCP),
                           ORRERY_NAME(SOCK_PACKET)};
constexpr Name kTypeFlags[] = {ORRERY_NAME(SOCK_NONBLOCK), ORRERY_NAME(SOCK_CLOEXEC)};
constexpr Name kCloneFlags[] = {ORRERY_NAME(CLONE_VM),
                                ORRERY_NAME(CLONE_FS),
                                ORRERY_NAME(CLONE_FILES),
                                ORRERY_NAME(CLONE_SIGHAND),
                                ORRERY_NAME(CLONE_PIDFD),
                                ORRERY_NAME(CLONE_PTRACE),
                                ORRERY_NAME(CLONE_VFORK),
                                ORRERY_NAME(CLONE_PARENT),
                                ORRERY_NAME(CLONE_THREAD),
                                ORRERY_NAME(CLONE_NEWNS),
                                ORRERY_NAME(CLONE_SYSVSEM),
                                ORRERY_NAME(CLONE_SETTLS),
                                ORRERY_NAME(CLONE_PARENT_SETTID),
                                ORRERY_NAME(CLONE_CHILD_CLEARTID),
                                ORRERY_NAME(CLONE_DETACHED),
                                ORRERY_NAME(CLONE_UNTRACED),
                                ORRERY_NAME(CLONE_CHILD_SETTID),
                                ORRERY_NAME(CLONE_NEWCGROUP),
                                ORRERY_NAME(CLONE_NEWUTS),
                                ORRERY_NAME(CLONE_NEWIPC),
                                ORRERY_NAME(CLONE_NEWUSER),
                                ORRERY_NAME(CLONE_NEWPID),
                                ORRERY_NAME(CLONE_NEWNET),
                                ORRERY_NAME(CLONE_IO)};
constexpr Name kProtections[] = {ORRERY_NAME(PROT_READ), ORRERY_NAME(PROT_WRITE),
                                 ORRERY_NAME(PROT_EXEC)};
constexpr Name kMapFlags[] = {ORRERY_NAME(MAP_SHARED), ORRERY_NAME(MAP_PRIVATE),
                              ORRERY_NAME(MAP_FIXED), ORRERY_NAME(MAP_ANONYMOUS)};
constexpr Name kIoctls[] = {
    ORRERY_NAME(TCGETS),         ORRERY_NAME(TIOCSTI),       {0x541c, "TIOCLINUX"},
    ORRERY_NAME(TIOCSETD),       ORRERY_NAME(TIOCSCTTY),     ORRERY_NAME(TIOCGWINSZ),
    ORRERY_NAME(TIOCOUTQ),       ORRERY_NAME(FIONREAD),      ORRERY_NAME(FIONBIO),
    ORRERY_NAME(SIOCGIFNAME),    ORRERY_NAME(SIOCGIFCONF),   ORRERY_NAME(SIOCGIFFLAGS),
    ORRERY_NAME(SIOCSIFFLAGS),   ORRERY_NAME(SIOCGIFADDR),   ORRERY_NAME(SIOCSIFADDR),
    ORRERY_NAME(SIOCSIFNETMASK), ORRERY_NAME(SIOCGIFMTU),    ORRERY_NAME(SIOCSIFMTU),
    ORRERY_NAME(SIOCGIFHWADDR),  ORRERY_NAME(SIOCSIFHWADDR), ORRERY_NAME(SIOCGIFINDEX),
    ORRERY_NAME(SIOCGIFTXQLEN),  ORRERY_NAME(SIOCSIFTXQLEN), ORRERY_NAME(SIOCADDRT),
    ORRERY_NAME(SIOCDELRT),      ORRERY_NAME(SIOCSARP),      ORRERY_NAME(SIOCBRADDBR),
    ORRERY_NAME(SIOCETHTOOL),    ORRERY_NAME(TUNSETIFF),     ORRERY_NAME(TUNGETIFF),
    ORRERY_NAME(TUNSETPERSIST),  ORRERY_NAME(TUNSETOWNER)};
constexpr Name kPrctls[] = {ORRERY_NAME(PR_SET_PDEATHSIG),    ORRERY_NAME(PR_GET_DUMPABLE),
                            ORRERY_NAME(PR_SET_DUMPABLE),     ORRERY_NAME(PR_SET_KEEPCAPS),
                            ORRERY_NAME(PR_SET_NAME),         ORRERY_NAME(PR_SET_SECCOMP),
                            ORRERY_NAME(PR_CAPBSET_DROP),     ORRERY_NAME(PR_SET_SECUREBITS),
                            ORRERY_NAME(PR_SET_MM),           ORRERY_NAME(PR_SET_CHILD_SUBREAPER),
                            ORRERY_NAME(PR_SET_NO_NEW_PRIVS), ORRERY_NAME(PR_CAP_AMBIENT),
                            ORRERY_NAME(PR_SET_PTRACER),      ORRERY_NAME(PR_SET_VMA),
                            ORRERY_NAME(PR_SET_THP_DISABLE),  ORRERY_NAME(PR_MCE_KILL),
                            ORRERY_NAME(PR_SET_TIMERSLACK)};
constexpr Name kFcntls[] = {
    ORRERY_NAME(F_DUPFD),    ORRERY_NAME(F_GETFD),   ORRERY_NAME(F_SETFD),
    ORRERY_NAME(F_GETFL),    ORRERY_NAME(F_SETFL),   ORRERY_NAME(F_SETOWN),
    ORRERY_NAME(F_SETLEASE), ORRERY_NAME(F_NOTIFY),  {1030, "F_DUPFD_CLOEXEC"},
    {1031, "F_SETPIPE_SZ"},  {1032, "F_GETPIPE_SZ"}, {1033, "F_ADD_SEALS"}};
constexpr Name kLevels[] = {ORRERY_NAME(SOL_SOCKET), ORRERY_NAME(IPPROTO_IP),
                            ORRERY_NAME(IPPROTO_TCP), ORRERY_NAME(IPPROTO_UDP),
                            ORRERY_NAME(IPPROTO_IPV6)};
#undef ORRERY_NAME

std::string hex(std::uint64_t value) {
  return fmt::format("{:#x}", value);
}

std::string word(std::span<const Name> names, std::uint64_t value) {
  for (const Name& n : names)
    if (n.value == value) return n.text;
  return hex(value);
}

std::string flags(std::span<const Name> names, std::uint64_t value, std::string out = "") {
  for (const Name& n : names) {
    if (n.value == 0 || (value & n.value) != n.value) continue;
    out += (out.empty() ? "" : "|") + std::string(n.text);
    value &= ~n.value;
  }
  if (value != 0 || out.empty()) out += (out.empty() ? "" : "|") + hex(value);
  return out;
}

std::string number(std::uint64_t value) {
  return fmt::format("{}", static_cast<std::int32_t>(static_cast<std::uint32_t>(value)));
}

// What the arguments of a call are: one letter each.
//   d number or descriptor · p pointer or word · f family · t socket type · l level of an option
//   c clone flags · s signal and clone flags · m protection · M mapping · i ioctl · r prctl · n
//   fcntl
struct Shape {
  std::string_view call;
  std::string_view letters;
};
constexpr Shape kShapes[] = {
    {"accept", "dpp"},
    {"accept4", "dppp"},
    {"access", "pp"},
    {"bind", "dpd"},
    {"bpf", "dpd"},
    {"chroot", "p"},
    {"clone", "sppp"},
    {"clone3", "pd"},
    {"connect", "dpd"},
    {"dup", "d"},
    {"execveat", "dpppp"},
    {"fcntl", "dnp"},
    {"finit_module", "dpp"},
    {"getsockopt", "dldpp"},
    {"ioctl", "dip"},
    {"kill", "dd"},
    {"keyctl", "dpppp"},
    {"listen", "dd"},
    {"madvise", "ppd"},
    {"memfd_create", "pp"},
    {"mmap", "ppmMdp"},
    {"mount", "pppp"},
    {"mprotect", "ppm"},
    {"pidfd_getfd", "ddd"},
    {"pidfd_open", "dp"},
    {"prctl", "rpppp"},
    {"prlimit64", "ddpp"},
    {"ptrace", "ddpp"},
    {"process_vm_readv", "dpdpdp"},
    {"process_vm_writev", "dpdpdp"},
    {"seccomp", "dpp"},
    {"setgid", "d"},
    {"setgroups", "dp"},
    {"setns", "dc"},
    {"setsockopt", "dldpd"},
    {"setuid", "d"},
    {"socket", "ftd"},
    {"socketpair", "ftdp"},
    {"tgkill", "ddd"},
    {"tkill", "dd"},
    {"umount2", "pp"},
    {"unshare", "c"},
    {"userfaultfd", "p"},
    {"getpid", ""},
    {"getppid", ""},
    {"vfork", ""},
    {"pause", ""},
    {"setsid", ""},
    {"sync", ""},
    {"chdir", "p"},
    {"open", "ppp"},
    {"openat", "dppp"},
    {"unlink", "p"},
    {"mkdir", "pp"},
    {"uname", "p"},
    {"io_uring_setup", "dp"},
    {"init_module", "ppp"},
    {"personality", "p"},
    {"pivot_root", "pp"},
    {"shmget", "ddp"},
    {"semget", "ddp"},
    {"msgget", "dp"},
    {"symlink", "pp"},
    {"link", "pp"},
    {"mknod", "ppp"},
    {"reboot", "pppp"},
    {"swapon", "pp"},
};

std::string show(char letter, std::uint64_t value) {
  const std::uint64_t low = value & 0xffffffff;  // what the kernel takes of an int
  switch (letter) {
    case 'd':
      return number(value);
    case 'f':
      return word(kFamilies, low);
    case 't':
      return flags(kTypeFlags, low & ~std::uint64_t{0xf}, word(kTypes, low & 0xf));
    case 'l':
      return word(kLevels, low);
    case 'c':
      return flags(kCloneFlags, low);
    case 's': {
      std::string out = flags(kCloneFlags, low & ~std::uint64_t{0xff});
      if ((low & ~std::uint64_t{0xff}) == 0) out = "0";
      return (low & 0xff) == 0 ? out : fmt::format("{}|signal {}", out, low & 0xff);
    }
    case 'm':
      return low == 0 ? "PROT_NONE" : flags(kProtections, low);
    case 'M':
      return flags(kMapFlags, low);
    case 'i':
      return word(kIoctls, low);
    case 'r':
      return word(kPrctls, low);
    case 'n':
      return word(kFcntls, low);
    default:
      return hex(value);
  }
}

const Shape* shapeOf(std::string_view call) {
  const auto* at = std::find_if(std::begin(kShapes), std::end(kShapes),
                                [&](const Shape& s) { return s.call == call; });
  return at == std::end(kShapes) ? nullptr : at;
}

}  // namespace

DecodedCall decodeCall(SeccompArch arch, int number, const std::array<std::uint64_t, 6>& args) {
  DecodedCall out{syscallName(arch, number), ""};
  const Shape* shape = shapeOf(out.name);
  const std::string_view letters = shape == nullptr ? std::string_view("pppppp") : shape->letters;
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < letters.size(); ++i) parts.push_back(show(letters[i], args.at(i)));
  out.arguments = join(parts, ", ");
  return out;
}

std::string valueName(std::string_view call, unsigned arg, std::uint64_t value) {
  const Shape* shape = shapeOf(call);
  if (shape == nullptr || arg >= shape->letters.size()) return hex(value);
  return show(shape->letters[arg], value);
}

}  // namespace orrery
