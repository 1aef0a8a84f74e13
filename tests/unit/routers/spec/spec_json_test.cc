#include "routers/spec/spec_json.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "routers/spec/client_limits.h"
#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

// Specs of every shape, from a fixed seed.
class SpecMaker {
 public:
  RouterSpec make() {
    RouterSpec spec;
    spec.id = {"network" + std::to_string(below(4)), "router" + std::to_string(below(1000))};
    spec.kind = static_cast<Kind>(below(3));
    spec.uplink = uplink();
    spec.lan.address = prefix();
    spec.lan.mac = mac();
    if (flip()) spec.lan.dhcp = DhcpSpec{ip(), ip(), std::chrono::seconds(below(1 << 30))};
    spec.lan.clientsTalk = flip();
    spec.lan.mtu = static_cast<std::uint16_t>(below(65536));
    if (flip()) spec.dns.servers = {ip(), ip()};
    spec.dns.names = prefix();
    spec.egress = egress();
    if (flip()) spec.limits.cpus = "0-1,3";
    spec.limits.memory = (std::uint64_t{below(1 << 30)} << 20) + below(1 << 30);
    spec.limits.pids = below(1 << 30);
    if (flip()) spec.limits.cpuQuota = below(1 << 20);
    if (flip()) {
      spec.clientLimits.given = true;
      spec.clientLimits.proxiedBuffers = std::uint64_t{below(1 << 30)} << 12;
      for (const ClientLimitField& field : kClientLimitFields)
        spec.clientLimits.*field.value = below(1 << 30);
    }
    return spec;
  }

 private:
  std::uint32_t below(std::uint32_t bound) {
    return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(random_);
  }
  bool flip() { return below(2) == 1; }
  Ipv4 ip() { return Ipv4{below(0xffffffff)}; }
  Prefix4 prefix() { return Prefix4{ip(), static_cast<std::uint8_t>(below(33))}; }
  Mac mac() {
    Mac m;
    for (auto& byte : m.bytes) byte = static_cast<std::uint8_t>(below(256));
    return m;
  }
  std::string text() {
    std::string out;
    for (std::uint32_t i = below(40); i > 0; --i) out += static_cast<char>(below(0x80));
    return out;
  }
  Endpoint endpoint() { return Endpoint{ip(), static_cast<std::uint16_t>(below(65536)), flip()}; }

  Uplink uplink() {
    if (flip()) return RouterUplink{"r0", flip() ? std::optional<Ipv4>(ip()) : std::nullopt};
    NicUplink nic;
    switch (below(3)) {
      case 0:
        nic.nic = NicByMac{mac()};
        break;
      case 1:
        nic.nic = NicByPci{"0000:02:01.0"};
        break;
      default:
        nic.nic = NicByName{IfName::parse("eth1").value()};
    }
    if (flip()) nic.fixed = StaticUplink{prefix(), ip(), {ip()}};
    if (flip()) nic.mac = mac();
    return nic;
  }

  EgressSpec egress() {
    switch (below(5)) {
      case 0:
        return OpenVpnEgress{text(),
                             text(),
                             {endpoint(), endpoint()},
                             flip() ? std::optional<std::string>(text()) : std::nullopt};
      case 1: {
        WireGuardEgress e{text(), testing::kPrivateKey, prefix(), {ip()}, 1380, {}};
        WireGuardPeer peer;
        peer.publicKey = testing::kPublicKey;
        if (flip()) peer.presharedKey = testing::kSharedKey;
        peer.endpoint = endpoint();
        peer.allowedIps = {prefix(), prefix()};
        peer.keepalive = 25;
        e.peers.assign(1 + below(2), peer);
        return e;
      }
      case 2:
        return TorEgress{flip() ? std::optional<std::string>(text()) : std::nullopt, text()};
      case 3:
        return Socks5Egress{endpoint(), flip() ? std::optional<std::string>(text()) : std::nullopt};
      default:
        return DirectEgress{};
    }
  }

  std::mt19937 random_{20231};
};

TEST(SpecJson, RoundTripOfEveryShape) {
  SpecMaker maker;
  for (int i = 0; i < 1000; ++i) {
    const RouterSpec spec = maker.make();
    const std::string json = specToJson(spec);
    const auto read = specFromJson(json);
    ASSERT_TRUE(read) << read.error().message << "\n" << json;
    ASSERT_EQ(*read, spec) << json;
    ASSERT_EQ(specToJson(*read), json);
  }
}

// Any cut of a good text is an error and never an exception or a half-read spec.
TEST(SpecJson, RefusesEveryCut) {
  const std::string json = specToJson(SpecMaker().make());
  for (std::size_t length = 0; length + 2 < json.size(); ++length) {
    ASSERT_FALSE(specFromJson(json.substr(0, length))) << length;
  }
}

TEST(SpecJson, RefusesWhatItDoesNotWrite) {
  const std::string json = specToJson(SpecMaker().make());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = json;
    const std::size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) changed.replace(at, from.size(), to);
    return changed;
  };
  EXPECT_FALSE(specFromJson(with("\"schema\": 1", "\"schema\": 2")));
  EXPECT_FALSE(specFromJson(with("\"kind\": \"", "\"kind\": \"x")));
  EXPECT_FALSE(specFromJson(with("\"pids\": ", "\"pids\": -")));
  EXPECT_FALSE(specFromJson(with("\"mtu\": ", "\"mtu\": 99999")));
  EXPECT_FALSE(specFromJson(with("\"network\": \"network", "\"network\": \"../")));
  EXPECT_FALSE(specFromJson("[]"));
  EXPECT_FALSE(specFromJson(std::string(100000, '[')));
}

}  // namespace
}  // namespace orrery
