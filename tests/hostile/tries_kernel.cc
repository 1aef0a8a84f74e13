// The kernel's attacked interfaces, the machine's administration, other gates into the kernel.
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sys/acct.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

Outcome bpfMap() {
  bpf_attr attr{};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = 4;
  attr.value_size = 4;
  attr.max_entries = 1;
  return call(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}
Outcome bpfProgram() {
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                           {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  static const char kLicence[] = "GPL";
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = reinterpret_cast<std::uint64_t>(code);
  attr.insn_cnt = 2;
  attr.license = reinterpret_cast<std::uint64_t>(kLicence);
  return call(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}
Outcome perf() {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.size = sizeof attr;
  attr.config = PERF_COUNT_SW_CPU_CLOCK;
  return call(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}
Outcome keyringJoin() {
  return call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "evil");
}
Outcome keyringSearch() {
  const Outcome result =
      call(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "hostile", 0);
  return result == ENOKEY ? kDone : result;
}
Outcome addKey() {
  return call(SYS_add_key, "user", "hostile", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}
Outcome requestKey() {
  const Outcome result = call(SYS_request_key, "user", "nobody-has-it", nullptr, 0);
  return result == ENOKEY ? kDone : result;
}
Outcome ringSetup() {
  std::uint32_t parameters[30]{};
  return call(SYS_io_uring_setup, 1, parameters);
}
Outcome ringEnter() {
  const Outcome result = call(SYS_io_uring_enter, 0, 0, 0, 0, nullptr, 0);
  return result == EOPNOTSUPP ? kDone : result;  // looked at descriptor 0, which is no ring
}
Outcome ringRegister() {
  const Outcome result = call(SYS_io_uring_register, 0, 0, nullptr, 0);
  return result == EOPNOTSUPP || result == EINVAL ? kDone : result;
}
Outcome aioSetup() {
  std::uint64_t context = 0;
  return call(SYS_io_setup, 1, &context);
}
// Those of the machine: asked with arguments that would change nothing, which are looked at only
// after the right to ask.
Outcome kexec() {
  return call(SYS_kexec_load, 0UL, 0UL, nullptr, 0UL);
}
Outcome kexecFile() {
  return call(SYS_kexec_file_load, -1, -1, 0UL, nullptr, 0UL);
}
Outcome initModule() {
  const Outcome result = call(SYS_init_module, "not a module", 12UL, "");
  return result == ENOEXEC ? kDone : result;
}
Outcome finitModule() {
  const Outcome result = call(SYS_finit_module, -1, "", 0);
  return result == EBADF ? kDone : result;
}
Outcome deleteModule() {
  const Outcome result = call(SYS_delete_module, "no-such-module", 0);
  return result == ENOENT ? kDone : result;
}
Outcome swapOn() {
  const Outcome result = outcome(::swapon("/no/such/file", 0));
  return result == ENOENT ? kDone : result;
}
Outcome swapOff() {
  const Outcome result = outcome(::swapoff("/no/such/file"));
  return result == ENOENT ? kDone : result;
}
Outcome rebootMachine() {
  const Outcome result = call(SYS_reboot, 0, 0, 0, nullptr);
  return result == EINVAL ? kDone : result;
}
Outcome setTime() {
  return call(SYS_settimeofday, nullptr, nullptr);
}
Outcome setClock() {
  const timespec never{-1, -1};
  const Outcome result = call(SYS_clock_settime, CLOCK_REALTIME, &never);
  return result == EINVAL ? kDone : result;
}
Outcome adjustTime() {
  timex nothing{};
  return outcome(::adjtimex(&nothing));
}
Outcome account() {
  return outcome(::acct(nullptr));
}
Outcome kernelLog() {
  char text[64];
  return outcome(::klogctl(3, text, sizeof text));
}
Outcome ioPorts() {
  return outcome(::ioperm(0x80, 1, 1));
}
Outcome ioLevel() {
  return outcome(::iopl(3));
}
Outcome modifyLdt() {
  user_desc entry{};
  entry.entry_number = 0;
  entry.seg_32bit = 1;
  return call(SYS_modify_ldt, 1, &entry, sizeof entry);
}
Outcome hangUp() {
  return outcome(::vhangup());
}
Outcome landlock() {
  return call(SYS_landlock_create_ruleset, nullptr, 0UL, 1);
}
Outcome lookupCookie() {
  return call(SYS_lookup_dcookie, 0UL, nullptr, 0UL);
}

// getpid by the 32-bit gate: number 20 there, writev here.
Outcome thirtyTwoBit() {
#if defined(__x86_64__)
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  if (result >= 0) return kDone;
  return static_cast<Outcome>(-result);
#else
  return ENOSYS;
#endif
}
Outcome x32() {
  constexpr long kX32Bit = 0x40000000;
  return call(kX32Bit | 39);
}
// A call that is not there yet must not be let through once it is.
Outcome future() {
  return call(1000);
}
Outcome mapShadowStack() {
  return call(453, 0UL, 4096UL, 0);
}
Outcome timerFlood() {
  return call(SYS_timer_create, 0, nullptr, nullptr) == EFAULT ? kDone : errno;
}

constexpr Try kTries[] = {
    {"bpf-map", bpfMap},
    {"bpf-program", bpfProgram},
    {"perf", perf},
    {"keyring-join", keyringJoin},
    {"keyring-search", keyringSearch},
    {"add_key", addKey},
    {"request_key", requestKey},
    {"io_uring_setup", ringSetup},
    {"io_uring_enter", ringEnter},
    {"io_uring_register", ringRegister},
    {"io_setup", aioSetup},
    {"kexec", kexec},
    {"kexec-file", kexecFile},
    {"init_module", initModule},
    {"finit_module", finitModule},
    {"delete_module", deleteModule},
    {"swapon", swapOn},
    {"swapoff", swapOff},
    {"reboot", rebootMachine},
    {"settimeofday", setTime},
    {"clock_settime", setClock},
    {"adjtimex", adjustTime},
    {"acct", account},
    {"kernel-log", kernelLog},
    {"ioperm", ioPorts},
    {"iopl", ioLevel},
    {"modify_ldt", modifyLdt},
    {"vhangup", hangUp},
    {"landlock", landlock},
    {"lookup_dcookie", lookupCookie},
    {"32-bit", thirtyTwoBit},
    {"x32", x32},
    {"future-call", future},
    {"map_shadow_stack", mapShadowStack},
    {"timer_create", timerFlood},
};

}  // namespace

std::span<const Try> kernelTries() {
  return kTries;
}

}  // namespace hostile
