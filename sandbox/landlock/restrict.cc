// Runs between clone and exec: a file of its own, so that a test can see what it calls.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/landlock/landlock.h"

namespace orrery {

int restrictSelf(int ruleset) noexcept {
  return ::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0 ? errno : 0;
}

}  // namespace orrery
