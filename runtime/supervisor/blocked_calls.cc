#include "runtime/supervisor/blocked_calls.h"

#include <algorithm>
#include <utility>

namespace orrery {
namespace {

constexpr std::chrono::seconds kFirstPause{10};
constexpr std::chrono::minutes kLongestPause{10};
constexpr int kOthers = -1;  // all numbers beyond kMaxKinds

}  // namespace

BlockedReport BlockedCalls::take(Kind& kind) {
  return BlockedReport{kind.last, std::exchange(kind.untold, 0), kind.total};
}

std::optional<BlockedReport> BlockedCalls::add(int number, BlockedCall call, Time now) {
  if (!kinds_.contains(number) && kinds_.size() >= kMaxKinds) number = kOthers;
  Kind& kind = kinds_[number];
  kind.last = std::move(call);
  ++kind.untold;
  ++kind.total;
  // Untold ones wait for due(), so that a report is never late and never sent twice.
  if (kind.total > 1 && (now < kind.quietUntil || kind.untold > 1)) return std::nullopt;
  kind.pause = kFirstPause;
  kind.quietUntil = now + kind.pause;
  return take(kind);
}

std::vector<BlockedReport> BlockedCalls::due(Time now) {
  std::vector<BlockedReport> out;
  for (auto& entry : kinds_) {
    Kind& kind = entry.second;
    if (kind.untold == 0 || now < kind.quietUntil) continue;
    kind.pause = std::min<std::chrono::milliseconds>(kind.pause * 2, kLongestPause);
    kind.quietUntil = now + kind.pause;
    out.push_back(take(kind));
  }
  return out;
}

std::vector<BlockedReport> BlockedCalls::rest() {
  std::vector<BlockedReport> out;
  for (auto& entry : kinds_)
    if (entry.second.untold != 0) out.push_back(take(entry.second));
  return out;
}

std::optional<BlockedCalls::Time> BlockedCalls::nextDue() const {
  std::optional<Time> next;
  for (const auto& entry : kinds_)
    if (entry.second.untold != 0 && (!next || entry.second.quietUntil < *next))
      next = entry.second.quietUntil;
  return next;
}

}  // namespace orrery
