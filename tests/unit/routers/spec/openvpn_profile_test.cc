#include "routers/spec/openvpn_profile.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

using testing::FakeFiles;

constexpr const char* kHead = "client\ndev tun\nremote 198.51.100.7 1194\n";

tl::expected<OpenVpnProfile, std::vector<Diagnostic>> read(
    const std::string& text, const FakeFiles& files = {},
    const std::optional<std::string>& auth = std::nullopt) {
  return readOpenVpnProfile("p.ovpn", AuxiliaryFile{text, 0600, 0}, files, auth);
}

std::string firstError(const std::string& text, const FakeFiles& files = {}) {
  const auto result = read(text, files);
  return result ? "accepted" : result.error().at(0).message;
}

TEST(OpenVpnProfile, Normalises) {
  const auto result = read(
      "# comment\nclient\n; comment\ndev tun3\nproto tcp\nremote 198.51.100.7 443 # last\n"
      "remote 198.51.100.8\nremote 198.51.100.9 53 udp\n--nobind\nverify-x509-name \"a b\" name\n"
      "route 10.0.0.0 255.0.0.0\nport 8443\nverb 4\n");
  ASSERT_TRUE(result) << toText(result.error());
  EXPECT_EQ(result->egress.text,
            "client\nremote 198.51.100.7 443 tcp4-client\nremote 198.51.100.8 8443 tcp4-client\n"
            "remote 198.51.100.9 53 udp4\nnobind\nverify-x509-name \"a b\" name\n");
  ASSERT_EQ(result->egress.remotes.size(), 3u);
  EXPECT_EQ(result->egress.remotes[1], (Endpoint{Ipv4{0xc6336408}, 8443, true}));
}

// Reading the result again changes nothing: what openvpn is given is what was checked.
TEST(OpenVpnProfile, TheResultIsAFixedPoint) {
  const FakeFiles files({{"ca.pem", {"-----BEGIN-----\nMIIB\n-----END-----\n", 0644, 0}},
                         {"ta.key", {"0011\n", 0600, 0}}});
  const auto once = read(
      std::string(kHead) + "ca ca.pem\ntls-auth ta.key 1\nverify-x509-name \"C=\\\"x\\\" \\\\\"\n",
      files);
  ASSERT_TRUE(once) << toText(once.error());
  const auto twice = read("dev tun\n" + once->egress.text);
  ASSERT_TRUE(twice) << toText(twice.error());
  EXPECT_EQ(twice->egress.text, once->egress.text);
}

TEST(OpenVpnProfile, RefusesByName) {
  for (const char* name :
       {"up",         "down",       "route-up",       "script-security", "plugin",
        "ipchange",   "tls-verify", "client-connect", "learn-address",   "iproute",
        "management", "log",        "log-append",     "status",          "writepid",
        "daemon",     "user",       "group",          "chroot",          "cd",
        "config",     "askpass",    "engine",         "http-proxy",      "pkcs12",
        "lport",      "mode",       "secret"}) {
    const std::string message = firstError(std::string(kHead) + name + " x\n");
    EXPECT_EQ(message.find(std::string("the directive '") + name + "' is refused: "), 0u)
        << message;
    EXPECT_EQ(firstError(std::string(kHead) + "--" + name + " x\n"), message);
    EXPECT_EQ(firstError(std::string(kHead) + "\"" + name + "\" x\n"), message);
    EXPECT_EQ(firstError(std::string(kHead) + "  setenv opt " + name + " x\n"), message);
  }
}

TEST(OpenVpnProfile, NamesTheLine) {
  const auto result = read(std::string(kHead) + "\n  up /bin/sh\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().at(0).line, 5u);
  EXPECT_EQ(result.error().at(0).column, 3u);
}

// openvpn ends a block at a line that *begins* with the tag, and reads at most 255 bytes at a time:
// each of these would otherwise carry `up` past the list.
TEST(OpenVpnProfile, NothingIsSmuggledPastTheList) {
  const std::string filler(300, 'x');
  for (const std::string& text :
       {std::string("<ca>\n</ca> x\nup /bin/sh\n</ca>\n"),
        std::string("<ca>\n  </ca>x\nup /bin/sh\n</ca>\n"),
        "<ca>\n" + filler + "</ca>\nup /bin/sh\n</ca>\n",
        "verify-x509-name " + filler.substr(0, 230) + "\nup /bin/sh\n",
        "verify-x509-name \"" + std::string(200, ' ') + "\"" + std::string(60, '"') + "\n",
        "verify-x509-name '" + std::string(200, '"') + "'\n", std::string("<up>\n/bin/sh\n</up>\n"),
        std::string("<ca> x\nup /bin/sh\n</ca>\n"),
        std::string("<connection>\nup x\n</connection>\n"),
        std::string("<client>\nup x\n</client>\n")}) {
    EXPECT_NE(firstError(kHead + text), "accepted") << text;
  }
}

TEST(OpenVpnProfile, FilesOfKeysAreInlinedAndMustBePrivate) {
  FakeFiles files({{"client.key", {"KEY\n", 0600, 0}}, {"open.key", {"KEY\n", 0640, 0}}});
  const auto result = read(std::string(kHead) + "key client.key\n", files);
  ASSERT_TRUE(result) << toText(result.error());
  EXPECT_NE(result->egress.text.find("<key>\nKEY\n</key>\n"), std::string::npos);
  EXPECT_NE(firstError(std::string(kHead) + "key open.key\n", files).find("chmod 600 open.key"),
            std::string::npos);
  EXPECT_NE(firstError(std::string(kHead) + "key none.key\n", files).find("cannot be read"),
            std::string::npos);
}

TEST(OpenVpnProfile, AProfileWithAKeyMustBePrivate) {
  const std::string text = std::string(kHead) + "<key>\nKEY\n</key>\n";
  EXPECT_FALSE(readOpenVpnProfile("p.ovpn", AuxiliaryFile{text, 0644, 0}, FakeFiles(), {}));
  EXPECT_TRUE(readOpenVpnProfile("p.ovpn", AuxiliaryFile{text, 0600, 0}, FakeFiles(), {}));
  EXPECT_TRUE(readOpenVpnProfile("p.ovpn", AuxiliaryFile{kHead, 0644, 0}, FakeFiles(), {}));
  EXPECT_FALSE(readOpenVpnProfile("p.ovpn", AuxiliaryFile{kHead, 0666, 0}, FakeFiles(), {}));
}

// A block whose opening tag was lost.
TEST(OpenVpnProfile, NeverShowsWhatMayBeAKey) {
  const std::string secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
  for (const std::string& text :
       {"-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n",
        secret.substr(0, 12) + "\n", "<kye>\n" + secret + "\n</kye>\n"}) {
    const auto result = read(kHead + text);
    ASSERT_FALSE(result);
    EXPECT_EQ(toText(result.error()).find(secret.substr(0, 12)), std::string::npos)
        << toText(result.error());
  }
}

TEST(OpenVpnProfile, UserAndPassword) {
  const std::string text = std::string(kHead) + "auth-user-pass\n";
  EXPECT_EQ(firstError(text), "the server wants a user and a password");
  const auto given = read(text, {}, std::string("u.auth"));
  ASSERT_TRUE(given) << toText(given.error());
  EXPECT_EQ(given->egress.auth, "u.auth");
  EXPECT_EQ(given->egress.text.find("auth-user-pass"), std::string::npos);
  const auto own = read(std::string(kHead) + "auth-user-pass u.auth\n",
                        FakeFiles({{"u.auth", {"a\nb\n", 0600, 0}}}));
  ASSERT_TRUE(own) << toText(own.error());
  EXPECT_EQ(own->egress.auth, "u.auth");
  const auto inlined = read(std::string(kHead) + "<auth-user-pass>\na\nb\n</auth-user-pass>\n");
  ASSERT_TRUE(inlined) << toText(inlined.error());
  EXPECT_FALSE(inlined->egress.auth);
  EXPECT_NE(inlined->egress.text.find("<auth-user-pass>\na\nb\n"), std::string::npos);
}

TEST(OpenVpnProfile, IPv6ServersAreLeftOutWithAWarning) {
  const auto result = read(std::string(kHead) + "remote 2001:db8::7 1194\n");
  ASSERT_TRUE(result) << toText(result.error());
  EXPECT_EQ(result->egress.remotes.size(), 1u);
  ASSERT_EQ(result->warnings.size(), 1u);
  EXPECT_TRUE(result->warnings[0].warning);
}

}  // namespace
}  // namespace orrery
