// Which router a NAME on the command line means. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "routers/spec/router_spec.h"
#include "sandbox/base/result.h"

namespace orrery {

// "galaxy0" if one network has it, "network0.galaxy0" always. Errors: unknown (err ENOENT, with the
// nearest known name), and ambiguous, with the candidates.
Result<RouterId> resolveName(std::string_view name, const std::vector<RouterId>& known);

// The same for "NAME" and "NAME.egress".
struct NamespaceName {
  RouterId router;
  bool egress = false;
};
Result<NamespaceName> resolveNamespace(std::string_view name, const std::vector<RouterId>& known);

// True if the word looks like a path to a definition and not like a router's name.
bool looksLikeFile(std::string_view word);

}  // namespace orrery
