#include "runtime/routerctl/cli.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "runtime/control/events.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

// Declares a command's arguments to CLI11.
class Cli11Line final : public CommandLine {
 public:
  Cli11Line(CLI::App& app, std::vector<std::string> program)
      : app_(app), program_(std::move(program)) {}

  void flag(const std::string& names, bool& value, const std::string& help) override {
    app_.add_flag(names, value, help);
  }
  void option(const std::string& names, std::optional<std::string>& value,
              const std::string& placeholder, const std::string& help) override {
    app_.add_option(names, value, help)->type_name(placeholder);
  }
  void number(const std::string& names, std::optional<unsigned>& value,
              const std::string& placeholder, const std::string& help) override {
    app_.add_option(names, value, help)->type_name(placeholder);
  }
  void word(const std::string& name, std::string& value, Completes,
            const std::string& help) override {
    app_.add_option(name, value, help)->type_name("")->required();
  }
  void optionalWord(const std::string& name, std::optional<std::string>& value, Completes,
                    const std::string& help) override {
    app_.add_option(name, value, help)->type_name("");
  }
  void words(const std::string& name, std::vector<std::string>& values, Completes,
             const std::string& help, bool required) override {
    app_.add_option(name, values, help)->type_name("")->required(required);
  }
  void program(std::vector<std::string>& argv) override {
    takesProgram_ = true;
    argv = program_;
  }

  bool takesProgram() const { return takesProgram_; }

 private:
  CLI::App& app_;
  std::vector<std::string> program_;
  bool takesProgram_ = false;
};

// Writes down what a command declares.
class Recorder final : public CommandLine {
 public:
  void flag(const std::string& names, bool&, const std::string&) override {
    arguments.push_back(Argument{.names = names});
  }
  void option(const std::string& names, std::optional<std::string>&, const std::string& placeholder,
              const std::string&) override {
    arguments.push_back(Argument{.names = names, .placeholder = placeholder});
  }
  void number(const std::string& names, std::optional<unsigned>&, const std::string& placeholder,
              const std::string&) override {
    arguments.push_back(Argument{.names = names, .placeholder = placeholder});
  }
  void word(const std::string& name, std::string&, Completes completes,
            const std::string&) override {
    positional(name, completes, false);
  }
  void optionalWord(const std::string& name, std::optional<std::string>&, Completes completes,
                    const std::string&) override {
    positional(name, completes, false);
  }
  void words(const std::string& name, std::vector<std::string>&, Completes completes,
             const std::string&, bool) override {
    positional(name, completes, true);
  }
  void program(std::vector<std::string>&) override {}

  std::vector<Argument> arguments;

 private:
  void positional(const std::string& name, Completes completes, bool repeated) {
    arguments.push_back(
        Argument{.names = name, .positional = true, .repeated = repeated, .completes = completes});
  }
};

// "exec NAME -- CMD": what follows the first "--" is not ours to read.
struct SplitArguments {
  std::vector<std::string> own;
  std::vector<std::string> program;
  bool separated = false;
};

SplitArguments splitAtDashes(const std::vector<std::string>& arguments) {
  SplitArguments split;
  const auto dashes = std::ranges::find(arguments, "--");
  split.own.assign(arguments.begin(), dashes);
  split.separated = dashes != arguments.end();
  if (split.separated) split.program.assign(dashes + 1, arguments.end());
  return split;
}

struct GlobalFlags {
  bool json = false;
  bool quiet = false;
  bool noColour = false;
  void declare(CLI::App& app) {
    app.add_flag("--json", json, "JSON: one document, or one object a line for streams");
    app.add_flag("-q,--quiet", quiet, "Only data: no progress, no notes; lists print names");
    app.add_flag("--no-color", noColour, "No colour (also: NO_COLOR in the environment)");
  }
  void apply(ConsoleMode& mode) const {
    mode.json = mode.json || json;
    mode.quiet = mode.quiet || quiet;
    if (noColour || mode.json) mode.colour = false;
  }
};

struct Prepared {
  Command* command = nullptr;
  CLI::App* app = nullptr;
  std::unique_ptr<Cli11Line> line;
};

std::vector<Prepared> addCommands(CLI::App& app, const Commands& commands,
                                  const std::vector<std::string>& program) {
  std::vector<Prepared> prepared;
  for (const auto& command : commands) {
    CLI::App* sub =
        app.add_subcommand(std::string(command->name()), std::string(command->summary()));
    sub->fallthrough();  // global flags may follow the command
    sub->footer(std::string(command->details()));
    if (command->hidden()) sub->group("");
    Prepared p;
    p.command = command.get();
    p.app = sub;
    p.line = std::make_unique<Cli11Line>(*sub, program);
    command->declare(*p.line);
    prepared.push_back(std::move(p));
  }
  return prepared;
}

int usageError(CommandContext& context, std::string message, std::string_view command) {
  Error e;
  e.message = std::move(message);
  context.console.fail(e);
  if (!context.console.mode().json)
    context.console.note(
        fmt::format("Try 'routerctl {}{}--help'.", command, command.empty() ? "" : " "));
  return static_cast<int>(ExitCode::usage);
}

// The first word that is no flag is the command; a slip of the hand gets a proposal.
std::string unknownCommand(const Commands& commands, const std::vector<std::string>& own) {
  const auto word = std::ranges::find_if(own, [](const auto& w) { return w.substr(0, 1) != "-"; });
  if (word == own.end()) return "";
  std::vector<std::string> names;
  for (const auto& command : commands) {
    if (command->name() == *word) return "";
    if (!command->hidden()) names.push_back(std::string(command->name()));
  }
  const auto meant = nearest(*word, names);
  return fmt::format("unknown command '{}'{}", printable(*word),
                     meant ? fmt::format(": did you mean '{}'?", *meant) : "");
}

int runCommand(Command& command, CommandContext& context) {
  CommandResult outcome = command.run(context);
  if (!outcome && outcome.error().code == static_cast<int>(ExitCode::notPermitted) &&
      !context.privileged)
    outcome.error().error.message += "; this needs root: call routerctl by sudo";
  if (!outcome) context.console.fail(outcome.error().error, outcome.error().details);
  context.console.flush();
  return outcome ? *outcome : outcome.error().code;
}

// CLI11 throws; nothing else in the program does.
int parseAndRun(CLI::App& app, const Commands& commands, const SplitArguments& split,
                GlobalFlags& flags, CommandContext& context) {
  const std::vector<Prepared> prepared = addCommands(app, commands, split.program);
  std::vector<std::string> reversed(split.own.rbegin(), split.own.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    context.console.print(app.help());  // of the subcommand, if there is one
    context.console.flush();
    return static_cast<int>(ExitCode::ok);
  } catch (const CLI::ParseError& e) {
    flags.apply(context.console.mode());
    const std::string unknown = unknownCommand(commands, split.own);
    const auto subs = app.get_subcommands();
    return usageError(context, unknown.empty() ? e.what() : unknown,
                      subs.empty() ? "" : subs.front()->get_name());
  }
  flags.apply(context.console.mode());
  for (const Prepared& p : prepared) {
    if (!p.app->parsed()) continue;
    if (split.separated && !p.line->takesProgram())
      return usageError(context, fmt::format("'{}' takes no program after '--'", p.command->name()),
                        p.command->name());
    return runCommand(*p.command, context);
  }
  context.console.print(app.help());
  context.console.flush();
  return static_cast<int>(ExitCode::usage);
}

}  // namespace

std::vector<Argument> argumentsOf(Command& command) {
  Recorder recorder;
  command.declare(recorder);
  return std::move(recorder.arguments);
}

int runCli(const Commands& commands, const std::vector<std::string>& arguments,
           CommandContext& context) {
  const SplitArguments split = splitAtDashes(arguments);
  // The flag counts also for errors found before CLI11 has read it.
  if (std::ranges::find(split.own, "--json") != split.own.end()) context.console.mode().json = true;
  CLI::App app("Confined network-namespace routers: universe, galaxy, star", "routerctl");
  app.set_help_flag("-h,--help", "This text");
  app.require_subcommand(0, 1);
  GlobalFlags flags;
  flags.declare(app);
  app.footer(
      "NAME is a router (galaxy0), with its network where the name alone is not unique "
      "(network0.galaxy0).\n"
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 definition invalid, 4 not permitted, 5 not running,\n"
      "6 a check found a leak; exec and run: the program's own.");
  return parseAndRun(app, commands, split, flags, context);
}

}  // namespace orrery
