// Answering system calls that a filter handed to user space: seccomp_unotify(2), Linux 5.0.
//
// The listener's side. The caller waits for its descriptor to become readable (poll, libevent),
// receives one notification, decides from the call's number and its *register* arguments, and
// answers. SECCOMP_USER_NOTIF_FLAG_CONTINUE is no answer to a call that was looked at: between our
// look at the process and the kernel's, a second thread can change every byte that a pointer
// argument points to. To permit a call, do it on the caller's behalf and answer its return value.
// letGo() is for the learning mode alone, which lets calls pass *without* a look at anything but
// their number.
//
// Needs no privilege but for readMemory(), which needs what ptrace(2) asks for. When the listener
// is closed, pending and later calls answer ENOSYS.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"
#include "sandbox/seccomp/decode.h"

namespace orrery {

struct SeccompNotification {
  std::uint64_t id = 0;    // the kernel's cookie of the pending call
  pid_t pid = 0;           // thread id in the listener's pid namespace; 0: not visible from there
  std::uint32_t arch = 0;  // AUDIT_ARCH_*
  int number = 0;
  std::array<std::uint64_t, 6> args{};
};

class SeccompListener {
 public:
  // Takes over the descriptor; asks the kernel for its structure sizes (SECCOMP_GET_NOTIF_SIZES)
  // and refuses a kernel whose structures are larger than ours.
  static Result<SeccompListener> open(UniqueFd listener);

  int fd() const { return fd_.get(); }

  enum class Ready { call, nothing, nobody };
  // Whether receive() would have something, without blocking. nobody: all processes under the
  // filter have ended; the descriptor stays readable then, so stop watching it.
  Ready ready() const;

  // Blocks if nothing is pending. Nothing: the caller was killed or interrupted meanwhile.
  Result<std::optional<SeccompNotification>> receive() const;

  // Whether the call is still pending, so that its pid still is the caller's. Ask after every look
  // at the process by pid.
  bool isPending(std::uint64_t id) const;

  // The call fails with `err` (1..4095) or returns `value`. False: the caller is gone.
  Result<bool> answerError(std::uint64_t id, int err) const;
  Result<bool> answerValue(std::uint64_t id, std::int64_t value) const;

  // The kernel carries the call out as if the filter had allowed it. See above.
  Result<bool> letGo(std::uint64_t id) const;

  // Copies `out.size()` bytes (at most 4096) at `address` of the calling process, and makes sure
  // that it was the caller whom they were read from. The bytes can change afterwards: decide from
  // the copy and act on the copy.
  Status readMemory(const SeccompNotification& call, std::uint64_t address,
                    std::span<std::byte> out) const;

 private:
  explicit SeccompListener(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<bool> answer(std::uint64_t id, std::int64_t value, int err, unsigned flags = 0) const;
  UniqueFd fd_;
};

// For events: "ioctl(7, SIOCSIFMTU, 0xc000123)" (decode.h).
DecodedCall decode(const SeccompNotification& call);
std::string toText(const SeccompNotification& call);
// What a program is asked about it.
seccomp_data dataOf(const SeccompNotification& call);

}  // namespace orrery
