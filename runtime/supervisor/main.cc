// orrery-supervisor NETWORK ROUTER [DEATHS]
//
// Started by routerctl with descriptor 3 as the write end of a pipe: "ok" when the control socket
// listens, else why not. Started by its predecessor's keeper without one.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "runtime/supervisor/supervisor.h"
#include "sandbox/base/strings.h"

namespace {

constexpr int kReadyFd = 3;

// The pipe of routerctl, if there is one: a successor may find something else under that number.
orrery::UniqueFd readyPipe(bool expected) {
  if (!expected || ::fcntl(kReadyFd, F_GETFD) < 0) return {};
  (void)::fcntl(kReadyFd, F_SETFD, FD_CLOEXEC);
  return orrery::UniqueFd(kReadyFd);
}

void say(const orrery::UniqueFd& pipe, const std::string& text) {
  if (pipe) (void)!::write(pipe.get(), text.data(), text.size());
}

int run(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fputs("usage: orrery-supervisor NETWORK ROUTER\n"
               "This program is started by routerctl; see routerctl(8).\n", stderr);
    return 2;
  }
  orrery::SupervisorOptions options;
  options.router = orrery::RouterId{argv[1], argv[2]};
  if (argc == 4) options.deaths = orrery::parseNumber<unsigned>(argv[3]).value_or(0);
  orrery::UniqueFd ready = readyPipe(argc == 3);
  (void)::signal(SIGPIPE, SIG_IGN);
  const auto self = orrery::libexecDirectory();
  if (!self) {
    say(ready, self.error().message + "\n");
    return 1;
  }
  options.program = *self + "/orrery-supervisor";
  auto supervisor = orrery::Supervisor::create(options);
  if (!supervisor) {
    say(ready, supervisor.error().message + "\n");
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
