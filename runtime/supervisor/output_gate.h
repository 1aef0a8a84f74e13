// How much of a service's output is read, and how much of that is kept.
//
// A service may write without end, by a fault or on purpose, and reading costs its supervisor time.
// Two budgets by time: lines beyond kKept bytes a second (after kKeptAtOnce) are read and dropped,
// so that a service that says too much for a while is not stopped by its own words; beyond kRead
// bytes a second nothing is read, and the service waits for its pipe. Pure: the caller brings the
// time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace orrery {

// Tokens that come back with time.
class Budget {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Budget(std::uint64_t perSecond, std::uint64_t atOnce)
      : perSecond_(perSecond), atOnce_(atOnce), left_(atOnce) {}

  std::uint64_t left(Time now);
  void take(std::uint64_t amount) { left_ -= amount < left_ ? amount : left_; }
  bool full(Time now) { return left(now) == atOnce_; }
  // Until `amount`, at most what there is at once, is there.
  std::chrono::milliseconds until(std::uint64_t amount, Time now);

 private:
  std::uint64_t perSecond_;
  std::uint64_t atOnce_;
  std::uint64_t left_;
  std::optional<Time> counted_;
};

class OutputGate {
 public:
  using Time = Budget::Time;
  static constexpr std::uint64_t kRead = 4 << 20;  // bytes a second
  static constexpr std::uint64_t kReadAtOnce = 1 << 20;
  static constexpr std::uint64_t kKept = 64 << 10;
  static constexpr std::uint64_t kKeptAtOnce = 512 << 10;
  static constexpr std::size_t kChunk = 8192;  // bytes of one read

  // Zero: read up to kChunk, and say so. Else not before so long.
  std::chrono::milliseconds pause(Time now);
  void haveRead(std::size_t bytes) { read_.take(bytes); }

  // Whether a line is kept, and what is to be told of those that are not.
  enum class Fate { kept, keptAgain, dropped, droppedFirst };
  // keptAgain: the first since all of the budget had come back. droppedFirst: the first of a flood.
  Fate line(std::size_t bytes, Time now);
  // Of the flood that is on, or was until keptAgain.
  std::uint64_t dropped() const { return dropped_; }

 private:
  Budget read_{kRead, kReadAtOnce};
  Budget kept_{kKept, kKeptAtOnce};
  bool flooded_ = false;
  std::uint64_t dropped_ = 0;
};

}  // namespace orrery
