// The door to the engine: what commands do to whole routers. Tests hand in a fake.
#pragma once

#include <vector>

#include "runtime/engine/operations.h"

namespace orrery {

class Operations {
 public:
  virtual ~Operations() = default;
  virtual Result<SpawnReport> spawn(const std::vector<RouterSpec>& specs,
                                    const SpawnOptions& options, ProgressSink& progress) = 0;
  virtual Result<SpawnReport> restart(const std::vector<RouterSpec>& specs,
                                      const SpawnOptions& options, ProgressSink& progress) = 0;
  virtual Result<DestroyReport> destroy(const std::vector<RouterId>& routers,
                                        const DestroyOptions& options, ProgressSink& progress) = 0;
  virtual Result<std::vector<PlanText>> plan(const std::vector<RouterSpec>& specs) = 0;
  virtual Result<GcReport> gc() = 0;
};

// The real one: runtime/engine/operations.h.
class EngineOperations final : public Operations {
 public:
  Result<SpawnReport> spawn(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                            ProgressSink& progress) override;
  Result<SpawnReport> restart(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                              ProgressSink& progress) override;
  Result<DestroyReport> destroy(const std::vector<RouterId>& routers, const DestroyOptions& options,
                                ProgressSink& progress) override;
  Result<std::vector<PlanText>> plan(const std::vector<RouterSpec>& specs) override;
  Result<GcReport> gc() override;
};

}  // namespace orrery
