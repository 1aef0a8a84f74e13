// validate FILE…|DIR: checks definitions and touches nothing.
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/definitions.h"

namespace orrery {
namespace {

class ValidateCommand final : public Command {
 public:
  std::string_view name() const override { return "validate"; }
  std::string_view summary() const override { return "Check definitions and change nothing"; }
  std::string_view details() const override {
    return "All files together are one set. Exit code 3 if anything is wrong with it.";
  }
  void declare(CommandLine& line) override {
    line.words("FILE", paths_, Completes::files, "Definition files or directories of them", true);
  }
  CommandResult run(CommandContext& context) override {
    auto set = readPaths(context, paths_);
    if (!set) return tl::unexpected<Failure>(std::move(set).error());
    if (context.console.mode().json) {
      context.console.document(toDocument(*set));
    } else if (!context.console.mode().quiet) {
      context.console.print(fmt::format("{} router{}: no errors\n", set->routers.size(),
                                        set->routers.size() == 1 ? "" : "s"));
    }
    return 0;
  }

 private:
  static Json toDocument(const Definitions& set) {
    Json routers = Json::array();
    for (const RouterSpec& spec : set.routers)
      routers.push(Json::object({{"network", spec.id.network},
                                 {"router", spec.id.name},
                                 {"kind", toString(spec.kind)},
                                 {"egress", egressName(spec.egress)}}));
    Json warnings = Json::array();
    for (const Diagnostic& d : set.warnings) warnings.push(toJson(d));
    return Json::object({{"schema", "orrery.validate/1"},
                         {"valid", true},
                         {"routers", std::move(routers)},
                         {"warnings", std::move(warnings)}});
  }

  std::vector<std::string> paths_;
};

}  // namespace

std::unique_ptr<Command> makeValidateCommand() {
  return std::make_unique<ValidateCommand>();
}

}  // namespace orrery
