// What a user gets to begin with must be right: the examples of `routerctl init` and every file of
// configs/routers.
#include "routers/spec/templates.h"

#include <gtest/gtest.h>

#include <string>

#include "routers/spec/reader.h"
#include "sandbox/base/file.h"
#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

const std::string kConfigs = std::string(ORRERY_SOURCE_DIR) + "/configs/routers/";

DefinitionFile configFile(const std::string& name) {
  return DefinitionFile{name, readFile(kConfigs + name).value()};
}

testing::FakeFiles profiles() {
  const AuxiliaryFile auth{"user\npassword\n", 0600, 0};
  return testing::FakeFiles({{"galaxy0.conf", testing::wireGuardFile()},
                             {"galaxy0.ovpn", testing::openVpnFile()},
                             {"demo/galaxy0.ovpn", testing::openVpnFile()},
                             {"demo/star0.torrc", AuxiliaryFile{"StrictNodes 1\n", 0644, 0}},
                             {"galaxy0.auth", auth},
                             {"proxy.auth", auth}});
}

std::string example(Kind kind) {
  return exampleDefinition(kind).value();
}

TEST(Examples, OfInitAreOneValidSet) {
  const auto read = readDefinitions({{"universe0.toml", example(Kind::universe)},
                                     {"galaxy0.toml", example(Kind::galaxy)},
                                     {"star0.toml", example(Kind::star)}},
                                    profiles());
  ASSERT_TRUE(read) << toText(read.error());
  ASSERT_EQ(read->routers.size(), 3u);
  EXPECT_EQ(toString(read->routers[1].lan.mac), "00:00:10:01:01:fe");
}

TEST(Examples, OfInitAreTheFilesInConfigs) {
  EXPECT_EQ(configFile("universe0.toml").text, example(Kind::universe));
  EXPECT_EQ(configFile("galaxy0-wireguard.toml").text, example(Kind::galaxy));
  EXPECT_EQ(configFile("star0.toml").text, example(Kind::star));
}

// A line that is only commented out must be right as well once the "# " is gone.
TEST(Examples, StayValidWhenTheirOptionsAreSwitchedOn) {
  std::string star = example(Kind::star);
  for (const char* off :
       {"# [router.star0.dns]", "# names = ", "# [router.star0.egress]", "# type  = \"tor\"",
        "# [router.star0.limits]", "# cpus ", "# cpu_quota ", "# memory ", "# pids ",
        "# clients_talk ", "# [router.star0.client_limits]", "# proxied_connections ",
        "# proxied_buffers ", "# dns_queries "}) {
    const std::size_t at = star.find(off);
    ASSERT_NE(at, std::string::npos) << off;
    star.erase(at, 2);
  }
  const auto read = readDefinitions({{"universe0.toml", example(Kind::universe)},
                                     {"galaxy0.toml", example(Kind::galaxy)},
                                     {"star0.toml", star}},
                                    profiles());
  ASSERT_TRUE(read) << toText(read.error());
  EXPECT_TRUE(read->routers[2].lan.clientsTalk);
  ClientLimits limits;
  limits.given = true;
  EXPECT_EQ(read->routers[2].clientLimits, limits) << "what is shown is the default";
}

class Config : public ::testing::TestWithParam<const char*> {};

// Each alone, beside the universe that it needs.
TEST_P(Config, IsValid) {
  std::vector<DefinitionFile> files{configFile(GetParam())};
  if (files[0].text.find("\"universe\"") == std::string::npos) {
    files.push_back(configFile("universe0.toml"));
  }
  if (files[0].text.find("uplink = \"galaxy0\"") != std::string::npos &&
      files[0].text.find("[router.galaxy0]") == std::string::npos) {
    files.push_back(configFile("galaxy0-wireguard.toml"));
  }
  const auto read = readDefinitions(files, profiles());
  ASSERT_TRUE(read) << toText(read.error());
  EXPECT_TRUE(read->warnings.empty()) << toText(read->warnings);
}

INSTANTIATE_TEST_SUITE_P(Configs, Config,
                         ::testing::Values("universe0.toml", "galaxy0-wireguard.toml",
                                           "galaxy0-openvpn.toml", "galaxy0-socks5.toml",
                                           "galaxies.toml", "star0.toml", "network0.toml",
                                           "demo/network0.toml"));

TEST(Configs, EveryFileIsTested) {
  EXPECT_EQ(listDirectory(kConfigs).value().size(), 8u) << "add new files to the list above";
}

}  // namespace
}  // namespace orrery
