// A provider's WireGuard configuration in wg-quick(8)'s syntax.
//
// PreUp, PostUp, PreDown, PostDown (run programs), Table, FwMark and SaveConfig (change the host)
// are refused by name. IPv6 addresses are left out with a warning. Endpoints must be addresses: a
// name would have to be resolved outside of the tunnel. The file holds a private key, so nobody but
// its owner may read it; diagnostics never show a line with a key.
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/diagnostic.h"
#include "routers/spec/router_spec.h"

namespace orrery {

struct WireGuardProfile {
  WireGuardEgress egress;
  std::vector<Diagnostic> warnings;
};

tl::expected<WireGuardProfile, std::vector<Diagnostic>> readWireGuardProfile(
    const std::string& path, const AuxiliaryFile& file, unsigned user = 0);

}  // namespace orrery
