#include "sandbox/caps/confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace orrery {

Status confineTo(const CapabilitySet& kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return sysError(errno, "read capabilities");
  if (const int err = limitBoundingSet(kept.bits(), lastCapability()); err != 0)
    return sysError(err, "limit the capability bounding set");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return sysError(errno, "clear ambient capabilities");
  for (unsigned word = 0; word < 2; ++word) {
    data[word].permitted &= static_cast<__u32>(kept.bits() >> (32 * word));
    data[word].effective = data[word].permitted;
    data[word].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, data) != 0)
    return sysError(errno, "reduce capabilities to {}", toText(kept));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return sysError(errno, "forbid new privileges");
  return {};
}

}  // namespace orrery
