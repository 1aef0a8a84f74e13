// One subcommand of routerctl: its words, its arguments, and what it does.
//
// Commands declare their arguments to an abstract CommandLine, so that the library that parses them
// stays in cli.cc, and so that help, completion and tests read the same declaration.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/console/console.h"
#include "runtime/routerctl/operations.h"

namespace orrery {

// What a word on the command line is, for the shell's completion.
enum class Completes { nothing, routers, files, sections, kinds, shells, services };

class CommandLine {
 public:
  virtual ~CommandLine() = default;
  // `names` as in "-f,--follow". References must live until the command has run.
  virtual void flag(const std::string& names, bool& value, const std::string& help) = 0;
  virtual void option(const std::string& names, std::optional<std::string>& value,
                      const std::string& placeholder, const std::string& help) = 0;
  virtual void number(const std::string& names, std::optional<unsigned>& value,
                      const std::string& placeholder, const std::string& help) = 0;
  virtual void word(const std::string& name, std::string& value, Completes completes,
                    const std::string& help) = 0;  // required
  virtual void optionalWord(const std::string& name, std::optional<std::string>& value,
                            Completes completes, const std::string& help) = 0;
  virtual void words(const std::string& name, std::vector<std::string>& values, Completes completes,
                     const std::string& help, bool required) = 0;
  // Everything after "--", untouched.
  virtual void program(std::vector<std::string>& argv) = 0;
};

// The user on whose behalf we run: by sudo's SUDO_UID and SUDO_GID, else the caller himself.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
};

// All that a command gets.
struct CommandContext {
  Console& console;
  Operations& operations;
  Caller caller;
  bool privileged = true;                  // our effective user is root
  std::vector<std::string> environment;    // ours, "NAME=value": for children
  std::string root;                        // before every absolute path; "" outside of tests
  std::optional<std::string> historyFile;  // of the shell; none: no history is kept
};

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view summary() const = 0;            // one line, no full stop
  virtual std::string_view details() const { return ""; }  // examples, exit codes
  virtual bool hidden() const { return false; }
  virtual void declare(CommandLine& line) = 0;
  virtual CommandResult run(CommandContext& context) = 0;
};

using Commands = std::vector<std::unique_ptr<Command>>;

}  // namespace orrery
