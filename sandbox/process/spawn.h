// Starts a service in its sandbox (sandbox_spec.h says which parts it has and who owns them).
//
// Theory of operation. Whatever can be done before clone(2) is done by the parent, where errors are
// values: checks, strings, the root's tmpfs with its directories, files and device nodes, and every
// bind as a detached mount with its final attributes (namespaces/root.h). The child, whose code is
// child.cc and whose whole input is the plain data of ChildPlan, only makes raw system calls:
//
//   child                                             parent
//   setns(netns) · root, pivot_root, mounts, proc     cgroup.procs (v1; on v2 CLONE_INTO_CGROUP)
//   chdir · hostname · umask · rlimits · setsid   <──  "go on"
//   new cgroup ns · no groups · new user ns            (a user ns in which no more are made)
//   new time ns, its clocks set                   ──>  uid_map, setgroups deny, gid_map
//   ids · securebits · capabilities · keyring     <──  "go on"
//   no_new_privs · PDEATHSIG · Landlock · fds     ──>  is alive, hence PDEATHSIG is armed in time
//   seccomp · execve                              <──  "go on" (and takes the listener, if asked)
//
// One socket pair carries this. It is CLOEXEC in the child: end of file without a report means that
// exec succeeded. PDEATHSIG comes after every change of credentials, since each one clears it.
//
// Privileges: root (CAP_SYS_ADMIN, SETUID, SETGID, SETPCAP, MKNOD, SYS_PTRACE for the listener) in
// the caller's user namespace, procfs at /proc. Linux 5.12 (mount_setattr).
//
// The service is pid 1 of its pid namespace: a signal that it has no handler for is ignored, except
// SIGKILL and SIGSTOP (pid_namespaces(7)).
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <span>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/process/process.h"
#include "sandbox/process/sandbox_spec.h"

namespace orrery {

struct SpawnRequest {
  const SandboxSpec& spec;
  const NetnsFd* netns = nullptr;  // none: a new, empty one
  // Installed last, so it must allow execve, and read, write and close for the hand-over before it
  // (and exit_group for its failure). Empty: no filter (tests).
  std::span<const sock_filter> filter{};
  bool wantSeccompListener = false;
  FdMap fds{};  // 0, 1 and 2 are /dev/null unless given; all others are closed
  const CgroupTree* cgroups = nullptr;  // needed where spec.cgroup is not empty
  // Also restrict file access by Landlock to what the root's mounts are for; without effect where
  // the kernel has no Landlock.
  bool landlock = false;
};

struct SandboxedChild {
  pid_t pid = -1;  // as the caller's pid namespace numbers it
  PidFd pidfd;
  UniqueFd seccompListener;  // seccomp_unotify(2); set if asked for
};

// Blocks until the program runs or has failed to start (2 ms as a rule). PDEATHSIG is bound to the
// calling *thread*: it must live as long as the service shall. Errors read "start 'tor': mount
// '/usr/lib' at '/usr/lib': No such file or directory"; nothing is left behind by a failure.
Result<SandboxedChild> spawnSandboxed(const SpawnRequest& request);

}  // namespace orrery
