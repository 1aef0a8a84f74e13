// inspect NAME [SECTION…]: what a router is made of right now, read from outside.
#include "runtime/shell/inspect.h"

#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/target.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

class InspectCommand final : public Command {
 public:
  std::string_view name() const override { return "inspect"; }
  std::string_view summary() const override { return "Show what a router is made of right now"; }
  std::string_view details() const override {
    static const std::string kText = [] {
      std::string text = "Sections:";
      for (const InspectSection& section : inspectSections())
        text += fmt::format("\n  {:<12}{}", section.name, section.summary);
      return text + "\nRead by netlink and procfs, so it works while the router is broken.";
    }();
    return kText;
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
    line.flag("--bytecode", bytecode_, "Also the seccomp programs, as section 'bytecode'");
    line.words("SECTION", sections_, Completes::sections, "Only these; none: all", false);
  }

  CommandResult run(CommandContext& context) override {
    std::vector<const InspectSection*> chosen;
    for (const std::string& name : sections_) {
      const InspectSection* section = findSection(name);
      if (section == nullptr) return unknownSection(name);
      chosen.push_back(section);
    }
    const bool all = chosen.empty();
    if (all)
      for (const InspectSection& section : inspectSections())
        if (!section.onlyByName) chosen.push_back(&section);
    if (bytecode_) chosen.push_back(findSection("bytecode"));
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    InspectTarget target = inspectTarget(context.root, id);
    target.brief = all;
    return context.console.mode().json ? document(context.console, target, chosen)
                                       : text(context.console, target, chosen);
  }

 private:
  static CommandResult unknownSection(const std::string& name) {
    std::vector<std::string> names;
    for (const InspectSection& section : inspectSections())
      names.push_back(std::string(section.name));
    const auto meant = nearest(name, names);
    return failure(ExitCode::usage, fmt::format("unknown section '{}': {}", printable(name),
                                                meant ? fmt::format("did you mean '{}'?", *meant)
                                                      : "one of " + join(names, ", ")));
  }

  // One section that cannot be read hides no other.
  static CommandResult document(Console& console, const InspectTarget& target,
                                const std::vector<const InspectSection*>& chosen) {
    Json json = Json::object({{"schema", "orrery.inspect/1"},
                              {"network", target.id.network},
                              {"router", target.id.name}});
    Json problems = Json::object();
    for (const InspectSection* section : chosen) {
      auto view = section->read(target);
      if (view)
        json.set(std::string(section->name), std::move(view->json));
      else
        problems.set(std::string(section->name), view.error().message);
    }
    const bool failed = !problems.asObject()->empty();
    if (failed) json.set("problems", std::move(problems));
    console.document(json);
    return static_cast<int>(failed ? ExitCode::failed : ExitCode::ok);
  }

  static CommandResult text(Console& console, const InspectTarget& target,
                            const std::vector<const InspectSection*>& chosen) {
    ExitCode code = ExitCode::ok;
    for (const InspectSection* section : chosen) {
      if (chosen.size() > 1)
        console.print(
            paint(fmt::format("== {}\n", section->name), Tone::strong, console.mode().colour));
      if (const Status shown = printSection(console, *section, target); !shown) {
        console.fail(shown.error());
        code = ExitCode::failed;
      }
      if (chosen.size() > 1) console.print("\n");
    }
    return static_cast<int>(code);
  }

  std::string name_;
  std::vector<std::string> sections_;
  bool bytecode_ = false;
};

}  // namespace

std::unique_ptr<Command> makeInspectCommand() {
  return std::make_unique<InspectCommand>();
}

}  // namespace orrery
