#include "sandbox/process/fd_map.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace orrery {

int firstFreeFd(const FdMap& fds) {
  int base = 3;
  for (const auto& [from, to] : fds) base = std::max(base, to + 1);
  return base;
}

std::vector<FdGap> gapsBetween(std::vector<int> kept) {
  std::ranges::sort(kept);
  std::vector<FdGap> gaps;
  unsigned next = 0;
  for (int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > next) gaps.push_back(FdGap{next, number - 1});
    next = number + 1;
  }
  gaps.push_back(FdGap{next, kNoLastFd});
  return gaps;
}

namespace {

Result<FdMap> withStandard(FdMap fds, const UniqueFd& null) {
  std::vector<int> targets;
  for (const auto& [from, to] : fds) {
    if (to < 0 || to > kMaxTargetFd)
      return error("descriptor {} for the child is not in 0 to {}", to, kMaxTargetFd);
    if (std::ranges::find(targets, to) != targets.end())
      return error("descriptor {} for the child is given twice", to);
    targets.push_back(to);
  }
  for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (std::ranges::find(targets, standard) == targets.end())
      fds.emplace_back(null.get(), standard);
  }
  return fds;
}

}  // namespace

Result<ArrangedFds> arrangeFds(const FdMap& fds, int alsoKept) {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return sysError(errno, "open '/dev/null'");
  ORRERY_TRY_ASSIGN(const FdMap complete, withStandard(fds, null));
  ArrangedFds arranged;
  std::vector<int> kept;
  if (alsoKept >= 0) kept.push_back(alsoKept);
  const int base = firstFreeFd(complete);
  for (const auto& [from, to] : complete) {
    UniqueFd copy(::fcntl(from, F_DUPFD_CLOEXEC, base));
    if (!copy) return sysError(errno, "duplicate descriptor {} for the child's {}", from, to);
    arranged.moves.emplace_back(std::move(copy), to);
    kept.push_back(to);
  }
  arranged.gaps = gapsBetween(std::move(kept));
  return arranged;
}

}  // namespace orrery
