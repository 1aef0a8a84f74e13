#include "runtime/supervisor/output_gate.h"

#include <algorithm>

namespace orrery {

using std::chrono::milliseconds;

constexpr std::uint64_t kMillisecondsPerSecond = 1000;

std::uint64_t Budget::left(Time now) {
  if (!counted_) counted_ = now;
  const auto passed = std::chrono::duration_cast<milliseconds>(now - *counted_);
  if (passed.count() <= 0) return left_;
  *counted_ += passed;
  // More would only fill it up again, and could overflow.
  const std::uint64_t enough = atOnce_ * kMillisecondsPerSecond / perSecond_ + 1;
  const std::uint64_t counts = std::min(static_cast<std::uint64_t>(passed.count()), enough);
  left_ = std::min(atOnce_, left_ + counts * perSecond_ / kMillisecondsPerSecond);
  return left_;
}

milliseconds Budget::until(std::uint64_t amount, Time now) {
  const std::uint64_t present = left(now);
  const std::uint64_t wanted = std::min(amount, atOnce_);
  if (present >= wanted) return milliseconds(0);
  return milliseconds((wanted - present) * kMillisecondsPerSecond / perSecond_ + 1);
}

// After a pause there is a good part to read, so that waking up costs little.
milliseconds OutputGate::pause(Time now) {
  if (read_.left(now) >= kChunk) return milliseconds(0);
  return read_.until(kReadAtOnce / 4, now);
}

OutputGate::Fate OutputGate::line(std::size_t bytes, Time now) {
  const std::uint64_t cost = bytes + 1;
  if (flooded_ && kept_.full(now)) {
    flooded_ = false;
    kept_.take(cost);
    return Fate::keptAgain;
  }
  if (kept_.left(now) >= cost) {
    kept_.take(cost);
    return Fate::kept;
  }
  if (flooded_) {
    ++dropped_;
    return Fate::dropped;
  }
  flooded_ = true;
  dropped_ = 1;
  return Fate::droppedFirst;
}

}  // namespace orrery
