// routerctl: reads the environment, looks at the terminal, and hands over to the commands.
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "runtime/routerctl/cli.h"
#include "runtime/routerctl/commands.h"
#include "sandbox/base/strings.h"

extern char** environ;

namespace orrery {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

ConsoleMode detectMode() {
  ConsoleMode mode;
  const bool dumb = variable("TERM") == "dumb" || variable("TERM").empty();
  mode.colour = ::isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").empty() && !dumb;
  mode.terminal = ::isatty(STDERR_FILENO) == 1 && !dumb;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) mode.width = size.ws_col;
  return mode;
}

// sudo says who called; without it the real ids do. Only root may believe the environment: it could
// not gain anything by a lie.
Caller detectCaller() {
  Caller caller{::getuid(), ::getgid()};
  if (caller.uid != 0) return caller;
  const auto uid = parseNumber<uid_t>(variable("SUDO_UID"));
  const auto gid = parseNumber<gid_t>(variable("SUDO_GID"));
  if (uid && gid) caller = {*uid, *gid};
  return caller;
}

std::optional<std::string> detectHistoryFile() {
  if (const auto state = variable("XDG_STATE_HOME"); state.substr(0, 1) == "/")
    return std::string(state) + "/orrery_history";
  return std::nullopt;
}

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // `routerctl list | head` ends by a failed write, not by a signal
  Console console(stdout, stderr, detectMode());
  EngineOperations operations;
  CommandContext context{.console = console, .operations = operations, .caller = detectCaller()};
  context.privileged = ::geteuid() == 0;
  for (char** entry = environ; *entry != nullptr; ++entry) context.environment.push_back(*entry);
  context.historyFile = detectHistoryFile();
  return runCli(allCommands(), std::vector<std::string>(argv + 1, argv + argc), context);
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  try {
    return orrery::run(argc, argv);
  } catch (const std::exception& e) {  // out of memory, or a defect of a library
    std::fprintf(stderr, "routerctl: %s\n", e.what());
    return 1;
  }
}
