// The program that is put in place of a service. Started as that service is, it waits for SIGUSR1,
// makes all attempts of the table that it would survive, says "try NAME OUTCOME" for each and
// "tried" at the end, waits for SIGUSR1 again and then floods its supervisor. With arguments it
// does one thing:
//
//   hostile try NAME     one attempt, in this process
//   hostile all COLUMN   all attempts of the table that a process in that column survives; where it
//                        can make children, all of them, each in a child
//   hostile bomb NAME    memory, forks, descriptors, disk, files, cpu, cpu-forks
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/hostile/attempts.h"
#include "tests/hostile/kit.h"

namespace hostile {
namespace {

const char* gOwnPath = "";

Column columnOf(const char* program) {
  const char* slash = std::strrchr(program, '/');
  const std::string_view name = slash != nullptr ? slash + 1 : program;
  if (name == "dnsmasq") return kDnsmasq;
  if (name == "openvpn") return kOpenvpn;
  if (name == "wireguard-go") return kWireguardGo;
  if (name == "tor") return kTor;
  if (name == "busybox") return kUdhcpc;
  if (name == "orrery-tproxy") return kTproxy;
  if (name == "orrery-lease") return kLease;
  return kFree;
}

// Those whose filter lets them make processes.
bool canFork(Column column) {
  return column == kDnsmasq || column == kUdhcpc || column == kLease || column == kFree ||
         column == kNoFilter;
}

// One write, so that lines of several processes do not mix.
void say(const char* verb, const char* name, const char* text) {
  char line[160];
  const int length = std::snprintf(line, sizeof line, "%s %s %s\n", verb, name, text);
  (void)!::write(STDOUT_FILENO, line, static_cast<std::size_t>(length));
}

const char* textOf(Outcome result) {
  if (result == kDone) return "ok";
  const char* name = ::strerrorname_np(result);
  return name != nullptr ? name : "?";
}

const Try* find(std::string_view name) {
  for (const auto tries : {namespaceTries(), processTries(), socketTries(), netlinkTries(),
                           fileTries(), memoryTries(), kernelTries()})
    for (const Try& one : tries)
      if (name == one.name) return &one;
  return nullptr;
}

int tryHere(const char* name) {
  const Try* one = find(name);
  if (one == nullptr) {
    say("try", name, "unknown");
    return 1;
  }
  say("try", name, textOf(one->run()));
  return 0;
}

void tryInChild(const char* name) {
  const pid_t child = ::fork();
  if (child < 0) return say("try", name, "nofork");
  if (child == 0) {
    (void)::alarm(5);  // none may wait for anything
    ::_exit(tryHere(name));
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {  // what it made into a child of ours
  }
  if (!WIFSIGNALED(status)) return;
  char text[32];
  (void)std::snprintf(text, sizeof text, "SIG%s", ::sigabbrev_np(WTERMSIG(status)));
  say("try", name, text);
}

// `deadly`: also those that end the process, where a child can make them.
void tryAll(Column column, bool deadly) {
  for (const Attempt& attempt : kAttempts) {
    const bool ends = resultOf(attempt.expected[column]).substr(0, 3) == "SIG";
    if (ends && !(deadly && canFork(column))) continue;
    if (canFork(column))
      tryInChild(attempt.name);
    else
      (void)tryHere(attempt.name);
    // What one attempt has opened is not to be found by the next.
    if (!canFork(column)) (void)::syscall(SYS_close_range, lastNamedDescriptor() + 1, ~0U, 0);
  }
  say("tried", ".", "");
}

void awaitSignal(const char* ready) {
  sigset_t set;
  (void)::sigemptyset(&set);
  (void)::sigaddset(&set, SIGUSR1);
  (void)::sigprocmask(SIG_BLOCK, &set, nullptr);
  say(ready, ".", "");
  while (::sigwaitinfo(&set, nullptr) < 0) {
  }
}

int bomb(std::string_view name) {
  Outcome result = ENOSYS;
  if (name == "memory") result = bombMemory();
  if (name == "forks") result = bombForks();
  if (name == "descriptors") result = bombDescriptors();
  if (name == "disk") result = bombDisk();
  if (name == "files") result = bombFiles();
  if (name == "cpu") result = bombCpu(1);
  if (name == "cpu-forks") result = bombCpu(4);
  say("bomb", name.data(), textOf(result));
  return 0;
}

int run(int argc, char** argv) {
  setOwnPath(argv[0]);
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "try" && argc > 2) return tryHere(argv[2]);
  if (verb == "bomb" && argc > 2) return bomb(argv[2]);
  if (verb == "all" && argc > 2) {
    tryAll(static_cast<Column>(std::atoi(argv[2])), true);
    return 0;
  }
  const Column column = columnOf(argv[0]);
  if (column == kLease) {  // udhcpc waits for it
    tryAll(column, false);
    return 0;
  }
  awaitSignal("ready");
  tryAll(column, false);
  awaitSignal("done");
  flood();
}

}  // namespace

pid_t somebody() {
  const pid_t parent = ::getppid();
  return parent > 0 ? parent : ::getpid();
}

const char* writableDirectory() {
  static const char* const kDirectories[] = {"/run/dnsmasq", "/var/lib/tor", "/run/udhcpc",
                                             "/writable", "/tmp"};
  for (const char* directory : kDirectories)
    if (::access(directory, W_OK) == 0) return directory;
  return "/tmp";
}

int lastNamedDescriptor() {
  switch (columnOf(gOwnPath)) {
    case kWireguardGo:
      return 4;  // its tun and its control socket
    case kTproxy:
      return 8;  // listeners, control, configuration: runtime/supervisor/tproxy_service.cc
    default:
      return 2;
  }
}

const char* ownPath() {
  return gOwnPath;
}
void setOwnPath(const char* path) {
  gOwnPath = path;
}

Outcome openIt(const char* path, int flags) {
  const int fd = ::open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return errno;
  (void)::close(fd);
  return kDone;
}

}  // namespace hostile

int main(int argc, char** argv) {
  return hostile::run(argc, argv);
}
