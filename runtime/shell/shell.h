// The inspection shell: the sections of inspect.h as commands, one after the other.
//
// On a terminal with line editing, history and completion by libedit; from a pipe line by line, as
// a script. It only reads: nothing typed here changes a router.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/shell/inspect.h"

namespace orrery {

struct ShellOptions {
  bool interactive = false;
  std::optional<std::string> historyFile;  // made with mode 0600; none: no history is kept
};

// Ends at end of input, "exit" or "quit". False if a command failed (of use to scripts only).
Result<bool> runShell(Console& console, const RouterId& id,
                      const std::function<InspectTarget()>& target, const ShellOptions& options);

// What one line does; false if it failed, none if the shell is to end.
std::optional<bool> runShellLine(Console& console, std::string_view line,
                                 const std::function<InspectTarget()>& target);

// Words that may stand where `typed` is: commands of the shell. Pure.
std::vector<std::string> shellProposals(std::string_view typed);
std::string shellHelp();

}  // namespace orrery
