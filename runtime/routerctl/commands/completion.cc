// completion SHELL: a script that has the shell ask `routerctl complete`, so that it knows routers,
// sections and flags of the moment.
#include "runtime/routerctl/commands.h"

namespace orrery {
namespace {

constexpr std::string_view kBash =
    R"sh(# routerctl completion for bash:  source <(routerctl completion bash)
_routerctl() {
  local IFS=$'\n'
  local current="${COMP_WORDS[COMP_CWORD]}"
  local words
  words="$(routerctl complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _routerctl routerctl
)sh";

constexpr std::string_view kZsh = R"sh(#compdef routerctl
# routerctl completion for zsh:  source <(routerctl completion zsh)
_routerctl() {
  local -a words_
  words_=("${(@f)$(routerctl complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${words_[1]}" ]]; then compadd -- "${words_[@]}"; else _files; fi
}
compdef _routerctl routerctl
)sh";

constexpr std::string_view kFish = R"sh(# routerctl completion for fish:  routerctl completion fish | source
function __routerctl_complete
  set -l words (commandline -opc) (commandline -ct)
  routerctl complete -- $words[2..-1] 2>/dev/null
end
complete -c routerctl -a '(__routerctl_complete)'
)sh";

class CompletionCommand final : public Command {
 public:
  std::string_view name() const override { return "completion"; }
  std::string_view summary() const override { return "Print a completion script for a shell"; }
  void declare(CommandLine& line) override {
    line.word("SHELL", shell_, Completes::shells, "bash, zsh or fish");
  }
  CommandResult run(CommandContext& context) override {
    if (shell_ == "bash") context.console.print(kBash);
    else if (shell_ == "zsh") context.console.print(kZsh);
    else if (shell_ == "fish") context.console.print(kFish);
    else
      return failure(ExitCode::usage, fmt::format("SHELL is '{}', expected bash, zsh or fish",
                                                  printable(shell_)));
    return 0;
  }

 private:
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> makeCompletionCommand() { return std::make_unique<CompletionCommand>(); }

}  // namespace orrery
