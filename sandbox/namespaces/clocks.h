// The clocks that count since the host has been up, as a service is to read them.
//
// CLOCK_MONOTONIC and CLOCK_BOOTTIME are the same for all programs of a host, to the nanosecond: by
// them two services of two network identities know each other. A time namespace moves them
// (time_namespaces(7), Linux 5.6); without offsets it hides nothing. The wall clock cannot be
// moved, nor is the processor's counter (RDTSC), by which the C library reads all of them.
#pragma once

#include <time.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct HostClocks {
  timespec monotonic{};
  timespec boottime{};
};

// What timens_offsets takes so that both clocks read `start` (nanoseconds) where `now` was read.
// `present` is that file's text where `now` was read: offsets count from the initial namespace.
// Errors: `present` is not as the kernel writes it.
Result<std::string> clockOffsets(std::string_view present, const HostClocks& now,
                                 std::uint64_t start);

// The same with the clocks of now, and a start by chance: an hour to a week, as of a host that was
// started within days. `proc`: procfs of the caller's PID namespace. Empty: no time namespaces
// here.
Result<std::string> newClockOffsets(const UniqueFd& proc);

}  // namespace orrery
