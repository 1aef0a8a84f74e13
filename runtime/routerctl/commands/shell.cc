// shell NAME: the inspection shell.
#include "runtime/shell/shell.h"

#include <unistd.h>

#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/target.h"

namespace orrery {
namespace {

class ShellCommand final : public Command {
 public:
  std::string_view name() const override { return "shell"; }
  std::string_view summary() const override { return "Inspect a router interactively"; }
  std::string_view details() const override {
    return "Reads commands from a terminal with history and completion, or from a pipe:\n"
           "  echo links | routerctl shell galaxy0";
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
  }
  CommandResult run(CommandContext& context) override {
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    ShellOptions options;
    options.interactive = ::isatty(STDIN_FILENO) == 1;
    options.historyFile = context.historyFile;
    // Taken anew for each command: the router lives on while one types.
    const auto target = [root = context.root, id] { return inspectTarget(root, id); };
    ORRERY_TRY_ASSIGN(const bool allWell, runShell(context.console, id, target, options));
    return static_cast<int>(allWell ? ExitCode::ok : ExitCode::failed);
  }

 private:
  std::string name_;
};

}  // namespace

std::unique_ptr<Command> makeShellCommand() {
  return std::make_unique<ShellCommand>();
}

}  // namespace orrery
