// Reads [router.NAME.seccomp]: the learning mode, and profiles of the user's own.
#pragma once

#include <optional>
#include <string>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/field_reader.h"
#include "routers/spec/router_spec.h"

namespace orrery {

// `title` is how the table is called in messages. `kind` is absent if it could not be read. What is
// wrong is reported; the result holds the rest.
SeccompSpec readSeccompSpec(const Node& table, const std::string& title,
                            const std::optional<Kind>& kind, const AuxiliaryFiles& auxiliary,
                            Reporter& reporter);

}  // namespace orrery
