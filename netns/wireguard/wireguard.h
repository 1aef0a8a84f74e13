// The kernel's WireGuard (linux/wireguard.h, Linux 5.6), by generic netlink.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

using WireGuardKey = std::array<std::uint8_t, 32>;
Result<WireGuardKey> parseWireGuardKey(std::string_view base64);  // 44 characters; never echoed

struct WireGuardPeerConfig {
  WireGuardKey publicKey{};
  std::optional<WireGuardKey> presharedKey;
  Ipv4 endpoint;
  std::uint16_t port = 0;  // host order
  std::vector<Prefix4> allowedIps;
  std::uint16_t keepalive = 0;  // seconds, 0: off
};
struct WireGuardConfig {
  WireGuardKey privateKey{};
  std::uint16_t listenPort = 0;  // 0: any
  std::uint32_t mark = 0;        // of the outer packets, 0: none
  std::vector<WireGuardPeerConfig> peers;
};

// Whether this kernel has it; asking loads the module where there are modules. Needs CAP_NET_ADMIN
// (it asks by making a link in a namespace that nobody sees).
Result<bool> kernelHasWireGuard();

// Its outer socket stays in the Rtnl's namespace when the link is moved. Err EEXIST; EOPNOTSUPP if
// the kernel has no WireGuard.
Status createWireGuard(Rtnl& rtnl, const IfName& name, unsigned mtu = 1420);
// Replaces key, port, mark and all peers. `netns` is where the link is now.
Status configureWireGuard(const NetnsFd& netns, const IfName& name, const WireGuardConfig& config);

// The messages of WG_CMD_SET_DEVICE for a family id: the first replaces all peers, and a list that
// is too long for one message goes on in the next. Exposed for tests.
std::vector<NlMessage> wireGuardMessages(std::uint16_t family, const IfName& name,
                                         const WireGuardConfig& config);

struct WireGuardPeerState {
  WireGuardKey publicKey{};
  std::int64_t lastHandshake = 0;  // seconds of the realtime clock, 0: never
  std::uint64_t rxBytes = 0, txBytes = 0;
};
Result<std::vector<WireGuardPeerState>> readWireGuard(const NetnsFd& netns, const IfName& name);
Result<std::vector<WireGuardPeerState>> parseWireGuard(Bytes payload);  // of WG_CMD_GET_DEVICE

}  // namespace orrery
