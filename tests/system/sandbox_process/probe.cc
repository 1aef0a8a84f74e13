// Says what a sandboxed process is and can do: each argument is a question, each answer one line
// "question=answer" on stdout. What was tried and allowed is "ok", else the errno's name.
//
// Statically linked, C library only.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

extern "C" char** environ;

std::string verdict(long result) {
  return result >= 0 ? "ok" : std::string(strerrorname_np(errno));
}

std::string readText(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return verdict(fd);
  char buffer[8192];
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  std::string text = n < 0 ? verdict(n) : std::string(buffer, static_cast<std::size_t>(n));
  (void)::close(fd);
  for (char& c : text)
    if (c == '\n') c = ';';
  return text;
}

std::string tryOpen(const char* path, int flags) {
  const int fd = ::open(path, flags | O_CLOEXEC, 0600);
  const std::string text = verdict(fd);
  if (fd >= 0) (void)::close(fd);
  return text;
}

// One netlink request with an acknowledgement; its error is errno.
long netlinkRequest(int protocol, void* message, std::size_t size) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -1;
  if (::send(fd, message, size, 0) < 0) return -1;
  alignas(nlmsghdr) char reply[4096];
  const ssize_t n = ::recv(fd, reply, sizeof reply, 0);
  (void)::close(fd);
  if (n < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(nlmsgerr))) return -1;
  nlmsgerr result;
  std::memcpy(&result, reply + sizeof(nlmsghdr), sizeof result);
  errno = -result.error;
  return result.error == 0 ? 0 : -1;
}

std::string setLinkUp() {
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } m{};
  m.header = {sizeof m, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0};
  m.body.ifi_index = 1;
  m.body.ifi_flags = IFF_UP;
  m.body.ifi_change = IFF_UP;
  return verdict(netlinkRequest(NETLINK_ROUTE, &m, sizeof m));
}

std::string addAddress() {
  struct {
    nlmsghdr header;
    ifaddrmsg body;
    rtattr attribute;
    std::uint32_t address;
  } m{};
  m.header = {sizeof m, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0};
  m.body = {AF_INET, 32, 0, 0, 1};
  m.attribute = {sizeof m.attribute + sizeof m.address, IFA_LOCAL};
  m.address = htonl(0xc0000201);  // 192.0.2.1
  return verdict(netlinkRequest(NETLINK_ROUTE, &m, sizeof m));
}

std::string addRoute() {
  struct {
    nlmsghdr header;
    rtmsg body;
    rtattr attribute;
    std::uint32_t interface;
  } m{};
  m.header = {sizeof m, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0};
  m.body.rtm_family = AF_INET;
  m.body.rtm_table = RT_TABLE_MAIN;
  m.body.rtm_type = RTN_UNICAST;
  m.body.rtm_scope = RT_SCOPE_LINK;
  m.attribute = {sizeof m.attribute + sizeof m.interface, RTA_OIF};
  m.interface = 1;
  return verdict(netlinkRequest(NETLINK_ROUTE, &m, sizeof m));
}

std::string addTable() {
  struct Message {
    nlmsghdr header;
    nfgenmsg body;
  };
  struct {
    Message begin;
    Message table;
    nlattr attribute;
    char name[4];
    Message end;
  } m{};
  const auto subsystem = htons(NFNL_SUBSYS_NFTABLES);
  m.begin.header = {sizeof(Message), NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 1, 0};
  m.begin.body = {AF_UNSPEC, NFNETLINK_V0, subsystem};
  m.table.header = {sizeof(Message) + sizeof m.attribute + sizeof m.name,
                    (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE,
                    NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 2, 0};
  m.table.body = {AF_INET, NFNETLINK_V0, 0};
  m.attribute = {sizeof m.attribute + sizeof m.name, NFTA_TABLE_NAME};
  std::memcpy(m.name, "tab", sizeof m.name);
  m.end.header = {sizeof(Message), NFNL_MSG_BATCH_END, NLM_F_REQUEST, 3, 0};
  m.end.body = {AF_UNSPEC, NFNETLINK_V0, subsystem};
  return verdict(netlinkRequest(NETLINK_NETFILTER, &m, sizeof m));
}

std::string openDescriptors() {
  std::string list;
  for (int fd = 0; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) continue;
    if (!list.empty()) list += ',';
    list += std::to_string(fd);
  }
  return list;
}

std::string capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return verdict(-1);
  int bounding = 0;
  int ambient = 0;
  for (int i = 0; i < 64; ++i) {
    bounding += ::prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
    ambient += ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1;
  }
  const auto whole = [](unsigned low, unsigned high) {
    return low | static_cast<unsigned long long>(high) << 32;
  };
  char text[256];
  (void)std::snprintf(text, sizeof text, "p=%llx e=%llx i=%llx bounding=%d ambient=%d",
                      whole(data[0].permitted, data[1].permitted),
                      whole(data[0].effective, data[1].effective),
                      whole(data[0].inheritable, data[1].inheritable), bounding, ambient);
  return text;
}

std::string tryDevices() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return "null " + verdict(null);
  if (::write(null, "x", 1) != 1) return "null write " + verdict(-1);
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  char byte = 1;
  if (zero < 0 || ::read(zero, &byte, 1) != 1 || byte != 0) return "zero " + verdict(-1);
  return "ok";
}

std::string modeOf(const char* path) {
  struct stat st {};
  if (::stat(path, &st) != 0) return verdict(-1);
  char text[96];
  (void)std::snprintf(text, sizeof text, "%o %u:%u", st.st_mode & 07777U, st.st_uid, st.st_gid);
  return text;
}

std::string signalState() {
  int ignored = 0;
  int blocked = 0;
  sigset_t mask;
  (void)::sigprocmask(SIG_SETMASK, nullptr, &mask);
  for (int i = 1; i < SIGRTMAX; ++i) {
    struct sigaction action {};
    if (::sigaction(i, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) ++ignored;
    blocked += ::sigismember(&mask, i) == 1;
  }
  return "ignored=" + std::to_string(ignored) + " blocked=" + std::to_string(blocked);
}

std::string limitOf(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return verdict(-1);
  return std::to_string(limit.rlim_cur) + "/" + std::to_string(limit.rlim_max);
}

std::string variables() {
  std::string text;
  for (char** v = environ; *v != nullptr; ++v) text += std::string(*v) + ";";
  return text;
}

std::string ignoredExec(const char* path) {
  char* const argv[] = {const_cast<char*>(path), nullptr};
  (void)::execve(path, argv, argv + 1);
  return verdict(-1);
}

// Seconds, by what counts since the host has been up.
std::string clocks() {
  timespec monotonic{};
  timespec boottime{};
  struct sysinfo info {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &monotonic);
  (void)::clock_gettime(CLOCK_BOOTTIME, &boottime);
  (void)::sysinfo(&info);
  return std::to_string(monotonic.tv_sec) + " " + std::to_string(boottime.tv_sec) + " " +
         std::to_string(info.uptime);
}

std::string aboutSelf(const std::string& q) {
  if (q == "ids") {
    uid_t u[3];
    gid_t g[3];
    (void)::getresuid(u, u + 1, u + 2);
    (void)::getresgid(g, g + 1, g + 2);
    std::string text;
    for (unsigned id : {u[0], u[1], u[2], g[0], g[1], g[2]}) text += std::to_string(id) + " ";
    return text + "groups=" + std::to_string(::getgroups(0, nullptr));
  }
  if (q == "caps") return capabilities();
  if (q == "nnp") return std::to_string(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  if (q == "securebits") return std::to_string(::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  if (q == "seccomp") return std::to_string(::prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  if (q == "fds") return openDescriptors();
  if (q == "pid") return std::to_string(::getpid()) + " " + std::to_string(::getsid(0));
  if (q == "umask") return std::to_string(::umask(0));
  if (q == "signals") return signalState();
  if (q == "nofile") return limitOf(RLIMIT_NOFILE);
  if (q == "core") return limitOf(RLIMIT_CORE);
  if (q == "fsize") return limitOf(RLIMIT_FSIZE);
  if (q == "nproc") return limitOf(RLIMIT_NPROC);
  if (q == "env") return variables();
  if (q == "clocks") return clocks();
  if (q == "cwd") {
    char path[4096];
    return ::getcwd(path, sizeof path) != nullptr ? path : verdict(-1);
  }
  if (q == "host") {
    utsname names{};
    (void)::uname(&names);
    return names.nodename;
  }
  return "?";
}

std::string attempt(const std::string& q) {
  constexpr unsigned long kRemount = MS_REMOUNT | MS_BIND;
  if (q == "dev") return tryDevices();
  if (q == "link") return setLinkUp();
  if (q == "addr") return addAddress();
  if (q == "route") return addRoute();
  if (q == "nft") return addTable();
  if (q == "packet") return verdict(::socket(AF_PACKET, SOCK_RAW, htons(0x0800)));
  if (q == "raw") return verdict(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  if (q == "mount") return verdict(::mount("none", "/tmp", "tmpfs", 0, nullptr));
  if (q == "bind") return verdict(::mount("/", "/tmp", nullptr, MS_BIND, nullptr));
  if (q == "umount") return verdict(::umount2("/tmp", MNT_DETACH));
  if (q == "remount") return verdict(::mount(nullptr, "/", nullptr, kRemount, nullptr));
  if (q == "setattr") {
    struct mount_attr attr {};
    attr.attr_clr = MOUNT_ATTR_RDONLY;
    return verdict(::mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof attr));
  }
  if (q == "mknod") return verdict(::mknod("/tmp/kmem", S_IFCHR | 0600, ::makedev(1, 2)));
  if (q == "sethostname") return verdict(::sethostname("evil", 4));
  if (q == "unshare-user") return verdict(::unshare(CLONE_NEWUSER));
  if (q == "chroot") return verdict(::chroot("/tmp"));
  if (q == "setgroups") return verdict(::syscall(SYS_setgroups, 0, nullptr));
  if (q == "setuid0") return verdict(::syscall(SYS_setresuid, 0, 0, 0));
  if (q == "nofile+") {
    rlimit limit{1 << 20, 1 << 20};
    return verdict(::setrlimit(RLIMIT_NOFILE, &limit));
  }
  if (q == "ambient")
    return verdict(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0));
  if (q == "getcwd-syscall") return verdict(::syscall(SYS_getcwd, nullptr, 0));
  if (q == "port53") {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    return verdict(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  }
  return "?";
}

// CPU time of ours, however long that takes.
std::string burn(int milliseconds) {
  const auto used = [] {
    timespec at{};
    (void)::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1'000'000;
  };
  const auto begin = used();
  while (used() - begin < milliseconds) {
  }
  return "burnt";
}

std::string answer(const std::string& q) {
  const std::size_t colon = q.find(':');
  const std::string verb = q.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : q.substr(colon + 1);
  if (verb == "read") return readText(rest.c_str());
  if (verb == "open-write") return tryOpen(rest.c_str(), O_WRONLY);
  if (verb == "create") return tryOpen(rest.c_str(), O_WRONLY | O_CREAT);
  if (verb == "exec") return ignoredExec(rest.c_str());
  if (verb == "mode") return modeOf(rest.c_str());
  if (verb == "link-to" || verb == "ns") {
    char target[4096];
    const std::string path = verb == "ns" ? "/proc/self/ns/" + rest : rest;
    const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    return n < 0 ? verdict(n) : std::string(target, static_cast<std::size_t>(n));
  }
  if (verb == "exit") ::_exit(std::atoi(rest.c_str()));
  if (verb == "pause")
    for (;;) ::pause();
  if (verb == "eat") {  // until the memory limit ends us
    for (;;) std::memset(std::malloc(1 << 20), 1, 1 << 20);
  }
  if (verb == "burn") return burn(std::atoi(rest.c_str()));
  const std::string self = aboutSelf(q);
  return self != "?" ? self : attempt(q);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string line = std::string(argv[i]) + "=" + answer(argv[i]) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) return 1;
  }
  return 0;
}
