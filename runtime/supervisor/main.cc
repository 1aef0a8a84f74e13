// orrery-supervisor NETWORK ROUTER INCARNATION [DEATHS]
//
// Started by routerctl with descriptor 3 as the write end of a pipe: "ok" when the control socket
// listens, else why not. Started by its predecessor's keeper without one, and with the number of
// deaths in a row.
//
// It holds no more capabilities than it needs to make services anew (kNeeded), and gains none. It
// makes no more system calls than configs/seccomp/supervisor.toml allows to it and to what it
// starts; one that is refused is written down for its successor, who tells of it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "runtime/engine/incarnation.h"
#include "runtime/supervisor/refused_call.h"
#include "runtime/supervisor/supervisor.h"
#include "sandbox/base/strings.h"
#include "sandbox/caps/confine.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/own_calls.h"

namespace {

constexpr int kReadyFd = 3;

// Of root's powers, by what needs them:
constexpr const char* kNeeded =
    "sys_admin,"              // namespaces, mounts, the network namespaces' owner
    "net_admin,"              // links, addresses, routes, rules in them
    "net_raw,"                // handed on to udhcpc; segments in a server's name (netns/conntrack)
    "setuid,setgid,setpcap,"  // a service's ids and capability sets
    "mknod,chown,fowner,"     // its devices, directories and files
    "dac_override,"           // directories that are the services' own
    "kill,sys_ptrace";        // services have other users: their end, their seccomp listener

// The run-time of a sanitizer makes calls of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kFiltered = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kFiltered = false;
#else
constexpr bool kFiltered = true;
#endif
#else
constexpr bool kFiltered = true;
#endif

// A successor inherits the filter of its predecessor, which knows that one's addresses and not its
// own (own_calls.h); so it adds one, but not without end: each costs time in every service.
constexpr unsigned kMostFilters = 8;

orrery::Status filterCalls(const orrery::RouterId& router, bool first) {
  if (!kFiltered) return {};
  if (!first && orrery::installedFilters().value_or(kMostFilters) >= kMostFilters) return {};
  ORRERY_TRY_ASSIGN(const auto program, orrery::embeddedProfile("supervisor"));
  const orrery::Status done = orrery::confineToCalls(program, orrery::refusedCallRecord(router));
  // Ignoring a successor's failure: the inherited filter holds, and nobody else would supervise.
  return first ? done : orrery::Status{};
}

orrery::Status confine(const orrery::RouterId& router, bool first) {
  const auto needed = orrery::CapabilitySet::parse(kNeeded);
  if (!needed) return tl::unexpected<orrery::Error>(needed.error());
  ORRERY_TRY(orrery::confineTo(*needed));
  return filterCalls(router, first);
}
constexpr int kFirstArguments = 4;
constexpr int kSuccessorArguments = 5;

// The pipe of routerctl, if there is one: a successor may find something else under that number.
orrery::UniqueFd readyPipe(bool expected) {
  if (!expected || ::fcntl(kReadyFd, F_GETFD) < 0) return {};
  (void)::fcntl(kReadyFd, F_SETFD, FD_CLOEXEC);
  return orrery::UniqueFd(kReadyFd);
}

void say(const orrery::UniqueFd& pipe, const std::string& text) {
  if (pipe) (void)!::write(pipe.get(), text.data(), text.size());
}

// A successor that cannot start (no memory, a full /run) is the last one who would try again.
[[noreturn]] void tryAgain(const orrery::SupervisorOptions& options) {
  const std::string deaths = std::to_string(options.deaths + 1);
  const auto pause = orrery::pauseAfter(options.deaths + 1);
  (void)::poll(nullptr, 0, static_cast<int>(pause.count()));
  const char* program = options.program.c_str();
  (void)::execl(program, program, options.router.network.c_str(), options.router.name.c_str(),
                options.incarnation.c_str(), deaths.c_str(), nullptr);
  ::_exit(1);
}

int run(int argc, char** argv) {
  if (argc != kFirstArguments && argc != kSuccessorArguments) {
    std::fputs(
        "usage: orrery-supervisor NETWORK ROUTER INCARNATION\n"
        "This program is started by routerctl; see routerctl(8).\n",
        stderr);
    return 2;
  }
  const bool first = argc == kFirstArguments;
  orrery::SupervisorOptions options;
  options.router = orrery::RouterId{argv[1], argv[2]};
  options.incarnation = argv[3];
  if (!first) options.deaths = orrery::parseNumber<unsigned>(argv[4]).value_or(0);
  orrery::UniqueFd ready = readyPipe(first);
  (void)::signal(SIGPIPE, SIG_IGN);
  if (const orrery::Status confined = confine(options.router, first); !confined) {
    say(ready, confined.error().message + "\n");
    return 1;
  }
  (void)::signal(SIGHUP, SIG_IGN);  // until it is watched: what it tells of is then read anyhow
  const auto self = orrery::libexecDirectory();
  if (!self) {
    say(ready, self.error().message + "\n");
    return 1;
  }
  options.program = *self + "/orrery-supervisor";
  auto supervisor = orrery::Supervisor::create(options);
  if (!supervisor) {
    const orrery::Error& why = supervisor.error();
    say(ready, why.message + "\n");
    if (!first && why.err != orrery::kSuperseded && why.err != EEXIST) tryAgain(options);
    return 1;
  }
  say(ready, "ok\n");
  ready.reset();
  const orrery::Status done = (*supervisor)->run();
  return done ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception&) {
    return 1;  // the keeper starts a successor
  }
}
