// logs NAME [SERVICE] [-f]: what the services of a router wrote.
#include "runtime/control/paths.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/follow.h"
#include "runtime/routerctl/registry.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr std::string_view kSuffix = ".log";

class LogsCommand final : public Command {
 public:
  std::string_view name() const override { return "logs"; }
  std::string_view summary() const override { return "Show what a router's services wrote"; }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
    line.optionalWord("SERVICE", service_, Completes::services,
                      "Only this service: tor, dnsmasq, …");
    line.flag("-f,--follow", follow_, "Wait for more, until interrupted");
  }

  CommandResult run(CommandContext& context) override {
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    const RouterPaths paths(id, context.root);
    auto follower = LogFollower::open(paths.logDir, [this](std::string_view file) {
      return service_ ? file == *service_ + std::string(kSuffix) : file.ends_with(kSuffix);
    });
    if (!follower && follower.error().err == ENOENT)
      return failure(ExitCode::failed, fmt::format("router '{}' has no logs yet", id.text()));
    if (!follower) return tl::unexpected<Failure>(std::move(follower).error());
    bool any = false;
    const auto each = [&](std::string_view file, std::string_view text) {
      any = true;
      print(context.console, id, file.substr(0, file.size() - kSuffix.size()), text);
    };
    ORRERY_TRY(follower->readNew(each));
    if (!any && service_ && !follow_ && !pathExists(paths, *service_))
      return failure(ExitCode::failed, fmt::format("router '{}' has no service '{}' with a log",
                                                   id.text(), printable(*service_)));
    while (follow_) {
      context.console.flush();
      ORRERY_TRY(follower->wait());
      ORRERY_TRY(follower->readNew(each));
    }
    return 0;
  }

 private:
  static bool pathExists(const RouterPaths& paths, const std::string& service) {
    return service.find('/') == std::string::npos && orrery::pathExists(paths.log(service));
  }

  void print(Console& console, const RouterId& id, std::string_view service,
             std::string_view text) const {
    if (console.mode().json)
      console.record(Json::object({{"schema", "orrery.log/1"},
                                   {"network", id.network},
                                   {"router", id.name},
                                   {"service", service},
                                   {"line", text}}));
    else if (service_)
      console.print(printable(text) + "\n");
    else
      console.print(fmt::format("{:<10} {}\n", service, printable(text)));
  }

  std::string name_;
  std::optional<std::string> service_;
  bool follow_ = false;
};

}  // namespace

std::unique_ptr<Command> makeLogsCommand() {
  return std::make_unique<LogsCommand>();
}

}  // namespace orrery
