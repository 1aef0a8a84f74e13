// gc: removes what crashed commands and supervisors left behind.
#include "runtime/routerctl/attachment.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"

namespace orrery {
namespace {

class GcCommand final : public Command {
 public:
  std::string_view name() const override { return "gc"; }
  std::string_view summary() const override { return "Remove what has no owner any more"; }
  void declare(CommandLine&) override {}
  CommandResult run(CommandContext& context) override {
    ORRERY_TRY_ASSIGN(GcReport report, context.operations.gc());
    ORRERY_TRY_ASSIGN(const auto routers, knownRouters(context.root));
    for (const RouterId& id : routers) {
      ORRERY_TRY_ASSIGN(const auto lost, detachLost(id, context.root));
      for (const Attachment& client : lost)
        report.removed.push_back(
            fmt::format("client {} of {}", toString(client.address), id.text()));
      ORRERY_TRY_ASSIGN(const auto files, removeUnfinished(id, context.root));
      for (const std::string& path : files) report.removed.push_back("file " + path);
    }
    Console& console = context.console;
    if (console.mode().json) {
      Json removed = Json::array();
      for (const std::string& what : report.removed) removed.push(what);
      console.document(Json::object({{"schema", "orrery.gc/1"}, {"removed", std::move(removed)}}));
      return 0;
    }
    for (const std::string& what : report.removed) console.print("removed " + what + "\n");
    if (report.removed.empty()) console.note("nothing to remove");
    return 0;
  }
};

}  // namespace

std::unique_ptr<Command> makeGcCommand() {
  return std::make_unique<GcCommand>();
}

}  // namespace orrery
