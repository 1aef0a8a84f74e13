// How much of a flood is read and kept, by a clock that the test turns.
#include "runtime/supervisor/output_gate.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Fate = OutputGate::Fate;

constexpr OutputGate::Time kStart = OutputGate::Time{} + std::chrono::hours(1000);

// A service that writes lines of `line` bytes whenever it is read from, for so long.
struct Flood {
  std::uint64_t read = 0, kept = 0, dropped = 0, told = 0, wakes = 0;
};
Flood flood(OutputGate& gate, OutputGate::Time& now, seconds duration, std::size_t line) {
  Flood seen;
  const OutputGate::Time end = now + duration;
  while (now < end) {
    const milliseconds pause = gate.pause(now);
    if (pause.count() > 0) {
      ++seen.wakes;
      now += pause;
      continue;
    }
    gate.haveRead(OutputGate::kChunk);
    seen.read += OutputGate::kChunk;
    for (std::size_t at = 0; at < OutputGate::kChunk; at += line + 1)
      switch (gate.line(line, now)) {
        case Fate::kept:
        case Fate::keptAgain:
          seen.kept += line + 1;
          break;
        case Fate::droppedFirst:
          ++seen.told;
          [[fallthrough]];
        case Fate::dropped:
          ++seen.dropped;
      }
  }
  return seen;
}

TEST(OutputGate, BoundsWhatIsReadAndKept) {
  for (const std::size_t line : {std::size_t{4}, std::size_t{60}, std::size_t{4000}}) {
    OutputGate gate;
    OutputGate::Time now = kStart;
    constexpr std::uint64_t kSeconds = 20;
    const Flood seen = flood(gate, now, seconds(kSeconds), line);
    EXPECT_LE(seen.read, OutputGate::kReadAtOnce + kSeconds * OutputGate::kRead * 101 / 100);
    EXPECT_GE(seen.read, kSeconds * OutputGate::kRead * 95 / 100) << "or it stands still";
    EXPECT_LE(seen.kept, OutputGate::kKeptAtOnce + kSeconds * OutputGate::kKept * 101 / 100);
    EXPECT_GE(seen.kept, kSeconds * OutputGate::kKept * 95 / 100);
    EXPECT_EQ(seen.told, 1u);
    EXPECT_EQ(gate.dropped(), seen.dropped);
    EXPECT_LE(seen.wakes, kSeconds * 20) << "pauses are worth it";
  }
}

TEST(OutputGate, LetsAnHonestServiceSayWhatItSays) {
  OutputGate gate;
  OutputGate::Time now = kStart;
  constexpr std::size_t kLine = 120;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(gate.pause(now).count(), 0);
    gate.haveRead(kLine + 1);
    ASSERT_EQ(gate.line(kLine, now), Fate::kept) << i;
    now += milliseconds(2);
  }
}

TEST(OutputGate, TellsOfTheEndOfAFloodOnce) {
  OutputGate gate;
  OutputGate::Time now = kStart;
  const Flood first = flood(gate, now, seconds(5), 60);
  ASSERT_GT(first.dropped, 0u);
  now += seconds(OutputGate::kKeptAtOnce / OutputGate::kKept / 2);
  EXPECT_EQ(gate.line(60, now), Fate::kept) << "not over yet";
  now += seconds(OutputGate::kKeptAtOnce / OutputGate::kKept + 1);
  EXPECT_EQ(gate.line(60, now), Fate::keptAgain);
  EXPECT_EQ(gate.dropped(), first.dropped);
  EXPECT_EQ(gate.line(60, now), Fate::kept);
  const Flood second = flood(gate, now, seconds(5), 60);
  EXPECT_EQ(second.told, 1u);
  EXPECT_EQ(gate.dropped(), second.dropped);
}

TEST(Budget, NeitherOverflowsNorGoesBack) {
  Budget budget(1'000'000, 3'000'000);
  EXPECT_EQ(budget.left(kStart), 3'000'000u);
  budget.take(4'000'000);
  EXPECT_EQ(budget.left(kStart), 0u);
  EXPECT_EQ(budget.left(kStart - seconds(5)), 0u);
  EXPECT_EQ(budget.until(1000, kStart).count(), 2);
  EXPECT_EQ(budget.left(kStart + seconds(1)), 1'000'000u);
  EXPECT_EQ(budget.left(kStart + std::chrono::hours(900'000)), 3'000'000u);
  EXPECT_EQ(budget.until(9'000'000, kStart + std::chrono::hours(900'000)).count(), 0);
}

}  // namespace
}  // namespace orrery
