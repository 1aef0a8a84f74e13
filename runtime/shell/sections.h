// The readers behind the table of inspect.h, and what they share. For this folder.
#pragma once

#include <functional>

#include "netns/netlink/rtnl.h"
#include "runtime/shell/inspect.h"

namespace orrery {

Result<InspectView> readLinks(const InspectTarget& target);
Result<InspectView> readAddresses(const InspectTarget& target);
Result<InspectView> readRoutes(const InspectTarget& target);
Result<InspectView> readNeighbours(const InspectTarget& target);
Result<InspectView> readRuleset(const InspectTarget& target);
Result<InspectView> readFilters(const InspectTarget& target);
Result<InspectView> readSockets(const InspectTarget& target);
Result<InspectView> readLeases(const InspectTarget& target);
Result<InspectView> readServices(const InspectTarget& target);
Result<InspectView> readEgress(const InspectTarget& target);
Result<InspectView> readSeccomp(const InspectTarget& target);
Result<InspectView> readBytecode(const InspectTarget& target);
Result<InspectView> readLimits(const InspectTarget& target);
// What each client may take and what was dropped for it, into `limits`.
Status addClientLimits(const InspectTarget& target, InspectView& view);

// Capabilities by name, from a bit set in hexadecimal digits: "cap_net_raw,cap_kill", "none".
std::string capabilityNames(std::string_view hex);

// What a control group's file says: for people, and as JSON (numbers are bytes or counts, null is "no
// limit" or "not known"). Pure.
enum class LimitKind { bytes, count, text };
struct LimitValue {
  std::string text;
  Json json;
};
LimitValue limitValue(LimitKind kind, std::string_view file);

// One block for each namespace that the router has now: `part` fills it and returns its JSON, which
// goes into the view under the namespace's name. No namespace at all is an error.
using NamespacePart = std::function<Result<Json>(const NetnsFd& netns, InspectBlock& block)>;
Result<InspectView> forEachNamespace(const InspectTarget& target, const NamespacePart& part);

}  // namespace orrery
