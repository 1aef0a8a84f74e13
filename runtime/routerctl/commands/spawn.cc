// spawn FILE…|NAME…: brings routers up and waits until they are ready.
#include "runtime/console/progress.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/definitions.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

class SpawnCommand final : public Command {
 public:
  std::string_view name() const override { return "spawn"; }
  std::string_view summary() const override { return "Bring routers up, and wait until ready"; }
  std::string_view details() const override {
    return "Examples:\n"
           "  routerctl spawn ./network0/            every definition of a directory\n"
           "  routerctl spawn galaxies.toml --count 20\n"
           "  routerctl spawn star0                  by name, from /etc/orrery/routers, with its "
           "uplinks";
  }
  void declare(CommandLine& line) override {
    line.words("ROUTER", words_, Completes::files,
               "Definition files, directories, or names from /etc/orrery/routers", true);
    line.number("--count", count_, "N", "How many routers a template makes");
    line.flag("--no-wait", noWait_, "Return as soon as the routers have been started");
    line.number("--timeout", timeout_, "SECONDS", "Give up waiting after this time");
    line.flag("--dry-run", dryRun_, "Show the plan and change nothing");
  }

  CommandResult run(CommandContext& context) override {
    auto set = readSet(context, words_, count_);
    if (!set) return tl::unexpected<Failure>(std::move(set).error());
    if (dryRun_) {
      ORRERY_TRY_ASSIGN(const auto plans, context.operations.plan(set->routers));
      return printPlans(context.console, plans);
    }
    SpawnOptions options;
    options.wait = !noWait_;
    if (timeout_) options.timeout = std::chrono::seconds(*timeout_);
    EngineProgress progress(context.console);
    auto report = context.operations.spawn(set->routers, options, progress);
    progress.finish();
    if (!report) return tl::unexpected<Failure>(std::move(report).error());
    return printSpawned(context.console, *report, options.wait);
  }

 private:
  std::vector<std::string> words_;
  std::optional<unsigned> count_;
  std::optional<unsigned> timeout_;
  bool noWait_ = false;
  bool dryRun_ = false;
};

}  // namespace

std::unique_ptr<Command> makeSpawnCommand() {
  return std::make_unique<SpawnCommand>();
}

}  // namespace orrery
