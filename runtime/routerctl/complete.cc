#include "runtime/routerctl/complete.h"

#include <algorithm>

#include "runtime/control/paths.h"
#include "runtime/routerctl/cli.h"
#include "runtime/routerctl/names.h"
#include "runtime/shell/inspect.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

std::vector<std::string> routerNames(const std::vector<RouterId>& routers) {
  std::vector<std::string> names;
  for (const RouterId& id : routers) {
    const auto sameName = std::ranges::count(routers, id.name, &RouterId::name);
    names.push_back(sameName == 1 ? id.name : id.text());
  }
  return names;
}

std::vector<std::string> serviceNames(const std::vector<std::string>& before,
                                      const CompletionFacts& facts) {
  std::vector<std::string> names;
  if (before.empty()) return names;
  const auto router = resolveName(before.front(), facts.routers);
  if (!router) return names;
  const auto files = listDirectory(RouterPaths(*router, facts.root).logDir);
  if (!files) return names;
  for (const std::string& file : *files)
    if (file.ends_with(".log")) names.push_back(file.substr(0, file.size() - 4));
  return names;
}

std::vector<std::string> valuesOf(Completes kind, const std::vector<std::string>& before,
                                  const CompletionFacts& facts) {
  switch (kind) {
    case Completes::nothing:
    case Completes::files:
      return {};
    case Completes::routers:
      return routerNames(facts.routers);
    case Completes::services:
      return serviceNames(before, facts);
    case Completes::kinds:
      return {"universe", "galaxy", "star"};
    case Completes::shells:
      return {"bash", "zsh", "fish"};
    case Completes::sections:
      break;
  }
  std::vector<std::string> names;
  for (const InspectSection& section : inspectSections())
    names.push_back(std::string(section.name));
  return names;
}

std::vector<std::string> flagsOf(const std::vector<Argument>& arguments) {
  std::vector<std::string> flags = {"--json", "--quiet", "--no-color", "--help"};
  for (const Argument& argument : arguments) {
    if (argument.positional) continue;
    for (const std::string_view name : split(argument.names, ','))
      if (name.starts_with("--")) flags.push_back(std::string(name));
  }
  return flags;
}

// The words of the command line so far that fill positions, in order.
std::vector<std::string> positionals(const std::vector<std::string>& words,
                                     const std::vector<Argument>& arguments) {
  std::vector<std::string> out;
  bool value = false;  // this word belongs to the option before it
  for (const std::string& word : words) {
    if (value) {
      value = false;
      continue;
    }
    if (!word.starts_with("-")) {
      out.push_back(word);
      continue;
    }
    value = std::ranges::any_of(arguments, [&](const Argument& a) {
      const auto names = split(a.names, ',');
      return !a.positional && !a.placeholder.empty() &&
             std::ranges::find(names, std::string_view(word)) != names.end();
    });
  }
  return out;
}

}  // namespace

std::vector<std::string> proposals(const Commands& commands, const std::vector<std::string>& words,
                                   const CompletionFacts& facts) {
  if (words.empty()) return {};
  const std::string& typed = words.back();
  std::vector<std::string> candidates;
  const auto first = std::find_if(words.begin(), words.end() - 1,
                                  [](const auto& w) { return !w.starts_with("-"); });
  if (first == words.end() - 1) {
    if (typed.starts_with("-"))
      candidates = flagsOf({});
    else
      for (const auto& command : commands)
        if (!command->hidden()) candidates.push_back(std::string(command->name()));
  } else {
    const auto command =
        std::ranges::find_if(commands, [&](const auto& c) { return c->name() == *first; });
    if (command == commands.end()) return {};
    const auto arguments = argumentsOf(**command);
    if (typed.starts_with("-")) {
      candidates = flagsOf(arguments);
    } else {
      const auto before =
          positionals(std::vector<std::string>(first + 1, words.end() - 1), arguments);
      std::vector<Argument> places;
      for (const Argument& a : arguments)
        if (a.positional) places.push_back(a);
      const bool beyond = before.size() >= places.size();
      if (places.empty() || (beyond && !places.back().repeated)) return {};
      candidates = valuesOf(beyond ? places.back().completes : places[before.size()].completes,
                            before, facts);
    }
  }
  std::erase_if(candidates, [&](const std::string& c) { return !c.starts_with(typed); });
  return candidates;
}

}  // namespace orrery
