// Where our own programs and those of the services are.
#pragma once

#include <string>

#include "routers/services/service_spec.h"

namespace orrery {

// The directory of orrery-supervisor and its fellows: beside the running program (a build tree), or
// ../libexec/orrery from it (an installation).
Result<std::string> libexecDirectory();

ProgramPaths programPaths(const std::string& libexec);

}  // namespace orrery
