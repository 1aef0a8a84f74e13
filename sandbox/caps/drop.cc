// Runs between clone and exec: raw system calls only, since libcap allocates and glibc's prctl may
// be wrapped by a sanitizer.
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/caps/capability_set.h"

namespace orrery {
namespace {

constexpr unsigned long kSetuidBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
                                      SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                                      SECBIT_KEEP_CAPS_LOCKED;
constexpr unsigned long kAmbientBits =
    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

int prctlRaw(int option, unsigned long a, unsigned long b = 0) noexcept {
  return ::syscall(SYS_prctl, option, a, b, 0UL, 0UL) < 0 ? errno : 0;
}

int setCapabilities(std::uint64_t permitted, std::uint64_t inheritable) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (unsigned word = 0; word < 2; ++word) {
    data[word].permitted = static_cast<__u32>(permitted >> (32 * word));
    data[word].effective = data[word].permitted;
    data[word].inheritable = static_cast<__u32>(inheritable >> (32 * word));
  }
  return ::syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

}  // namespace

int limitBoundingSet(std::uint64_t bits, int lastCapability) noexcept {
  for (int number = 0; number <= lastCapability; ++number) {
    if ((bits >> number & 1) != 0) continue;
    if (int err = prctlRaw(PR_CAPBSET_DROP, static_cast<unsigned long>(number)); err != 0)
      return err;
  }
  return 0;
}

int keepCapabilitiesOverSetuid() noexcept {
  return prctlRaw(PR_SET_SECUREBITS, kSetuidBits);
}

int becomeExactly(std::uint64_t bits) noexcept {
  // CAP_SETPCAP stays until the last securebit is locked; only the final capset drops it.
  const std::uint64_t setpcap = std::uint64_t{1} << CAP_SETPCAP;
  if (int err = setCapabilities(bits | setpcap, bits); err != 0) return err;
  if (int err = prctlRaw(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL); err != 0) return err;
  for (unsigned long number = 0; number < 64; ++number) {
    if ((bits >> number & 1) == 0) continue;
    if (int err = prctlRaw(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number); err != 0) return err;
  }
  if (int err = prctlRaw(PR_SET_SECUREBITS, kSetuidBits | kAmbientBits); err != 0) return err;
  return setCapabilities(bits, bits);
}

}  // namespace orrery
