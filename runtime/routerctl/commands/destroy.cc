// destroy NAME…|--all: takes routers down and removes everything of theirs from the host.
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

class DestroyCommand final : public Command {
 public:
  std::string_view name() const override { return "destroy"; }
  std::string_view summary() const override { return "Take routers down and remove all of theirs"; }
  void declare(CommandLine& line) override {
    line.words("NAME", names_, Completes::routers, "Routers", false);
    line.flag("--all", all_, "Every router of this host");
    line.flag("-f,--force", force_, "Also routers that others use as uplink");
    line.flag("--keep-state", keepState_, "Leave what survives reboots: tor's guards");
  }

  CommandResult run(CommandContext& context) override {
    if (all_ == !names_.empty())
      return failure(ExitCode::usage,
                     all_ ? "NAME and --all exclude each other" : "a NAME is expected, or --all");
    std::vector<RouterId> routers;
    if (all_) {
      ORRERY_TRY_ASSIGN(routers, begunRouters(context.root));
    }
    for (const std::string& name : names_) {
      ORRERY_TRY_ASSIGN(RouterId id, findRouter(context.root, name));
      routers.push_back(std::move(id));
    }
    DestroyOptions options;
    options.force = force_ || all_;
    options.keepState = keepState_;
    EngineProgress progress(context.console);
    auto report = context.operations.destroy(routers, options, progress);
    progress.finish();
    if (!report) return tl::unexpected<Failure>(std::move(report).error());
    return printDestroyed(context.console, *report);
  }

 private:
  std::vector<std::string> names_;
  bool all_ = false;
  bool force_ = false;
  bool keepState_ = false;
};

}  // namespace

std::unique_ptr<Command> makeDestroyCommand() {
  return std::make_unique<DestroyCommand>();
}

}  // namespace orrery
