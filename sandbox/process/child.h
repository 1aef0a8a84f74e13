// The child's side of spawn.h: plain data in, raw system calls out.
//
// Runs in a copy of a possibly multi-threaded process, so nothing here may allocate, lock, throw or
// touch state of the C library other than errno.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>

namespace orrery {

enum class ChildStep : std::uint32_t {
  netns,
  privateMounts,
  attachRoot,
  pivotRoot,
  attachMount,  // index: the mount
  mountProc,
  detachOldRoot,
  workingDirectory,
  hostname,
  rlimit,  // index: the limit
  session,
  oomScore,
  cgroup,  // index: the tree
  cgroupNamespace,
  timeNamespace,
  groups,
  userNamespace,
  noUserNamespaces,
  boundingSet,
  securebits,
  gid,
  uid,
  capabilities,
  keyring,
  dumpable,
  noNewPrivileges,
  deathSignal,
  landlock,
  descriptor,  // index: the move
  closeRest,
  signals,
  coreCookie,
  seccomp,
  exec,
  // Not failures but requests to the parent, which answers each with one byte.
  wantsMaps,
  armed,          // credentials are final, PDEATHSIG is set
  listenerReady,  // index: its number in the child
};

struct ChildReport {
  ChildStep step = ChildStep::exec;
  std::int32_t err = 0;
  std::uint32_t index = 0;
};

struct ChildMount {
  int fd = -1;  // -1: procfs
  const char* target = nullptr;
};
struct ChildLimit {
  int resource = 0;
  std::uint64_t value = 0;  // soft and hard
};
struct ChildFd {
  int from = -1;
  int to = -1;
};
struct ChildRange {
  unsigned first = 0;
  unsigned last = 0;
};

template <class T>
struct PlainSpan {  // std::span whose indexing is never checked, whatever the build
  const T* data = nullptr;
  std::size_t size = 0;
};

struct ChildPlan {
  int sync = -1;
  int proc = -1;   // O_PATH, the caller's procfs
  int netns = -1;  // -1: the clone made a new one
  int root = -1;
  PlainSpan<ChildMount> mounts{};
  const char* workingDirectory = nullptr;
  const char* hostname = nullptr;
  std::size_t hostnameSize = 0;
  PlainSpan<ChildLimit> limits{};
  PlainSpan<int> cgroupTasks{};  // v1: where it enters its groups itself
  bool waitForCgroup = false;    // else: until the parent has moved it
  bool newUserNamespace = false;
  std::uint32_t owner = 0;       // of the user namespace: the service's id in ours
  const char* clocks = nullptr;  // what timens_offsets takes; size 0: no time namespace
  std::size_t clocksSize = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t capabilities = 0;
  int lastCapability = 0;
  bool dieWithParent = false;
  int landlock = -1;
  PlainSpan<ChildRange> closedFirst{};  // all that the plan does not name
  PlainSpan<ChildFd> fds{};
  PlainSpan<ChildRange> closedLast{};  // all that the service does not get, but `sync`
  sock_fprog filter{};                 // len 0: none
  bool listener = false;
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* environment = nullptr;
};

[[noreturn]] void runChild(const ChildPlan& plan) noexcept;

}  // namespace orrery
