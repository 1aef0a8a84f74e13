// init KIND: a commented definition to begin with, on standard output.
#include "routers/spec/templates.h"
#include "runtime/routerctl/commands.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

class InitCommand final : public Command {
 public:
  std::string_view name() const override { return "init"; }
  std::string_view summary() const override { return "Print a commented definition to begin with"; }
  std::string_view details() const override {
    return "Example:\n  routerctl init galaxy > galaxy0.toml";
  }
  void declare(CommandLine& line) override {
    line.word("KIND", kind_, Completes::kinds, "universe, galaxy or star");
  }
  CommandResult run(CommandContext& context) override {
    for (const Kind kind : {Kind::universe, Kind::galaxy, Kind::star}) {
      if (kind_ != toString(kind)) continue;
      ORRERY_TRY_ASSIGN(const std::string text, exampleDefinition(kind));
      if (context.console.mode().json)
        context.console.document(
            Json::object({{"schema", "orrery.init/1"}, {"kind", kind_}, {"definition", text}}));
      else
        context.console.print(text);
      return 0;
    }
    const auto meant = nearest(kind_, {"universe", "galaxy", "star"});
    return failure(
        ExitCode::usage,
        fmt::format("KIND is '{}', expected universe, galaxy or star{}", printable(kind_),
                    meant ? fmt::format(": did you mean '{}'?", *meant) : ""));
  }

 private:
  std::string kind_;
};

}  // namespace

std::unique_ptr<Command> makeInitCommand() {
  return std::make_unique<InitCommand>();
}

}  // namespace orrery
