#include "netns/wireguard/wireguard.h"

#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>

#include "netns/link/link.h"
#include "netns/namespace/netns.h"

namespace orrery {
namespace {

// 28 bytes each: a message of them stays below 16 KiB, within every limit of netlink.
constexpr std::size_t kAllowedIpsPerMessage = 512;

int base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

genlmsghdr command(std::uint8_t cmd, int version) {
  genlmsghdr head{};
  head.cmd = cmd;
  head.version = static_cast<std::uint8_t>(version);
  return head;
}

Result<std::uint16_t> familyId(NlSocket& socket) {
  std::optional<std::uint16_t> id;
  ORRERY_TRY(socket.query(
      NlMessage("find WireGuard in the kernel", GENL_ID_CTRL, 0, command(CTRL_CMD_GETFAMILY, 1))
          .putString(CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME),
      [&](const NlReply& reply) -> Status {
        if (reply.type != GENL_ID_CTRL) return {};
        id = Attributes(afterHeader(reply.payload, sizeof(genlmsghdr)))
                 .value<std::uint16_t>(CTRL_ATTR_FAMILY_ID);
        return {};
      }));
  if (!id) return sysError(EBADMSG, "find WireGuard in the kernel: no answer");
  return *id;
}

void putAllowedIps(NlMessage& message, std::span<const Prefix4> prefixes) {
  message.beginNest(WGPEER_A_ALLOWEDIPS, true);
  for (const Prefix4& prefix : prefixes) {
    message.beginNest(0, true)
        .putU16(WGALLOWEDIP_A_FAMILY, AF_INET)
        .putIpv4(WGALLOWEDIP_A_IPADDR, prefix.network())
        .putU8(WGALLOWEDIP_A_CIDR_MASK, prefix.length)
        .endNest();
  }
  message.endNest();
}

void putPeerHead(NlMessage& message, const WireGuardPeerConfig& peer) {
  message.putU32(WGPEER_A_FLAGS, WGPEER_F_REPLACE_ALLOWEDIPS);
  if (peer.presharedKey)
    message.put(WGPEER_A_PRESHARED_KEY, peer.presharedKey->data(), peer.presharedKey->size());
  sockaddr_in endpoint{};
  endpoint.sin_family = AF_INET;
  endpoint.sin_port = htons(peer.port);
  endpoint.sin_addr.s_addr = htonl(peer.endpoint.value);
  if (peer.port != 0) message.put(WGPEER_A_ENDPOINT, &endpoint, sizeof endpoint);
  message.putU16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.keepalive);
}

NlMessage deviceMessage(std::uint16_t family, const IfName& name) {
  return NlMessage(fmt::format("configure WireGuard '{}'", name.str()), family, 0,
                   command(WG_CMD_SET_DEVICE, WG_GENL_VERSION))
      .putString(WGDEVICE_A_IFNAME, name.str());
}

void addPeer(std::vector<NlMessage>& messages, std::uint16_t family, const IfName& name,
             const WireGuardPeerConfig& peer, bool intoLast) {
  std::span<const Prefix4> rest(peer.allowedIps);
  bool first = true;
  do {
    const auto now = rest.first(std::min(rest.size(), kAllowedIpsPerMessage));
    rest = rest.subspan(now.size());
    if (!intoLast) messages.push_back(deviceMessage(family, name));
    intoLast = false;
    NlMessage& message = messages.back();
    message.beginNest(WGDEVICE_A_PEERS, true).beginNest(0, true);
    message.put(WGPEER_A_PUBLIC_KEY, peer.publicKey.data(), peer.publicKey.size());
    if (first) putPeerHead(message, peer);
    first = false;
    putAllowedIps(message, now);
    message.endNest().endNest();
  } while (!rest.empty());
}

Result<WireGuardPeerState> parsePeer(Bytes bytes) {
  const Attributes attributes(bytes);
  const auto key = attributes.value<WireGuardKey>(WGPEER_A_PUBLIC_KEY);
  if (!key) return sysError(EBADMSG, "WireGuard peer without a key");
  WireGuardPeerState peer;
  peer.publicKey = *key;
  // struct __kernel_timespec; its seconds come first.
  peer.lastHandshake = attributes.value<std::int64_t>(WGPEER_A_LAST_HANDSHAKE_TIME).value_or(0);
  peer.rxBytes = attributes.value<std::uint64_t>(WGPEER_A_RX_BYTES).value_or(0);
  peer.txBytes = attributes.value<std::uint64_t>(WGPEER_A_TX_BYTES).value_or(0);
  return peer;
}

}  // namespace

Result<WireGuardKey> parseWireGuardKey(std::string_view base64) {
  const auto bad = [] { return sysError(EINVAL, "not a WireGuard key (44 characters of base64)"); };
  if (base64.size() != 44 || base64.back() != '=') return bad();
  WireGuardKey key{};
  std::uint32_t bits = 0;
  int have = 0;
  std::size_t at = 0;
  for (const char c : base64.substr(0, 43)) {
    const int digit = base64Digit(c);
    if (digit < 0) return bad();
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    key[at++] = static_cast<std::uint8_t>(bits >> have);
    bits &= (1u << have) - 1;
  }
  if (at != key.size() || bits != 0) return bad();  // spare bits must be zero: one text per key
  return key;
}

Result<bool> kernelHasWireGuard() {
  ORRERY_TRY_ASSIGN(const NetnsFd netns, createNetns());
  ORRERY_TRY_ASSIGN(NlSocket generic, NlSocket::open(netns, NETLINK_GENERIC));
  if (familyId(generic)) return true;
  // A module that is not loaded has no family yet; making a link asks for it by its alias.
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
  ORRERY_TRY_ASSIGN(const IfName name, IfName::parse("wgprobe"));
  Status made = createWireGuard(rtnl, name);
  if (!made && made.error().err == EOPNOTSUPP) return false;
  ORRERY_TRY(std::move(made));
  return true;
}

Status createWireGuard(Rtnl& rtnl, const IfName& name, unsigned mtu) {
  ifinfomsg head{};
  NlMessage message(fmt::format("make WireGuard '{}'", name.str()), RTM_NEWLINK,
                    NLM_F_CREATE | NLM_F_EXCL, head);
  message.putString(IFLA_IFNAME, name.str()).putU32(IFLA_MTU, mtu);
  message.beginNest(IFLA_LINKINFO).putString(IFLA_INFO_KIND, "wireguard").endNest();
  return rtnl.request(std::move(message));
}

std::vector<NlMessage> wireGuardMessages(std::uint16_t family, const IfName& name,
                                         const WireGuardConfig& config) {
  std::vector<NlMessage> messages;
  messages.push_back(deviceMessage(family, name));
  messages.back()
      .put(WGDEVICE_A_PRIVATE_KEY, config.privateKey.data(), config.privateKey.size())
      .putU16(WGDEVICE_A_LISTEN_PORT, config.listenPort)
      .putU32(WGDEVICE_A_FWMARK, config.mark)
      .putU32(WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
  bool intoLast = true;
  for (const WireGuardPeerConfig& peer : config.peers) {
    addPeer(messages, family, name, peer, intoLast);
    intoLast = false;
  }
  return messages;
}

Status configureWireGuard(const NetnsFd& netns, const IfName& name, const WireGuardConfig& config) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_GENERIC));
  ORRERY_TRY_ASSIGN(const std::uint16_t family, familyId(socket));
  // One by one: a list that failed must not go on.
  for (NlMessage& message : wireGuardMessages(family, name, config))
    ORRERY_TRY(socket.request(std::move(message)));
  return {};
}

Result<std::vector<WireGuardPeerState>> parseWireGuard(Bytes payload) {
  const Attributes list =
      Attributes(afterHeader(payload, sizeof(genlmsghdr))).nested(WGDEVICE_A_PEERS);
  std::vector<WireGuardPeerState> peers;
  for (const NlAttribute& entry : list.all()) {
    ORRERY_TRY_ASSIGN(const WireGuardPeerState peer, parsePeer(entry.value));
    peers.push_back(peer);
  }
  return peers;
}

Result<std::vector<WireGuardPeerState>> readWireGuard(const NetnsFd& netns, const IfName& name) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_GENERIC));
  ORRERY_TRY_ASSIGN(const std::uint16_t family, familyId(socket));
  std::vector<WireGuardPeerState> peers;
  ORRERY_TRY(socket.dump(NlMessage(fmt::format("read WireGuard '{}'", name.str()), family, 0,
                                   command(WG_CMD_GET_DEVICE, WG_GENL_VERSION))
                             .putString(WGDEVICE_A_IFNAME, name.str()),
                         [&](const NlReply& reply) -> Status {
                           if (reply.type != family) return {};
                           ORRERY_TRY_ASSIGN(const auto some, parseWireGuard(reply.payload));
                           // A peer with many allowed addresses goes on in the next message.
                           for (const WireGuardPeerState& peer : some)
                             if (peers.empty() || peers.back().publicKey != peer.publicKey)
                               peers.push_back(peer);
                           return {};
                         }));
  return peers;
}

}  // namespace orrery
