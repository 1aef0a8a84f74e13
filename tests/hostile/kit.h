// What the attempts of the hostile program share. The program is static and uses little of the C
// library, since it runs in roots that hold nothing, behind filters that allow little.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <span>

namespace hostile {

// What an attempt came to: 0 if it got what it wanted, else the errno of the refusal. Being killed
// is told by whoever waits for the process.
using Outcome = int;
inline constexpr Outcome kDone = 0;

struct Try {
  const char* name;
  Outcome (*run)();
};

inline Outcome outcome(long result) {
  return result < 0 ? errno : kDone;
}
template <class... A>
Outcome call(long number, A... arguments) {
  return outcome(::syscall(number, arguments...));
}

// Somebody else's process, as far as there is one to be seen: our parent, else ourselves.
pid_t somebody();
// A directory in which this process can make files; "/tmp" if it cannot anywhere.
const char* writableDirectory();
// The descriptors that this kind of service is given: 0 to that number.
int lastNamedDescriptor();
// The path of this program, as it was started.
const char* ownPath();
void setOwnPath(const char* path);

Outcome openIt(const char* path, int flags);

std::span<const Try> namespaceTries();
std::span<const Try> processTries();
std::span<const Try> socketTries();
std::span<const Try> netlinkTries();
std::span<const Try> fileTries();
std::span<const Try> memoryTries();
std::span<const Try> kernelTries();

// What it does when all attempts are made, until it is ended: a flood of what its supervisor reads.
[[noreturn]] void flood();

// --- ends of the process that are wanted ---------------------------------------------------------
Outcome bombMemory();
Outcome bombForks();
Outcome bombDescriptors();
Outcome bombDisk();
Outcome bombFiles();
Outcome bombCpu(int processes);

}  // namespace hostile
