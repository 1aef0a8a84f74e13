#include "runtime/routerctl/operations.h"

namespace orrery {

Result<SpawnReport> EngineOperations::spawn(const std::vector<RouterSpec>& specs,
                                            const SpawnOptions& options, ProgressSink& progress) {
  return orrery::spawn(specs, options, progress);
}

Result<SpawnReport> EngineOperations::restart(const std::vector<RouterSpec>& specs,
                                              const SpawnOptions& options, ProgressSink& progress) {
  return orrery::restart(specs, options, progress);
}

Result<DestroyReport> EngineOperations::destroy(const std::vector<RouterId>& routers,
                                                const DestroyOptions& options,
                                                ProgressSink& progress) {
  return orrery::destroy(routers, options, progress);
}

Result<std::vector<PlanText>> EngineOperations::plan(const std::vector<RouterSpec>& specs) {
  return orrery::planText(specs);
}

Result<GcReport> EngineOperations::gc() {
  return orrery::gc();
}

}  // namespace orrery
