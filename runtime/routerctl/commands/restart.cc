// restart NAME [SERVICE]: a service anew, or the router with everything of it.
#include <algorithm>

#include "runtime/control/client.h"
#include "runtime/control/paths.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/definitions.h"
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
    line.option("--definition", file_, "FILE", "Apply this file's definition of it");
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

  // The network stays: clients and routers downstream see silence only.
  CommandResult restartRouter(CommandContext& context, const RouterId& id) {
    const auto spec = definitionOf(context, id);
    if (!spec) return tl::unexpected<Failure>(spec.error());
    EngineProgress progress(context.console);
    auto report = context.operations.restart({*spec}, SpawnOptions{}, progress);
    progress.finish();
    if (!report) return tl::unexpected<Failure>(std::move(report).error());
    return printSpawned(context.console, *report, true);
  }

  // That of the file, or the one that it was spawned with.
  tl::expected<RouterSpec, Failure> definitionOf(CommandContext& context, const RouterId& id) {
    if (!file_) {
      auto spec = spawnedSpec(context.root, id);
      if (!spec) return tl::unexpected<Failure>(std::move(spec).error());
      return std::move(*spec);
    }
    auto set = readPaths(context, {*file_});
    if (!set) return tl::unexpected<Failure>(std::move(set).error());
    const auto found = std::ranges::find(set->routers, id, &RouterSpec::id);
    if (found != set->routers.end()) return *found;
    return failure(ExitCode::failed, fmt::format("'{}' does not define {}", *file_, id.text()));
  }

  std::string name_;
  std::optional<std::string> file_;
  std::optional<std::string> service_;
};

}  // namespace

std::unique_ptr<Command> makeRestartCommand() {
  return std::make_unique<RestartCommand>();
}

}  // namespace orrery
