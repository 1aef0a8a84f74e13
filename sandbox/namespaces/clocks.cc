#include "sandbox/namespaces/clocks.h"

#include <fcntl.h>
#include <sys/random.h>

#include <optional>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;  // ns

std::int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * kSecond + time.tv_nsec;
}

// "monotonic           0         0": seconds, nanoseconds (proc_timens_show_offsets()).
std::optional<std::int64_t> offsetOf(std::string_view present, std::string_view clock) {
  for (const std::string_view line : split(present, '\n')) {
    const auto words = splitWords(line);
    if (words.size() != 3 || words[0] != clock) continue;
    const bool negative = words[1].starts_with('-');
    const auto seconds = parseNumber<std::int64_t>(negative ? words[1].substr(1) : words[1]);
    const auto rest = parseNumber<std::int64_t>(words[2]);
    if (!seconds || !rest) return std::nullopt;
    return (negative ? -*seconds : *seconds) * kSecond + *rest;
  }
  return std::nullopt;
}

// The kernel wants the rest positive.
std::string lineOf(std::string_view clock, std::int64_t offset) {
  std::int64_t seconds = offset / kSecond;
  std::int64_t rest = offset % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  return fmt::format("{} {} {}\n", clock, seconds, rest);
}

}  // namespace

Result<std::string> clockOffsets(std::string_view present, const HostClocks& now,
                                 std::uint64_t start) {
  std::string text;
  const std::pair<std::string_view, timespec> clocks[] = {{"monotonic", now.monotonic},
                                                          {"boottime", now.boottime}};
  for (const auto& [clock, time] : clocks) {
    const auto moved = offsetOf(present, clock);
    if (!moved) return error("timens_offsets has no offset of the {} clock", clock);
    text += lineOf(clock, *moved - nanoseconds(time) + static_cast<std::int64_t>(start));
  }
  return text;
}

Result<std::string> newClockOffsets(const UniqueFd& proc) {
  const UniqueFd file(::openat(proc.get(), "self/timens_offsets", O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::string();
  if (!file) return sysError(errno, "open timens_offsets");
  ORRERY_TRY_ASSIGN(const std::string present, readAll(file.get()));
  std::uint64_t chance = 0;
  if (::getrandom(&chance, sizeof chance, 0) != sizeof chance)
    return sysError(errno, "get random bytes");
  constexpr std::uint64_t kHour = 3600ULL * kSecond;
  constexpr std::uint64_t kWeek = 7 * 24 * kHour;
  HostClocks now;
  if (::clock_gettime(CLOCK_MONOTONIC, &now.monotonic) != 0 ||
      ::clock_gettime(CLOCK_BOOTTIME, &now.boottime) != 0)
    return sysError(errno, "read the clocks");
  return clockOffsets(present, now, kHour + chance % (kWeek - kHour));
}

}  // namespace orrery
