// Every subcommand, in the order of the help text.
#pragma once

#include <memory>

#include "runtime/routerctl/command.h"

namespace orrery {

std::unique_ptr<Command> makeAttachCommand();
std::unique_ptr<Command> makeCompleteCommand();  // hidden: what the completion scripts ask
std::unique_ptr<Command> makeCompletionCommand();
std::unique_ptr<Command> makeDestroyCommand();
std::unique_ptr<Command> makeDetachCommand();
std::unique_ptr<Command> makeDoctorCommand();
std::unique_ptr<Command> makeEventsCommand();
std::unique_ptr<Command> makeExecCommand();
std::unique_ptr<Command> makeGcCommand();
std::unique_ptr<Command> makeInitCommand();
std::unique_ptr<Command> makeInspectCommand();
std::unique_ptr<Command> makeListCommand();
std::unique_ptr<Command> makeLogsCommand();
std::unique_ptr<Command> makePlanCommand();
std::unique_ptr<Command> makeProfileCommand();
std::unique_ptr<Command> makeRestartCommand();
std::unique_ptr<Command> makeRunCommand();
std::unique_ptr<Command> makeShellCommand();
std::unique_ptr<Command> makeSpawnCommand();
std::unique_ptr<Command> makeStatusCommand();
std::unique_ptr<Command> makeValidateCommand();
std::unique_ptr<Command> makeVerifyCommand();
std::unique_ptr<Command> makeVersionCommand();

Commands allCommands();

}  // namespace orrery
