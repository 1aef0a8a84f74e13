// Extra torrc lines of a star: choice of guards, exits, bridges and directory authorities, and what
// a private test network needs. An allow-list: tor(1) 0.4.9; anything that opens a port, runs a
// program, reads or writes a path or changes the process is refused.
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/diagnostic.h"

namespace orrery {

// The lines without comments and blanks, one "Option value" each.
tl::expected<std::string, std::vector<Diagnostic>> readTorrcExtras(const std::string& path,
                                                                   const AuxiliaryFile& file,
                                                                   unsigned user = 0);

}  // namespace orrery
