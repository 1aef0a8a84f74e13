// Which of many refused system calls are told: the first of each kind at once, the rest in sums.
//
// A service may make the same refused call a million times. For each call (by its number) the first
// is reported at once; those that follow are counted, and told as one sum after 10 s, then 20 s,
// and so on up to 10 minutes as long as they go on. A pause without any begins anew. Pure: the
// caller brings the time. At most kMaxKinds kinds are kept apart.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace orrery {

struct BlockedCall {
  std::string name;       // "socket"
  std::string arguments;  // "AF_PACKET, SOCK_RAW, 768"
  std::string answer;     // "errno:EPERM", "killed", "let go"
  pid_t pid = 0;          // the thread's
};

struct BlockedReport {
  BlockedCall last;
  std::uint64_t count = 0;  // since the report before
  std::uint64_t total = 0;  // since the service started
};

class BlockedCalls {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // What to tell now, if anything.
  std::optional<BlockedReport> add(int number, BlockedCall call, Time now);
  // Sums whose pause is over.
  std::vector<BlockedReport> due(Time now);
  // All that is counted and not told.
  std::vector<BlockedReport> rest();
  // When due() will have something; nothing: not before the next add().
  std::optional<Time> nextDue() const;

  static constexpr std::size_t kMaxKinds = 128;

 private:
  struct Kind {
    BlockedCall last;
    std::uint64_t untold = 0;
    std::uint64_t total = 0;
    std::chrono::milliseconds pause{0};
    Time quietUntil{};
  };
  static BlockedReport take(Kind& kind);
  std::map<int, Kind> kinds_;
};

}  // namespace orrery
