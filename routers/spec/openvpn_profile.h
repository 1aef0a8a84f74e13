// A provider's .ovpn file, taken as it is, turned into a text that openvpn may be given.
//
// Every directive must be on a list of known ones: those that run programs, open other sockets,
// write files or change the process are refused by name with their line; so is an unknown one.
// Grammar and meaning: openvpn(8) 2.6, "INLINE FILE SUPPORT" and the option parser's quoting rules.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/diagnostic.h"
#include "routers/spec/router_spec.h"

namespace orrery {

struct OpenVpnProfile {
  OpenVpnEgress egress;
  std::vector<Diagnostic> warnings;
};

// `auth` is the definition's own user/password file (resolved path), which wins over the profile's.
//
// In the result `text` needs no other file: key material is inlined, comments are gone, remotes are
// explicit ("remote ADDRESS PORT udp4|tcp4-client"). Left out, because the service decides them:
// dev, dev-type, verb, and all that concerns routes and addresses of the host. `auth-user-pass` is
// left out too unless it is inline: where `egress.auth` is set, the service adds
// "auth-user-pass PATH" with the path that it has in the sandbox.
tl::expected<OpenVpnProfile, std::vector<Diagnostic>> readOpenVpnProfile(
    const std::string& path, const AuxiliaryFile& file, const AuxiliaryFiles& auxiliary,
    const std::optional<std::string>& auth);

}  // namespace orrery
