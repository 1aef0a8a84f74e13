// Handing descriptors to a child under given numbers, and closing all the rest.
//
// The sources are duplicated above every target first, so that no dup2 in the child can hit a
// source that is still needed, whatever the order.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"
#include "sandbox/process/process.h"

namespace orrery {

inline constexpr unsigned kNoLastFd = ~0U;
inline constexpr int kMaxTargetFd = 255;

struct FdGap {  // inclusive, as in close_range(2)
  unsigned first = 0;
  unsigned last = kNoLastFd;
  friend bool operator==(const FdGap&, const FdGap&) = default;
};
struct ArrangedFds {
  std::vector<std::pair<UniqueFd, int>> moves;  // ours (CLOEXEC, above every target) → the child's
  std::vector<FdGap> gaps;                      // everything else
};

// The first number above all targets, at least 3.
int firstFreeFd(const FdMap& fds);
// Pure. All numbers but `kept`.
std::vector<FdGap> gapsBetween(std::vector<int> kept);
// 0, 1 and 2 become /dev/null unless given. `alsoKept` (-1: none) is left out of the gaps; it must
// be above all targets. Errors: a target named twice, negative or above kMaxTargetFd, a source that
// is not open.
Result<ArrangedFds> arrangeFds(const FdMap& fds, int alsoKept = -1);

// A null-terminated array of pointers into `strings`, which must outlive it.
class CStrings {
 public:
  explicit CStrings(const std::vector<std::string>& strings) {
    // execve and posix_spawn take char* but change nothing (POSIX, rationale of exec).
    for (const std::string& s : strings) pointers_.push_back(const_cast<char*>(s.c_str()));
    pointers_.push_back(nullptr);
  }
  char* const* get() const { return pointers_.data(); }

 private:
  std::vector<char*> pointers_;
};

}  // namespace orrery
