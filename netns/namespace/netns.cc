#include "netns/namespace/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "netns/namespace/names.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr const char* kOwnNetns = "/proc/thread-self/ns/net";

// Runs `start(context)` on a thread of its own and waits for its end.
Status onFreshThread(void* (*start)(void*), void* context) {
  pthread_t thread{};
  if (const int err = ::pthread_create(&thread, nullptr, start, context); err != 0)
    return sysError(err, "start a thread for a network namespace");
  if (const int err = ::pthread_join(thread, nullptr); err != 0)
    return sysError(err, "wait for the thread in a network namespace");
  return {};
}

Status checkIsNetns(int fd, const std::string& path) {
  struct statfs fs {};
  if (::fstatfs(fd, &fs) != 0) return sysError(errno, "look at '{}'", path);
  if (fs.f_type != NSFS_MAGIC || ::ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
    return sysError(EINVAL, "'{}' is not a network namespace", path);
  return {};
}

Result<NetnsFd> openPath(const std::string& path) {
  // O_NONBLOCK: a plain FIFO put there must not stop us.
  ORRERY_TRY_ASSIGN(UniqueFd fd, openFile(path, O_RDONLY | O_NONBLOCK));
  ORRERY_TRY(checkIsNetns(fd.get(), path));
  return NetnsFd(std::move(fd));
}

struct Visit {
  int netns = -1;
  void (*function)(void*) = nullptr;
  void* context = nullptr;
  int err = 0;
};

void* visit(void* argument) {
  auto* v = static_cast<Visit*>(argument);
  if (::setns(v->netns, CLONE_NEWNET) != 0) {
    v->err = errno;
    return nullptr;
  }
  v->function(v->context);
  return nullptr;
}

struct Birth {
  Result<NetnsFd> netns;
};

void* giveBirth(void* argument) {
  auto* birth = static_cast<Birth*>(argument);
  if (::unshare(CLONE_NEWNET) != 0) {
    birth->netns = sysError(errno, "make a network namespace");
    return nullptr;
  }
  birth->netns = openPath(kOwnNetns);
  return nullptr;
}

}  // namespace

Result<NetnsFd> createNetns() {
  Birth birth;
  ORRERY_TRY(onFreshThread(giveBirth, &birth));
  return std::move(birth.netns);
}

Result<NetnsFd> openNetns(const std::string& name) {
  if (name.empty()) return openPath(kOwnNetns);
  ORRERY_TRY_ASSIGN(const std::string path, netnsPath(name));
  return openPath(path);
}

Result<NetnsFd> openNetnsOfPid(pid_t pid) {
  if (pid <= 0) return sysError(EINVAL, "open the network namespace of process {}", pid);
  return openPath(fmt::format("/proc/{}/ns/net", pid));
}

Result<std::uint64_t> netnsInode(const NetnsFd& netns) {
  struct stat st {};
  if (::fstat(netns.get(), &st) != 0) return sysError(errno, "look at a network namespace");
  return std::uint64_t{st.st_ino};
}

Result<NetnsFd> duplicate(const NetnsFd& netns) {
  NetnsFd copy(::fcntl(netns.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return sysError(errno, "duplicate the descriptor of a network namespace");
  return copy;
}

Status runInNetns(const NetnsFd& netns, void (*function)(void*), void* context) {
  Visit v{netns.get(), function, context};
  ORRERY_TRY(onFreshThread(visit, &v));
  if (v.err != 0) return sysError(v.err, "enter a network namespace");
  return {};
}

Result<UniqueFd> socketIn(const NetnsFd& netns, int domain, int type, int protocol) {
  return inNetns(netns, [&]() -> Result<UniqueFd> {
    UniqueFd s(::socket(domain, type | SOCK_CLOEXEC, protocol));
    if (!s) return sysError(errno, "open socket ({}, {}, {})", domain, type, protocol);
    return s;
  });
}

}  // namespace orrery
