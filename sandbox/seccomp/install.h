// Putting a ready filter on the calling thread, between clone and exec.
#pragma once

#include <linux/filter.h>

#include <span>

namespace orrery {

inline constexpr unsigned kSeccompLog = 1U << 1;                  // Linux 4.14
inline constexpr unsigned kSeccompNewListener = 1U << 3;          // Linux 5.0
inline constexpr unsigned kSeccompWaitKillableReceive = 1U << 5;  // Linux 5.19

// Sets no_new_privs and installs the program for this thread and what it execs. Async-signal-safe.
// Returns -errno on failure; with kSeccompNewListener the listener's descriptor (CLOEXEC), else 0.
// With kSeccompLog the kernel logs each refusal.
// A program with `notify` that is installed without a listener answers ENOSYS to those calls.
// Go programs are interrupted by signals all the time (preemption): for them add
// kSeccompWaitKillableReceive, or a notified call is restarted and notified again.
int installSeccomp(std::span<const sock_filter> program, unsigned flags = 0) noexcept;

// Whether the kernel has both flags, so that a filter can be installed with a listener.
bool seccompCanListen() noexcept;

}  // namespace orrery
