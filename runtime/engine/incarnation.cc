#include "runtime/engine/incarnation.h"

#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "runtime/control/paths.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::string_view kLife = "/life-";
constexpr std::string_view kSupervisorMark = "/supervisor.pid";
constexpr std::string_view kKeeperMark = "/keeper.pid";

std::string presentLink(const RouterId& router) {
  return RouterPaths(router).runDir + "/life";
}
std::string withdrawnDirectory(const RouterId& router) {
  return RouterPaths(router).runDir + "/withdrawn";
}
std::string lifeDirectory(const RouterId& router, std::string_view word) {
  return fmt::format("{}{}{}", RouterPaths(router).runDir, kLife, word);
}

Result<std::string> newWord() {
  std::uint64_t word = 0;
  if (::getrandom(&word, sizeof word, 0) != sizeof word)
    return sysError(errno, "get a random word");
  return fmt::format("{:016x}", word);
}

// What is written with the directory gone is written by one who is not wanted any more.
Status writeMark(const RouterId& router, const std::string& word, std::string_view file,
                 const ProcessMark& mark) {
  Status written = writeFileAtomic(lifeDirectory(router, word).append(file), toText(mark));
  if (!written && written.error().err == ENOENT)
    return sysError(kSuperseded, "supervise {}: it was stopped or started anew", router.text());
  return written;
}

}  // namespace

Result<ProcessMark> markOf(pid_t pid) {
  ORRERY_TRY_ASSIGN(const std::string stat, readFile(fmt::format("/proc/{}/stat", pid), 4096));
  // The name in parentheses may hold anything; what follows the last one is well-formed (proc(5)).
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return error("/proc/{}/stat is odd", pid);
  const auto fields = splitWords(std::string_view(stat).substr(close + 1));
  constexpr std::size_t kStartTime = 22 - 3;  // the first field here is number 3
  if (fields.size() <= kStartTime) return error("/proc/{}/stat is short", pid);
  const auto ticks = parseNumber<std::uint64_t>(fields[kStartTime]);
  if (!ticks) return error("/proc/{}/stat is odd", pid);
  return ProcessMark{pid, *ticks};
}

std::string toText(const ProcessMark& mark) {
  return fmt::format("{} {}\n", mark.pid, mark.startTicks);
}

Result<ProcessMark> parseMark(std::string_view text) {
  const auto words = splitWords(text);
  if (words.size() == 2) {
    const auto pid = parseNumber<pid_t>(words[0]);
    const auto ticks = parseNumber<std::uint64_t>(words[1]);
    if (pid && *pid > 0 && ticks) return ProcessMark{*pid, *ticks};
  }
  return error("'{}' is no process mark", trim(text).substr(0, 64));
}

Result<std::optional<PidFd>> openMarked(const std::string& markFile) {
  auto text = readFile(markFile, 256);
  if (!text && text.error().err == ENOENT) return std::optional<PidFd>{};
  if (!text) return tl::unexpected<Error>(std::move(text).error());
  auto mark = parseMark(*text);
  if (!mark) return wrap(std::move(mark).error(), "'{}'", markFile);
  auto pidfd = openPidfd(mark->pid);
  if (!pidfd && pidfd.error().err == ESRCH) return std::optional<PidFd>{};
  if (!pidfd) return tl::unexpected<Error>(std::move(pidfd).error());
  // The descriptor is held, so the number cannot change hands between this check and its use.
  const auto now = markOf(mark->pid);
  if (!now || *now != *mark) return std::optional<PidFd>{};
  ORRERY_TRY_ASSIGN(const bool ended, waitGone(*pidfd, std::chrono::milliseconds(0)));
  if (ended) return std::optional<PidFd>{};
  return std::optional<PidFd>(std::move(*pidfd));
}

std::string supervisorMarkPath(const RouterId& router) {
  return presentLink(router).append(kSupervisorMark);
}
std::string keeperMarkPath(const RouterId& router) {
  return presentLink(router).append(kKeeperMark);
}

Result<std::string> beginIncarnation(const RouterId& router) {
  ORRERY_TRY_ASSIGN(std::string word, newWord());
  const std::string directory = lifeDirectory(router, word);
  ORRERY_TRY(makeDirectories(directory, 0700));
  const std::string link = presentLink(router);
  const std::string target = directory.substr(directory.rfind('/') + 1);
  if (::symlink(target.c_str(), link.c_str()) == 0) return word;
  const auto failure = sysError(errno, "make link '{}'", link);
  (void)removeDirectory(directory);
  return failure;
}

Result<std::string> readIncarnation(const RouterId& router) {
  const std::string link = presentLink(router);
  std::array<char, NAME_MAX> target{};
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  if (size < 0 && errno == ENOENT) return std::string();
  if (size < 0) return sysError(errno, "read link '{}'", link);
  const std::string_view text(target.data(), static_cast<std::size_t>(size));
  const std::string_view prefix = kLife.substr(1);
  if (!text.starts_with(prefix)) return error("'{}' leads to '{}'", link, text);
  return std::string(text.substr(prefix.size()));
}

Status markSupervisor(const RouterId& router, const std::string& word, const ProcessMark& mark) {
  return writeMark(router, word, kSupervisorMark, mark);
}
Status markKeeper(const RouterId& router, const std::string& word, const ProcessMark& mark) {
  return writeMark(router, word, kKeeperMark, mark);
}

Result<bool> supervisedByOther(const RouterId& router, const std::string& word,
                               const ProcessMark& self) {
  const std::string path = lifeDirectory(router, word).append(kSupervisorMark);
  ORRERY_TRY_ASSIGN(const auto other, openMarked(path));
  if (!other) return false;
  // A successor that tries again has the number that it wrote down at its first try.
  ORRERY_TRY_ASSIGN(const std::string noted, readFile(path));
  return noted != toText(self);
}

Result<Bereft> withdrawIncarnation(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const std::string word, readIncarnation(router));
  const std::string withdrawn = withdrawnDirectory(router);
  // ENOENT: withdrawn already by one who did not come to forget it.
  if (!word.empty() && ::rename(lifeDirectory(router, word).c_str(), withdrawn.c_str()) != 0 &&
      errno != ENOENT)
    return sysError(errno, "withdraw the supervisor of {}", router.text());
  Bereft left;
  ORRERY_TRY_ASSIGN(left.keeper, openMarked(withdrawn + std::string(kKeeperMark)));
  ORRERY_TRY_ASSIGN(left.supervisor, openMarked(withdrawn + std::string(kSupervisorMark)));
  return left;
}

Status forgetIncarnation(const RouterId& router) {
  // The link last: without it a new one may begin, whose own withdrawal needs the place.
  ORRERY_TRY(removeTree(withdrawnDirectory(router)));
  return removeFile(presentLink(router));
}

}  // namespace orrery
