// restart NAME [SERVICE]: a service anew, or the router with everything of it.
#include "runtime/control/client.h"
#include "runtime/control/paths.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

constexpr std::chrono::seconds kPatience{10};

class RestartCommand final : public Command {
 public:
  std::string_view name() const override { return "restart"; }
  std::string_view summary() const override {
    return "Start a router anew as it was defined, or one of its services";
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
    line.optionalWord("SERVICE", service_, Completes::services,
                      "Only this service: tor, dnsmasq, …");
  }

  CommandResult run(CommandContext& context) override {
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    return service_ ? restartService(context, id) : restartRouter(context, id);
  }

 private:
  CommandResult restartService(CommandContext& context, const RouterId& id) {
    auto client = ControlClient::connect(RouterPaths(id, context.root).control);
    if (!client) return notRunning(id, std::move(client).error());
    ControlRequest request{.verb = std::string(verb::kRestartService)};
    request.args.set("service", *service_);
    ORRERY_TRY_ASSIGN(const Json result, client->request(request, after(kPatience)));
    if (context.console.mode().json)
      context.console.document(result);
    else
      context.console.note(fmt::format("{}: {} restarted", id.text(), *service_));
    return 0;
  }

  // Routers downstream keep their namespaces and see silence only: theirs are not touched.
  CommandResult restartRouter(CommandContext& context, const RouterId& id) {
    ORRERY_TRY_ASSIGN(const RouterSpec spec, spawnedSpec(context.root, id));
    EngineProgress progress(context.console);
    DestroyOptions destroy;
    destroy.force = false;
    auto destroyed = context.operations.destroy({id}, destroy, progress);
    if (!destroyed) {
      progress.finish();
      return tl::unexpected<Failure>(std::move(destroyed).error());
    }
    auto report = context.operations.spawn({spec}, SpawnOptions{}, progress);
    progress.finish();
    if (!report) return tl::unexpected<Failure>(std::move(report).error());
    return printSpawned(context.console, *report, true);
  }

  std::string name_;
  std::optional<std::string> service_;
};

}  // namespace

std::unique_ptr<Command> makeRestartCommand() {
  return std::make_unique<RestartCommand>();
}

}  // namespace orrery
