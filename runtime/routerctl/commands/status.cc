// status NAME: what one router is doing, rung by rung.
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

class StatusCommand final : public Command {
 public:
  std::string_view name() const override { return "status"; }
  std::string_view summary() const override {
    return "Show what a router is doing, check by check";
  }
  std::string_view details() const override {
    return "Exit code 0 if it is ready, 5 if no supervisor runs, else 1.";
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
  }
  CommandResult run(CommandContext& context) override {
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    const RouterView view = viewRouter(context.root, id);
    printStatus(context.console, view, Timestamp::now().monotonicMs);
    if (!view.running) return static_cast<int>(ExitCode::notRunning);
    const bool ready = view.state && view.state->phase == RouterPhase::ready;
    return static_cast<int>(ready ? ExitCode::ok : ExitCode::failed);
  }

 private:
  std::string name_;
};

}  // namespace

std::unique_ptr<Command> makeStatusCommand() {
  return std::make_unique<StatusCommand>();
}

}  // namespace orrery
