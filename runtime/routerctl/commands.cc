#include "runtime/routerctl/commands.h"

namespace orrery {

Commands allCommands() {
  Commands commands;
  for (auto make :
       {makeSpawnCommand,    makeDestroyCommand,    makeRestartCommand, makePlanCommand,
        makeValidateCommand, makeInitCommand,       makeListCommand,    makeStatusCommand,
        makeInspectCommand,  makeShellCommand,      makeExecCommand,    makeRunCommand,
        makeAttachCommand,   makeDetachCommand,     makeLogsCommand,    makeEventsCommand,
        makeGcCommand,       makeCompletionCommand, makeVersionCommand, makeCompleteCommand})
    commands.push_back(make());
  return commands;
}

}  // namespace orrery
