#include "routers/spec/wireguard_profile.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

std::string profile() {
  return testing::wireGuardFile().text;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = profile();
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

auto read(const std::string& text, unsigned mode = 0600) {
  return readWireGuardProfile("p.conf", AuxiliaryFile{text, mode, 0});
}

std::string firstError(const std::string& text) {
  const auto result = read(text);
  return result ? "accepted" : result.error().at(0).message;
}

TEST(WireGuardProfile, ReadsEverything) {
  std::string text = with("DNS = 10.64.0.1", "dns=10.64.0.1 ,10.64.0.3\nMTU = 1380 # comment");
  text += std::string("PresharedKey = ") + testing::kSharedKey + "\nPersistentKeepalive = 25\n";
  const auto result = read(text);
  ASSERT_TRUE(result) << toText(result.error());
  const WireGuardEgress& e = result->egress;
  EXPECT_EQ(e.privateKey, testing::kPrivateKey);
  EXPECT_EQ(toString(e.address), "10.64.0.2/32");
  EXPECT_EQ(e.dns.size(), 2u);
  EXPECT_EQ(e.mtu, 1380);
  ASSERT_EQ(e.peers.size(), 1u);
  EXPECT_EQ(e.peers[0].publicKey, testing::kPublicKey);
  EXPECT_EQ(e.peers[0].presharedKey, testing::kSharedKey);
  EXPECT_EQ(e.peers[0].endpoint, (Endpoint{Ipv4{0xc6336407}, 51820, false}));
  EXPECT_EQ(e.peers[0].keepalive, 25);
  EXPECT_TRUE(result->warnings.empty());
}

// No router forwards it (RFC 3927); in the tunnel it is the provider's business.
TEST(WireGuardProfile, LinkLocalIsFineInTheTunnelAndNoServerOutside) {
  std::string text = with("10.64.0.2/32", "169.254.7.2/32");
  text.replace(text.find("10.64.0.1"), std::string("10.64.0.1").size(), "169.254.7.1");
  const auto result = read(text);
  ASSERT_TRUE(result) << toText(result.error());
  EXPECT_EQ(toString(result->egress.address), "169.254.7.2/32");
  EXPECT_EQ(result->egress.dns, std::vector<Ipv4>{parseIpv4("169.254.7.1").value()});
  EXPECT_EQ(firstError(with("198.51.100.7:", "169.254.7.7:")),
            "'169.254.7.7' is link-local: no router forwards it (RFC 3927)");
  EXPECT_EQ(firstError(with("DNS = 10.64.0.1", "DNS = 127.0.0.1")),
            "'127.0.0.1' is no host's address");
}

TEST(WireGuardProfile, RefusesWhatRunsProgramsOrChangesTheHost) {
  for (const char* key :
       {"PostUp", "PreUp", "PostDown", "PreDown", "postup", "Table", "SaveConfig", "FwMark"}) {
    const auto result = read(with("DNS =", std::string(key) + " = x\nDNS ="));
    ASSERT_FALSE(result) << key;
    EXPECT_EQ(result.error()[0].message.find(std::string("the setting '") + key + "' is refused"),
              0u);
    EXPECT_EQ(result.error()[0].line, 4u);
  }
}

TEST(WireGuardProfile, ChecksKeys) {
  for (const char* key : {"", "abc", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk",
                          "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBml=",
                          "yAnz5TF+lXXJte14tji3zlMNq-hd2rYUIgJBgB3fBmk=",
                          "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmkk"}) {
    EXPECT_NE(firstError(with(testing::kPrivateKey, key)), "accepted") << key;
    EXPECT_NE(firstError(with(testing::kPublicKey, key)), "accepted") << key;
  }
}

TEST(WireGuardProfile, NeverShowsAKey) {
  for (const std::string& text :
       {with("PrivateKey = ", "PrivateKey "), with("PrivateKey =", "PrivatKey ="),
        with("PrivateKey = ", "PrivateKey = x"), with("[Interface]", "[Interfaces]"),
        with("[Interface]\n", "")}) {
    const auto result = read(text);
    ASSERT_FALSE(result);
    EXPECT_EQ(toText(result.error()).find(std::string(testing::kPrivateKey).substr(0, 20)),
              std::string::npos)
        << toText(result.error());
  }
}

TEST(WireGuardProfile, MustBePrivate) {
  EXPECT_TRUE(read(profile(), 0400));
  for (const unsigned mode : {0644u, 0640u, 0604u}) EXPECT_FALSE(read(profile(), mode)) << mode;
}

TEST(WireGuardProfile, LeavesIPv6OutWithAWarning) {
  const auto result = read(with("0.0.0.0/0", "0.0.0.0/0, ::/0"));
  ASSERT_TRUE(result) << toText(result.error());
  ASSERT_EQ(result->warnings.size(), 1u);
  EXPECT_EQ(result->warnings[0].line, 8u);
  EXPECT_EQ(result->egress.peers[0].allowedIps.size(), 1u);
  EXPECT_NE(firstError(with("0.0.0.0/0", "::/0")), "accepted");
}

TEST(WireGuardProfile, RefusesNonsense) {
  EXPECT_NE(firstError(""), "accepted");
  EXPECT_NE(firstError(with("51820", "0")), "accepted");
  EXPECT_NE(firstError(with("51820", "70000")), "accepted");
  EXPECT_NE(firstError(with("Endpoint = 198.51.100.7:51820", "")), "accepted");
  EXPECT_NE(firstError(with("198.51.100.7", "vpn.example.com")), "accepted");
  EXPECT_NE(firstError(with("10.64.0.2/32", "fd00::2/128")), "accepted");
  EXPECT_NE(firstError(profile() + "[Peer]\n"), "accepted");
  EXPECT_NE(firstError(with("AllowedIPs", "AllowedIP")), "accepted");
}

}  // namespace
}  // namespace orrery
