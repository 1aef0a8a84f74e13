// What routerctl does to whole routers: spawn, restart, destroy, plan, gc.
//
// All of it runs in routerctl's process, as root; there is no daemon. Progress goes to the sink,
// data comes back as values, nothing is printed here.
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
// A router that has lost its supervisor and keeper gets them again, and keeps its network.
Result<SpawnReport> spawn(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                          ProgressSink& progress);

// Applies the definitions, which may be new, to routers that were spawned: what differs is
// replaced, the rest (namespaces, bridge, ports of clients and of routers downstream) stays as it
// is, and the supervisor starts anew with its services. A step that fails leaves the router as it
// was. Refused: a change of what clients hang on (the bridge, the LAN's subnet) while there are
// any. Err ESRCH for a router that was never spawned.
Result<SpawnReport> restart(const std::vector<RouterSpec>& specs, const SpawnOptions& options,
                            ProgressSink& progress);

struct DestroyOptions {
  bool force = false;      // also routers that others use as uplink
  bool keepState = false;  // what survives reboots stays: tor's guards
};
struct DestroyReport {
  std::vector<RouterId> destroyed;
};
Result<DestroyReport> destroy(const std::vector<RouterId>& routers, const DestroyOptions& options,
                              ProgressSink& progress);

struct PlanText {
  RouterId router;
  std::vector<std::string>
      steps;  // "+ bridge galaxy0 in network0.galaxy0, …"; empty: nothing to do
};
Result<std::vector<PlanText>> planText(const std::vector<RouterSpec>& specs);

struct GcReport {
  std::vector<std::string> removed;  // what was found without an owner, as toText(Resource)
};
// Removes what crashed commands left: half-made routers by their journals, id ranges and cgroups
// of ours that belong to no router. A pin or link that no journal names is never touched. A router
// that is whole but has lost its supervisor is none of it: its network is closed, others may hang
// on it, and `spawn` or `restart` brings it back.
Result<GcReport> gc();

}  // namespace orrery
