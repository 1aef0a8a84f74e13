// What routerctl does to whole routers: spawn, destroy, plan, gc, and the attaching of clients.
//
// All of it runs in routerctl's process, as root; there is no daemon. Progress goes to the sink, data
// comes back as values, nothing is printed here.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "routers/spec/router_spec.h"
#include "runtime/control/state.h"
#include "sandbox/base/result.h"

namespace orrery {

struct Progress {
  RouterId router;
  std::string stage;     // "plan", "link", "lease", "handshake", "bootstrap", "ready", …
  unsigned percent = 0;  // of this router
  std::string text;      // "Tor: loading relay descriptors"
};
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void report(const Progress& progress) = 0;
};

struct SpawnOptions {
  bool wait = true;
  std::optional<std::chrono::milliseconds> timeout;  // none: as long as the slowest egress may take
};
struct SpawnedRouter {
  RouterId id;
  bool changed = false;       // false: it ran already, as defined
  std::uint64_t readyMs = 0;  // from the start of spawn; 0 with wait = false
  RouterState state;
};
struct SpawnReport {
  std::vector<SpawnedRouter> routers;  // in start order
};
Result<SpawnReport> spawn(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                          ProgressSink& progress);

struct DestroyOptions {
  bool force = false;  // also routers that others use as uplink
};
struct DestroyReport {
  std::vector<RouterId> destroyed;
};
Result<DestroyReport> destroy(const std::vector<RouterId>& routers, const DestroyOptions& options,
                              ProgressSink& progress);

struct PlanText {
  RouterId router;
  std::vector<std::string> steps;  // "+ bridge galaxy0 in network0.galaxy0, …"; empty: nothing to do
};
Result<std::vector<PlanText>> planText(const std::vector<RouterSpec>& specs);

struct GcReport {
  std::vector<std::string> removed;  // what was found without an owner, as toText(Resource)
};
Result<GcReport> gc();

}  // namespace orrery
