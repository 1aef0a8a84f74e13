#include "runtime/shell/shell.h"

#include <editline/readline.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr int kHistoryLines = 500;
constexpr std::string_view kEverySection = "all";

struct Free {
  void operator()(char* text) const noexcept { std::free(text); }
};
using CString = std::unique_ptr<char, Free>;

// libedit's interface is C with global hooks: the generator gets its state by a counter of its own.
char* nextProposal(const char* text, int state) {
  static std::vector<std::string> words;
  static std::size_t at = 0;
  if (state == 0) {
    words = shellProposals(text);
    at = 0;
  }
  return at < words.size() ? ::strdup(words[at++].c_str()) : nullptr;
}

char** complete(const char* text, int, int) {
  rl_attempted_completion_over = 1;  // no file names
  return rl_completion_matches(text, nextProposal);
}

Result<bool> runInteractive(Console& console, const RouterId& id,
                            const std::function<InspectTarget()>& target,
                            const ShellOptions& options) {
  rl_readline_name = const_cast<char*>("routerctl");
  rl_attempted_completion_function = complete;
  using_history();
  stifle_history(kHistoryLines);
  if (options.historyFile) {
    // Made before libedit does, which would take the umask's mode.
    const auto file = openFile(*options.historyFile, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
    if (file) (void)read_history(options.historyFile->c_str());
  }
  console.note("Reads only. 'help' lists the commands, TAB completes, 'exit' ends.");
  const std::string prompt = id.text() + "> ";
  bool allWell = true;
  for (;;) {
    console.flush();
    const CString line(readline(prompt.c_str()));
    if (!line) break;
    if (!trim(line.get()).empty()) add_history(line.get());
    const auto result = runShellLine(console, line.get(), target);
    if (!result) break;
    allWell = allWell && *result;
  }
  if (options.historyFile) (void)write_history(options.historyFile->c_str());
  return allWell;
}

Result<bool> runScript(Console& console, const std::function<InspectTarget()>& target) {
  bool allWell = true;
  char* raw = nullptr;
  std::size_t size = 0;
  for (;;) {
    const ssize_t n = ::getline(&raw, &size, stdin);
    if (n < 0) break;
    const auto result =
        runShellLine(console, std::string_view(raw, static_cast<std::size_t>(n)), target);
    if (!result) break;
    allWell = allWell && *result;
  }
  std::free(raw);
  return allWell;
}

bool showSection(Console& console, const InspectSection& section, const InspectTarget& target) {
  if (console.mode().json) {
    auto view = section.read(target);
    if (!view) {
      console.fail(view.error());
      return false;
    }
    console.record(Json::object({{"schema", "orrery.inspect/1"},
                                 {"network", target.id.network},
                                 {"router", target.id.name},
                                 {std::string(section.name), std::move(view->json)}}));
    return true;
  }
  const Status shown = printSection(console, section, target);
  if (!shown) console.fail(shown.error());
  return shown.has_value();
}

bool unknownCommand(Console& console, std::string_view word) {
  std::vector<std::string> names = shellProposals("");
  const auto meant = nearest(word, names);
  Error e;
  e.message = fmt::format(
      "unknown command '{}': {}", printable(word),
      meant ? fmt::format("did you mean '{}'?", *meant) : std::string("'help' lists them"));
  console.fail(e);
  return false;
}

}  // namespace

std::vector<std::string> shellProposals(std::string_view typed) {
  std::vector<std::string> words;
  for (const InspectSection& section : inspectSections())
    words.push_back(std::string(section.name));
  for (const std::string_view word : {kEverySection, std::string_view("help"),
                                      std::string_view("exit"), std::string_view("quit")})
    words.push_back(std::string(word));
  std::erase_if(words, [&](const std::string& word) { return !word.starts_with(typed); });
  return words;
}

std::string shellHelp() {
  std::string text;
  for (const InspectSection& section : inspectSections())
    text += fmt::format("  {:<12}{}\n", section.name, section.summary);
  text += fmt::format("  {:<12}{}\n", kEverySection, "every section");
  text += fmt::format("  {:<12}{}\n", "help", "this text");
  text += fmt::format("  {:<12}{}\n", "exit", "end (also: quit, end of input)");
  return text;
}

std::optional<bool> runShellLine(Console& console, std::string_view line,
                                 const std::function<InspectTarget()>& target) {
  const auto words = splitWords(line);
  if (words.empty() || words.front().front() == '#') return true;
  if (words.front() == "exit" || words.front() == "quit") return std::nullopt;
  if (words.front() == "help" || words.front() == "?") {
    console.print(shellHelp());
    return true;
  }
  if (words.front() == kEverySection) {
    InspectTarget now = target();
    now.brief = true;
    bool allWell = true;
    for (const InspectSection& section : inspectSections()) {
      if (section.onlyByName) continue;
      if (!console.mode().json) console.print(fmt::format("== {}\n", section.name));
      allWell = showSection(console, section, now) && allWell;
    }
    return allWell;
  }
  bool allWell = true;
  for (const std::string_view word : words) {
    const InspectSection* section = findSection(word);
    allWell = (section == nullptr ? unknownCommand(console, word)
                                  : showSection(console, *section, target())) &&
              allWell;
  }
  return allWell;
}

Result<bool> runShell(Console& console, const RouterId& id,
                      const std::function<InspectTarget()>& target, const ShellOptions& options) {
  return options.interactive ? runInteractive(console, id, target, options)
                             : runScript(console, target);
}

}  // namespace orrery
