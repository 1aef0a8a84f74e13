// Classic BPF as seccomp runs it, in user space: what would the filter answer to this call?
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>

#include "sandbox/base/result.h"

namespace orrery {

// What the kernel checks when a filter is installed (bpf_check_classic() in net/core/filter.c,
// seccomp_check_filter() in kernel/seccomp.c): length, known instructions, aligned loads inside
// seccomp_data, jumps forward and inside, constant divisors and shifts, scratch memory written
// before it is read, a return at the end.
Status checkProgram(std::span<const sock_filter> program);

// The filter's return value, SECCOMP_RET_* with its data. A program that checkProgram() refuses
// answers SECCOMP_RET_KILL_PROCESS, whatever the call.
std::uint32_t evaluate(std::span<const sock_filter> program, const seccomp_data& data);

// The same for many calls: the program is checked once. Refers to the program, which must outlive
// it.
class CheckedProgram {
 public:
  static Result<CheckedProgram> of(std::span<const sock_filter> program);
  std::uint32_t run(const seccomp_data& data) const;

 private:
  explicit CheckedProgram(std::span<const sock_filter> program) : program_(program) {}
  std::span<const sock_filter> program_;
};

}  // namespace orrery
