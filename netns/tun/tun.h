// Tunnel devices (layer 3): linux/if_tun.h.
#pragma once

#include <sys/types.h>

#include <optional>

#include "netns/addr/ip.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// What stands before each packet on the descriptor. wireguard-go wants the four bytes of struct tun_pi
// (0.0.20220316: tun_linux.go makes its own devices so), openvpn none.
enum class TunHeader { none, packetInformation };

// Makes a tun in the namespace and returns a descriptor that is attached to it. The descriptor is
// opened inside: the namespace of opening counts. The device may be moved afterwards; the
// descriptor stays with it. `owner` (a uid of the caller's user namespace) may attach to a
// persistent one without privilege; a persistent one outlives the descriptor. `mtu` in bytes. Err
// EBUSY if the name exists, ENOENT if there is no /dev/net/tun.
Result<UniqueFd> createTun(const NetnsFd& netns, const IfName& name, bool persistent,
                           std::optional<uid_t> owner, unsigned mtu,
                           TunHeader header = TunHeader::none);
// Absent is fine. Err EINVAL if the link is not a tun.
Status deleteTun(const NetnsFd& netns, const IfName& name);

}  // namespace orrery
