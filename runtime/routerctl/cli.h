// From argv to one command: global flags, subcommands, help, usage errors (exit code 2).
#pragma once

#include <string>
#include <vector>

#include "runtime/routerctl/command.h"

namespace orrery {

// Parses and runs. `arguments` are without the program's name. The console's mode is changed by
// --json, --quiet and --no-color. Returns the exit code; every error has been printed.
int runCli(const Commands& commands, const std::vector<std::string>& arguments,
           CommandContext& context);

// One argument of a command, as help and completion see it.
struct Argument {
  std::string names;        // "-f,--follow", or the word's name
  std::string placeholder;  // of an option with a value
  bool positional = false;
  bool repeated = false;
  Completes completes = Completes::nothing;
};
std::vector<Argument> argumentsOf(Command& command);

}  // namespace orrery
