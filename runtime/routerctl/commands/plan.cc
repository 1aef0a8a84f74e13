// plan FILE…|NAME…: what spawn would do.
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/definitions.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

class PlanCommand final : public Command {
 public:
  std::string_view name() const override { return "plan"; }
  std::string_view summary() const override { return "Show what spawn would do, step by step"; }
  void declare(CommandLine& line) override {
    line.words("ROUTER", words_, Completes::files,
               "Definition files, directories, or names from /etc/orrery/routers", true);
    line.number("--count", count_, "N", "How many routers a template makes");
  }
  CommandResult run(CommandContext& context) override {
    auto set = readSet(context, words_, count_);
    if (!set) return tl::unexpected<Failure>(std::move(set).error());
    ORRERY_TRY_ASSIGN(const auto plans, context.operations.plan(set->routers));
    return printPlans(context.console, plans);
  }

 private:
  std::vector<std::string> words_;
  std::optional<unsigned> count_;
};

}  // namespace

std::unique_ptr<Command> makePlanCommand() {
  return std::make_unique<PlanCommand>();
}

}  // namespace orrery
