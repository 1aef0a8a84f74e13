// The messages are checked against linux/wireguard.h: the machine's kernel may lack the module.
#include "netns/wireguard/wireguard.h"

#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

namespace orrery {
namespace {

WireGuardKey key(std::uint8_t fill) {
  WireGuardKey k;
  k.fill(fill);
  return k;
}

Attributes attributesOf(NlMessage& message) {
  return Attributes(message.seal(1).value().subspan(sizeof(nlmsghdr) + sizeof(genlmsghdr)));
}

WireGuardConfig config(std::size_t allowed) {
  WireGuardPeerConfig peer;
  peer.publicKey = key(2);
  peer.presharedKey = key(3);
  peer.endpoint = Ipv4{0xc6336401};
  peer.port = 51820;
  peer.keepalive = 25;
  for (std::size_t i = 0; i < allowed; ++i)
    peer.allowedIps.push_back({Ipv4{0x0a000001 + (static_cast<std::uint32_t>(i) << 8)}, 24});
  WireGuardConfig c;
  c.privateKey = key(1);
  c.mark = 7;
  c.peers = {peer};
  return c;
}

IfName wg0() {
  return IfName::parse("wg0").value();
}

TEST(WireGuardMessages, OneMessageForAnOrdinaryDevice) {
  auto messages = wireGuardMessages(0x20, wg0(), config(2));
  ASSERT_EQ(messages.size(), 1u);
  const Bytes bytes = messages[0].seal(1).value();
  EXPECT_EQ(readValue<nlmsghdr>(bytes)->nlmsg_type, 0x20);
  const auto head = *readValue<genlmsghdr>(bytes.subspan(sizeof(nlmsghdr)));
  EXPECT_EQ(head.cmd, WG_CMD_SET_DEVICE);
  EXPECT_EQ(head.version, WG_GENL_VERSION);
  const Attributes device = attributesOf(messages[0]);
  ASSERT_TRUE(device.wellFormed());
  EXPECT_EQ(device.string(WGDEVICE_A_IFNAME), "wg0");
  EXPECT_EQ(device.value<WireGuardKey>(WGDEVICE_A_PRIVATE_KEY), key(1));
  EXPECT_EQ(device.value<std::uint32_t>(WGDEVICE_A_FLAGS), WGDEVICE_F_REPLACE_PEERS);
  EXPECT_EQ(device.value<std::uint32_t>(WGDEVICE_A_FWMARK), 7u);
  EXPECT_EQ(device.value<std::uint16_t>(WGDEVICE_A_LISTEN_PORT), 0);
  const Attributes peers = device.nested(WGDEVICE_A_PEERS);
  ASSERT_EQ(peers.all().size(), 1u);
  const Attributes peer(peers.all()[0].value);
  EXPECT_EQ(peer.value<WireGuardKey>(WGPEER_A_PUBLIC_KEY), key(2));
  EXPECT_EQ(peer.value<WireGuardKey>(WGPEER_A_PRESHARED_KEY), key(3));
  EXPECT_EQ(peer.value<std::uint16_t>(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL), 25);
  EXPECT_EQ(peer.value<std::uint32_t>(WGPEER_A_FLAGS), WGPEER_F_REPLACE_ALLOWEDIPS);
  const auto endpoint = peer.value<sockaddr_in>(WGPEER_A_ENDPOINT);
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(peer.find(WGPEER_A_ENDPOINT)->size(), sizeof(sockaddr_in));
  EXPECT_EQ(endpoint->sin_family, AF_INET);
  EXPECT_EQ(ntohs(endpoint->sin_port), 51820);
  EXPECT_EQ(ntohl(endpoint->sin_addr.s_addr), 0xc6336401u);
  const Attributes allowed = peer.nested(WGPEER_A_ALLOWEDIPS);
  ASSERT_EQ(allowed.all().size(), 2u);
  const Attributes second(allowed.all()[1].value);
  EXPECT_EQ(second.value<std::uint16_t>(WGALLOWEDIP_A_FAMILY), AF_INET);
  EXPECT_EQ(second.ipv4(WGALLOWEDIP_A_IPADDR), Ipv4{0x0a000100}) << "without host bits";
  EXPECT_EQ(second.value<std::uint8_t>(WGALLOWEDIP_A_CIDR_MASK), 24);
}

TEST(WireGuardMessages, LongListGoesOnWithoutReplacing) {
  auto messages = wireGuardMessages(0x20, wg0(), config(1100));
  ASSERT_EQ(messages.size(), 3u);
  std::size_t total = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Attributes device = attributesOf(messages[i]);
    EXPECT_EQ(device.find(WGDEVICE_A_FLAGS).has_value(), i == 0);
    EXPECT_EQ(device.find(WGDEVICE_A_PRIVATE_KEY).has_value(), i == 0);
    const Attributes peers = device.nested(WGDEVICE_A_PEERS);
    const Attributes peer(peers.all().at(0).value);
    EXPECT_EQ(peer.value<WireGuardKey>(WGPEER_A_PUBLIC_KEY), key(2));
    EXPECT_EQ(peer.find(WGPEER_A_FLAGS).has_value(), i == 0);
    const Attributes allowed = peer.nested(WGPEER_A_ALLOWEDIPS);
    total += allowed.all().size();
  }
  EXPECT_EQ(total, 1100u);
}

TEST(WireGuardMessages, SeveralPeers) {
  WireGuardConfig c = config(1);
  c.peers.push_back(c.peers[0]);
  c.peers[1].publicKey = key(9);
  auto messages = wireGuardMessages(0x20, wg0(), c);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_FALSE(attributesOf(messages[1]).find(WGDEVICE_A_FLAGS));
  EXPECT_EQ(wireGuardMessages(0x20, wg0(), {}).size(), 1u);
}

TEST(WireGuardKeyText, OneTextPerKey) {
  EXPECT_EQ(parseWireGuardKey("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), key(0));
  EXPECT_EQ(parseWireGuardKey("//////////////////////////////////////////8="), key(255));
  const WireGuardKey k = parseWireGuardKey("AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").value();
  EXPECT_EQ(k[0], 1);
  EXPECT_EQ(k[1], 2);
  EXPECT_EQ(k[2], 3);
  for (const char* bad : {"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",  // spare bits
                          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                          "A AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"}) {
    const auto r = parseWireGuardKey(bad);
    ASSERT_FALSE(r) << bad;
    EXPECT_EQ(r.error().message.find("AAAA"), std::string::npos) << "secrets are not echoed";
  }
}

TEST(WireGuardState, ParsedFromADump) {
  NlMessage message("", 0x20, 0, genlmsghdr{});
  message.beginNest(WGDEVICE_A_PEERS, true).beginNest(0, true);
  const auto k = key(5);
  const std::int64_t when[2] = {1700000000, 5};
  const std::uint64_t rx = 11, tx = 22;
  message.put(WGPEER_A_PUBLIC_KEY, k.data(), k.size());
  message.put(WGPEER_A_LAST_HANDSHAKE_TIME, when, sizeof when);
  message.put(WGPEER_A_RX_BYTES, &rx, 8).put(WGPEER_A_TX_BYTES, &tx, 8).endNest().endNest();
  const Bytes payload = message.seal(0).value().subspan(sizeof(nlmsghdr));
  const auto peers = parseWireGuard(payload).value();
  ASSERT_EQ(peers.size(), 1u);
  EXPECT_EQ(peers[0].publicKey, k);
  EXPECT_EQ(peers[0].lastHandshake, 1700000000);
  EXPECT_EQ(peers[0].rxBytes, 11u);
  EXPECT_EQ(peers[0].txBytes, 22u);
  for (std::size_t cut = 0; cut < payload.size(); ++cut) (void)parseWireGuard(payload.first(cut));
}

}  // namespace
}  // namespace orrery
