// A live router as verification needs it: its definition, its plan, what its namespaces hold, the
// contract with the facts of this moment, and the links to watch. Needs root.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "routers/contract/contract.h"
#include "routers/kinds/desired.h"
#include "runtime/audit/probes.h"
#include "runtime/audit/process.h"
#include "runtime/audit/structure.h"
#include "runtime/control/state.h"

namespace orrery::audit {

struct LiveRouter {
  RouterSpec spec;
  Placement placement;
  std::string libexec;  // where its programs are
  std::vector<NamespaceModel> models;
  std::vector<NamespaceSeen> seen;  // in step with `models`
  Contract contract;
  ContractFacts facts;
};

// `ports` is called after the namespaces were read: whoever makes a port writes it down first.
struct LiveQuery {
  RouterId id;
  std::optional<RouterState> state;  // as its supervisor says; none: there is none
  Result<std::vector<PortOwner>> (*ports)(const RouterId& id, const std::string& root);
  std::string root;
};
Result<LiveRouter> lookAt(const LiveQuery& query);

// Where the two ends of every link that can lead out are watched: the uplink at its far end if that
// is a router's LAN, else at our own; the tunnel; and each link that no plan has.
struct PlannedWatch {
  std::string netns;
  std::string device;
  int index = 0;  // of the device there: another one of that name is another watch
  WatchedLink link;
};
Result<std::vector<PlannedWatch>> planWatches(const LiveRouter& router);

// What acts on the frames of a namespace beside its rules, and is none of ours: a sentence each.
// Err ENOENT without the namespace.
Result<std::vector<std::string>> foreignTraffic(const std::string& netns);

Result<std::vector<Watch>> openWatches(const std::vector<PlannedWatch>& planned);

AuditorHome auditorHome(const LiveRouter& router);
ProbeGround probeGround(const LiveRouter& router, const Mac& client, Ipv4 address);
// 14 characters that nobody else sends.
Result<std::string> newSession();

}  // namespace orrery::audit
