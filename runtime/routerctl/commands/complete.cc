// complete -- WORD…: hidden; what may stand in place of the last word, one a line.
#include "runtime/routerctl/complete.h"

#include "runtime/routerctl/cli.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"

namespace orrery {
namespace {

class CompleteCommand final : public Command {
 public:
  std::string_view name() const override { return "complete"; }
  std::string_view summary() const override { return "Proposals for completion scripts"; }
  bool hidden() const override { return true; }
  void declare(CommandLine& line) override { line.program(words_); }
  CommandResult run(CommandContext& context) override {
    CompletionFacts facts;
    facts.root = context.root;
    // A shell's TAB must not fail: without the right to look there is nothing to propose.
    if (auto known = knownRouters(context.root)) facts.routers = std::move(known).value();
    for (const std::string& word : proposals(allCommands(), words_, facts))
      context.console.print(word + "\n");
    return 0;
  }

 private:
  std::vector<std::string> words_;
};

}  // namespace

std::unique_ptr<Command> makeCompleteCommand() {
  return std::make_unique<CompleteCommand>();
}

}  // namespace orrery
