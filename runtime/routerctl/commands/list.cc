// list: every router of this host.
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

class ListCommand final : public Command {
 public:
  std::string_view name() const override { return "list"; }
  std::string_view summary() const override { return "List the routers of this host"; }
  void declare(CommandLine&) override {}
  CommandResult run(CommandContext& context) override {
    ORRERY_TRY_ASSIGN(const auto known, knownRouters(context.root));
    Console& console = context.console;
    if (console.mode().quiet && !console.mode().json) {
      for (const RouterId& id : known) console.print(id.text() + "\n");
      return 0;
    }
    std::vector<RouterView> views;
    for (const RouterId& id : known) views.push_back(viewRouter(context.root, id));
    printList(console, views, Timestamp::now().monotonicMs);
    return 0;
  }
};

}  // namespace

std::unique_ptr<Command> makeListCommand() {
  return std::make_unique<ListCommand>();
}

}  // namespace orrery
