#include "runtime/routerctl/commands.h"

namespace orrery {

Commands allCommands() {
  Commands commands;
  for (auto make :
       {makeSpawnCommand,      makeDestroyCommand, makeRestartCommand, makePlanCommand,
        makeValidateCommand,   makeVerifyCommand,  makeInitCommand,    makeListCommand,
        makeStatusCommand,     makeInspectCommand, makeShellCommand,   makeExecCommand,
        makeRunCommand,        makeAttachCommand,  makeDetachCommand,  makeLogsCommand,
        makeEventsCommand,     makeGcCommand,      makeDoctorCommand,  makeProfileCommand,
        makeCompletionCommand, makeVersionCommand, makeCompleteCommand})
    commands.push_back(make());
  return commands;
}

}  // namespace orrery
