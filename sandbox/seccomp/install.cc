#include "sandbox/seccomp/install.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace orrery {

int installSeccomp(std::span<const sock_filter> program, unsigned flags) noexcept {
  sock_fprog prog{};
  prog.len = static_cast<unsigned short>(program.size());
  if (program.size() != prog.len) return -EINVAL;
  prog.filter = const_cast<sock_filter*>(program.data());  // the kernel only reads it
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  const long done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
  return done < 0 ? -errno : static_cast<int>(done);
}

bool seccompCanListen() noexcept {
  // Flags are checked before the program is fetched: EINVAL for an unknown one, else EFAULT.
  const unsigned flags = kSeccompNewListener | kSeccompWaitKillableReceive;
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr) != 0 && errno == EFAULT;
}

}  // namespace orrery
