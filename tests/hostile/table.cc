#include "tests/hostile/table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/landlock/landlock.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {

Outcomes outcomesIn(std::string_view text) {
  Outcomes found;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t at = line.find("try ");
    if (at == std::string_view::npos) continue;
    const auto words = splitWords(line.substr(at));
    if (words.size() < 3) continue;
    const std::string_view result = words[2];
    found[std::string(words[1])] = result.substr(0, result.find_first_of("\"\\"));
  }
  return found;
}

namespace {

// Attempts that an older kernel has no call for.
struct Newer {
  std::string_view attempt;
  int major;
  int minor;
};
constexpr Newer kNewer[] = {{"listmount", 6, 8},
                            {"memfd_secret", 6, 5}};  // before, secretmem.enable=1 turned it on

bool isNewerThanTheKernel(std::string_view attempt) {
  utsname names{};
  int major = 0;
  int minor = 0;
  if (::uname(&names) != 0 || std::sscanf(names.release, "%d.%d", &major, &minor) != 2)
    throw std::runtime_error("no kernel release");
  return std::ranges::any_of(kNewer, [&](const Newer& call) {
    return call.attempt == attempt && std::pair(major, minor) < std::pair(call.major, call.minor);
  });
}

}  // namespace

std::string_view expectedOf(std::string_view attempt, hostile::Column column) {
  // Landlock scopes them since its version 6 (Linux 6.12). Before, whoever listens in the same
  // network namespace is reached; nobody of ours does.
  constexpr int kScopes = 6;
  const auto* const row = std::ranges::find(hostile::kAttempts, attempt, &hostile::Attempt::name);
  if (row == std::end(hostile::kAttempts)) throw std::runtime_error("no such attempt");
  const std::string_view wanted = hostile::resultOf(row->expected[column]);
  if (attempt == "abstract-socket" && wanted == "EPERM" && landlockAbi() < kScopes) return "ok";
  const bool unfiltered = column >= hostile::kNoFilter;
  return unfiltered && isNewerThanTheKernel(attempt) ? "ENOSYS" : wanted;
}

std::vector<std::string> unexpected(const Outcomes& outcomes, hostile::Column column) {
  std::vector<std::string> lines;
  for (const hostile::Attempt& attempt : hostile::kAttempts) {
    const auto found = outcomes.find(attempt.name);
    const std::string_view wanted = expectedOf(attempt.name, column);
    // Not of this kernel, it says nothing about a wall; another kernel may have it.
    const bool possible = attempt.expected[hostile::kFree] == "ok";
    if (column >= hostile::kNoFilter && !possible) continue;
    const std::string got = found == outcomes.end() ? "nothing" : found->second;
    if (got != wanted)
      lines.push_back(fmt::format("{} {}: {} instead of {}", hostile::kColumnNames[column],
                                  attempt.name, got, wanted));
  }
  return lines;
}

namespace {

void addToTable(const std::string& text) {
  const char* path = std::getenv("ORRERY_HOSTILE_TABLE");
  if (path == nullptr) return;
  const UniqueFd file = must(openFile(path, O_WRONLY | O_CREAT | O_APPEND, 0644));
  must(writeAll(file.get(), text));
}

}  // namespace

void expectTable(const Outcomes& outcomes, hostile::Column column) {
  std::string text;
  for (const auto& [name, result] : outcomes)
    text += fmt::format("{} {} {}\n", static_cast<std::size_t>(column), name, result);
  addToTable(text);
  for (const std::string& line : unexpected(outcomes, column)) ADD_FAILURE() << line;
}

void expectTold(const std::vector<ToldCall>& told, const Outcomes& outcomes,
                hostile::Column column) {
  std::map<std::string, std::set<std::string>> calls;
  for (const ToldCall& one : told) {
    calls[one.attempt].insert(one.call);
    EXPECT_NE(one.arguments.find_first_not_of(" ,"), std::string::npos) << one.call;
  }
  for (const hostile::Attempt& attempt : hostile::kAttempts) {
    const std::set<std::string>& seen = calls[attempt.name];
    for (const std::string& call : seen)
      addToTable(
          fmt::format("{} {} told:{}\n", static_cast<std::size_t>(column), attempt.name, call));
    const std::string_view cell = attempt.expected[column];
    if (!outcomes.contains(attempt.name) || cell == "ok") continue;
    const auto names = split(attempt.call, '|');
    const bool named = std::any_of(names.begin(), names.end(), [&](std::string_view name) {
      return seen.contains(std::string(name));
    });
    EXPECT_EQ(hostile::isTold(cell), named)
        << hostile::kColumnNames[column] << " " << attempt.name << ": told of "
        << join({seen.begin(), seen.end()}, ", ") << " in place of " << attempt.call;
  }
}

}  // namespace orrery::test
