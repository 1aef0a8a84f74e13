// What every jail of a service has in common. Private to routers/services.
#pragma once

#include "routers/services/service_spec.h"

namespace orrery {

// Ids, limits and a root with the program, the libraries and nothing else to run.
SandboxSpec serviceSandbox(const ServiceContext& at, ServiceKind kind, const std::string& program);

}  // namespace orrery
