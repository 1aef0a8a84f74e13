// Results as text and JSON, shared by several commands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/console/console.h"
#include "runtime/console/progress.h"
#include "runtime/engine/operations.h"
#include "runtime/routerctl/registry.h"

namespace orrery {

// Carries the engine's progress to the console.
class EngineProgress final : public ProgressSink {
 public:
  explicit EngineProgress(Console& console) : view_(console) {}
  void report(const Progress& progress) override;
  void finish() { view_.finish(); }

 private:
  ProgressView view_;
};

CommandResult printPlans(Console& console, const std::vector<PlanText>& plans);
// Exit code 1 if a router that was waited for is not ready.
CommandResult printSpawned(Console& console, const SpawnReport& report, bool waited);
CommandResult printDestroyed(Console& console, const DestroyReport& report);
// `nowMs`: CLOCK_BOOTTIME, for uptimes.
void printList(Console& console, const std::vector<RouterView>& views, std::int64_t nowMs);
void printStatus(Console& console, const RouterView& view, std::int64_t nowMs);

// "3d 4h", "5m 12s", "42s". Pure.
std::string durationText(std::int64_t milliseconds);
Tone toneOf(const std::string& phase);
// The error of a command that needs a running supervisor (exit code 5, 4 if we may not ask).
tl::unexpected<Failure> notRunning(const RouterId& id, Error why);

}  // namespace orrery
