// Code from data, and exotic memory.
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include "tests/hostile/kit.h"

namespace hostile {
namespace {

constexpr std::size_t kPage = 4096;

Outcome mapped(void* at) {
  if (at == MAP_FAILED) return errno;
  (void)::munmap(at, kPage);
  return kDone;
}
Outcome anonymous(int protection) {
  return mapped(::mmap(nullptr, kPage, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
Outcome writeExecute() {
  return anonymous(PROT_READ | PROT_WRITE | PROT_EXEC);
}
Outcome executeAnonymous() {
  return anonymous(PROT_READ | PROT_EXEC);
}
Outcome dataToCode() {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return outcome(::mprotect(page, kPage, PROT_READ | PROT_EXEC));
}
Outcome dataToCodeByKey() {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return call(SYS_pkey_mprotect, page, kPage, PROT_READ | PROT_EXEC, -1);
}
Outcome selfWritable() {  // the own program's text, writable and executable
  const int fd = ::open(ownPath(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  return mapped(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, fd, 0));
}
Outcome memfd() {
  return call(SYS_memfd_create, "evil", 0);
}
Outcome memfdExecute() {
  const long fd = ::syscall(SYS_memfd_create, "evil", 0);
  if (fd >= 0) (void)!::write(static_cast<int>(fd), "#!/evil\n", 8);
  char* const none[] = {nullptr};
  const Outcome result = call(SYS_execveat, fd < 0 ? 0 : fd, "", none, none, AT_EMPTY_PATH);
  return result == ENOENT ? kDone : result;
}
Outcome memfdSecret() {
  return call(SYS_memfd_secret, 0);
}
Outcome sharedExecute() {
  const int id = ::shmget(IPC_PRIVATE, kPage, 0600);
  if (id < 0) return errno;
  const void* at = ::shmat(id, nullptr, SHM_EXEC);
  const Outcome result = outcome(at == reinterpret_cast<void*>(-1) ? -1 : 0);
  (void)::shmctl(id, IPC_RMID, nullptr);
  return result;
}
Outcome messageQueue() {
  return outcome(::msgget(IPC_PRIVATE, 0600));
}
Outcome semaphores() {
  return outcome(::semget(IPC_PRIVATE, 1, 0600));
}
Outcome posixQueue() {
  return call(SYS_mq_open, "evil", O_RDWR | O_CREAT, 0600, nullptr);
}
Outcome readImpliesExecute() {
  return outcome(::personality(READ_IMPLIES_EXEC));
}
Outcome noRandomness() {
  return outcome(::personality(ADDR_NO_RANDOMIZE));
}
Outcome remapPages() {
  void* page = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return call(SYS_remap_file_pages, page, kPage, 0, 0UL, 0);
}
Outcome userfault() {
  return call(SYS_userfaultfd, 0);
}
Outcome vmSplice() {
  char byte = 0;
  const iovec part{&byte, 1};
  int ends[2];
  if (::pipe(ends) != 0) return errno;
  return outcome(::vmsplice(ends[1], &part, 1, 0));
}
Outcome lockMemory() {
  return outcome(::mlockall(MCL_FUTURE));
}
Outcome bindMemory() {
  return call(SYS_mbind, nullptr, 0UL, 0, nullptr, 0UL, 0);
}
Outcome movePages() {
  return call(SYS_move_pages, 0, 0UL, nullptr, nullptr, nullptr, 0);
}

constexpr Try kTries[] = {
    {"map-write-execute", writeExecute},
    {"map-execute", executeAnonymous},
    {"data-to-code", dataToCode},
    {"data-to-code-pkey", dataToCodeByKey},
    {"map-self-writable", selfWritable},
    {"memfd", memfd},
    {"memfd-execute", memfdExecute},
    {"memfd_secret", memfdSecret},
    {"shm-execute", sharedExecute},
    {"message-queue", messageQueue},
    {"semaphores", semaphores},
    {"posix-queue", posixQueue},
    {"personality-exec", readImpliesExecute},
    {"personality-aslr", noRandomness},
    {"remap_file_pages", remapPages},
    {"userfaultfd", userfault},
    {"vmsplice", vmSplice},
    {"mlockall", lockMemory},
    {"mbind", bindMemory},
    {"move_pages", movePages},
};

}  // namespace

std::span<const Try> memoryTries() {
  return kTries;
}

}  // namespace hostile
