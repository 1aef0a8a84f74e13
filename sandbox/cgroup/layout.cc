#include <algorithm>

#include "sandbox/base/strings.h"
#include "sandbox/cgroup/cgroup.h"

namespace orrery {
namespace {

// mountinfo writes blank, tab, newline and backslash as \ooo (proc_pid_mountinfo(5)).
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octal = text[i] == '\\' && i + 3 < text.size()
                           ? parseNumber<unsigned>(text.substr(i + 1, 3), 8)
                           : std::nullopt;
    if (!octal || *octal > 0xff) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(*octal);
    i += 3;
  }
  return out;
}

bool hasWord(std::string_view list, std::string_view word) {
  const std::vector<std::string_view> words = split(list, ',');
  return std::ranges::find(words, word) != words.end();
}

struct CgroupMount {
  std::string point;
  std::string_view type;
  std::string_view options;  // of the super block: the controllers, on v1
};

std::optional<CgroupMount> parseMount(std::string_view line) {
  constexpr std::size_t kPoint = 4;
  constexpr std::size_t kMountOptions = 5;
  const std::vector<std::string_view> words = splitWords(line);
  const auto dash = std::ranges::find(words, std::string_view("-"));
  if (words.size() <= kMountOptions || words.end() - dash < 4) return std::nullopt;
  CgroupMount mount{unescape(words[kPoint]), dash[1], dash[3]};
  if (mount.type != "cgroup" && mount.type != "cgroup2") return std::nullopt;
  if (!hasWord(words[kMountOptions], "rw") || !hasWord(mount.options, "rw")) return std::nullopt;
  return mount;
}

void takeFirst(std::string& slot, const std::string& point) {
  if (slot.empty()) slot = point;
}

}  // namespace

CgroupLayout parseCgroupLayout(std::string_view mountinfo) {
  CgroupLayout layout;
  for (std::string_view line : split(mountinfo, '\n')) {
    const auto mount = parseMount(line);
    if (!mount) continue;
    if (mount->type == "cgroup2") {
      takeFirst(layout.unified, mount->point);
      continue;
    }
    if (hasWord(mount->options, "memory")) takeFirst(layout.memory, mount->point);
    if (hasWord(mount->options, "pids")) takeFirst(layout.pids, mount->point);
    if (hasWord(mount->options, "cpuset")) takeFirst(layout.cpuset, mount->point);
    if (hasWord(mount->options, "cpu")) takeFirst(layout.cpu, mount->point);
    if (hasWord(mount->options, "freezer")) takeFirst(layout.freezer, mount->point);
  }
  // Not by "cpu": with that alone on v1 all others are v2's, and every router has those.
  const bool v1 = !layout.memory.empty() || !layout.pids.empty() || !layout.cpuset.empty() ||
                  !layout.freezer.empty();
  if (v1)
    layout.version = CgroupLayout::Version::v1;
  else if (!layout.unified.empty())
    layout.version = CgroupLayout::Version::v2;
  return layout;
}

std::optional<CpuQuotaUse> parseCpuQuota(std::string_view max, std::string_view stat) {
  constexpr std::uint64_t kWhole = 100;  // per cent
  const auto words = splitWords(max);
  if (words.size() != 2) return std::nullopt;
  const auto quota = parseNumber<std::uint64_t>(words[0]);
  const auto period = parseNumber<std::uint64_t>(words[1]);
  if (!quota || !period || *period == 0) return std::nullopt;
  CpuQuotaUse use;
  use.percent = static_cast<std::uint32_t>(*quota * kWhole / *period);
  for (std::string_view line : split(stat, '\n')) {
    const auto pair = splitWords(line);
    const auto value = pair.size() == 2 ? parseNumber<std::uint64_t>(pair[1]) : std::nullopt;
    if (!value) continue;
    if (pair[0] == "nr_periods") use.periods = *value;
    if (pair[0] == "nr_throttled") use.throttled = *value;
    if (pair[0] == "throttled_usec") use.throttledTime = std::chrono::microseconds(*value);
    if (pair[0] == "throttled_time")  // v1
      use.throttledTime = std::chrono::microseconds(*value / 1000);
  }
  return use;
}

std::optional<std::string> cgroupOf(std::string_view text, std::string_view controller) {
  for (std::string_view line : split(text, '\n')) {  // "4:memory:/path", "0::/path"
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool found = controller.empty() ? controllers.empty() : hasWord(controllers, controller);
    if (found) return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

}  // namespace orrery
