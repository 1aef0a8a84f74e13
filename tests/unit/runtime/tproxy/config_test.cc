#include "runtime/tproxy/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::tproxy {
namespace {

using ::testing::HasSubstr;

TEST(TproxyConfig, RoundTrip) {
  Config unixConfig{.upstream = UnixUpstream{"/tor/socks"},
                    .isolation = false,
                    .names = Prefix4{Ipv4{0x0ac00000}, 16},
                    .lan = Prefix4{Ipv4{0x0a0202fe}, 24}};
  unixConfig.limits.perClient = 9;
  unixConfig.limits.pipesPerClient = 3;
  unixConfig.limits.idle = std::chrono::seconds(0);
  Config tcpConfig{.upstream = TcpUpstream{Ipv4{0xc6120009}, 1081, Credentials{"u\"ser", "p"}},
                   .lan = Prefix4{Ipv4{0x0a0202fe}, 24}};
  for (const Config& config : {unixConfig, tcpConfig}) {
    const auto read = parseConfig(toJson(config));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, config);
  }
}

TEST(TproxyConfig, Defaults) {
  const auto config = parseConfig(R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24"})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->limits, Limits{});
  EXPECT_EQ(config->names, (Prefix4{Ipv4{0x0ac00000}, 10}));
  EXPECT_TRUE(config->isolation);
}

TEST(TproxyConfig, Errors) {
  struct Case {
    const char* json;
    const char* says;
  };
  const Case cases[] = {
      {"", "not JSON"},
      {"{", "not JSON"},
      {"[]", "expected an object"},
      {"{}", "'upstream' is missing"},
      {R"({"upstream":{"unix":"/s"}})", "'lan'"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24","x":1})", "unknown key 'x'"},
      {R"({"upstream":{"unix":"/s","port":1},"lan":"10.2.2.254/24"})", "'unix' stands alone"},
      {R"({"upstream":{"unix":""},"lan":"10.2.2.254/24"})", "'unix'"},
      {R"({"upstream":{"address":"1.2.3","port":1},"lan":"10.2.2.254/24"})", "1.2.3"},
      {R"({"upstream":{"address":"1.2.3.4","port":0},"lan":"10.2.2.254/24"})", "'port'"},
      {R"({"upstream":{"address":"1.2.3.4","port":65536},"lan":"10.2.2.254/24"})", "'port'"},
      {R"({"upstream":{"address":"1.2.3.4","user":"u"},"lan":"10.2.2.254/24"})", "'password'"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24","isolation":1})", "'isolation'"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24","names":"10.192.0.0/31"})", "'names'"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.192.2.254/24"})", "overlaps the LAN"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24","limits":{"connections":0}})",
       "'connections'"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24","limits":{"names":-1}})", "'names'"},
      {R"({"upstream":{"unix":"/s"},"lan":"10.2.2.254/24","limits":{"nmes":1}})",
       "unknown key 'nmes'"},
  };
  for (const Case& c : cases) {
    const auto config = parseConfig(c.json);
    ASSERT_FALSE(config) << c.json;
    EXPECT_THAT(config.error().message, HasSubstr(c.says)) << c.json;
  }
}

TEST(TproxyConfig, OpenFilesCoverEveryLimit) {
  const Limits limits;
  EXPECT_GE(openFilesNeeded(limits),
            2u * limits.connections + 2u * limits.pipes + limits.dnsTcp + 16);
}

}  // namespace
}  // namespace orrery::tproxy
