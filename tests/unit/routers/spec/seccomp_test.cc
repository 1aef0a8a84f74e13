// [router.NAME.seccomp]: the learning mode and profiles of the user's own.
#include <gtest/gtest.h>

#include "routers/spec/reader.h"
#include "routers/spec/spec_json.h"
#include "routers/spec/spec_toml.h"
#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

using testing::FakeFiles;

const std::string kGood =
    "schema = 1\nextends = [\"openvpn\"]\ndefault = \"errno:EPERM\"\n"
    "[[rule]]\ncalls = [\"getitimer\"]\nwhy = \"a plugin\"\n";

FakeFiles files(const std::string& text, unsigned mode = 0644) {
  return FakeFiles({{"/etc/orrery/own.toml", AuxiliaryFile{text, mode, 0}},
                    {"/etc/orrery/vpn.ovpn", testing::openVpnFile()}});
}

std::string network(const std::string& seccomp) {
  return "version = 1\n[router.universe0]\nkind = \"universe\"\n"
         "uplink = { nic = { name = \"eth1\" } }\nlan = { address = \"10.0.0.1/24\" }\n"
         "[router.galaxy0]\nkind = \"galaxy\"\nuplink = \"universe0\"\n"
         "lan = { address = \"10.1.1.254/24\" }\n"
         "egress = { type = \"openvpn\", profile = \"vpn.ovpn\" }\n" +
         seccomp;
}

std::string complaint(const std::string& text, const FakeFiles& aux) {
  const auto read = readDefinitions({{"/etc/orrery/n.toml", text}}, aux);
  return read ? "accepted" : toText(read.error());
}

TEST(SeccompSpec, IsTheShippedOneEnforcedUnlessAskedFor) {
  const auto read = readDefinitions({{"/etc/orrery/n.toml", network("")}}, files(kGood));
  ASSERT_TRUE(read) << toText(read.error());
  for (const RouterSpec& spec : read->routers) {
    EXPECT_EQ(spec.seccomp, SeccompSpec{});
    EXPECT_EQ(specToJson(spec).find("seccomp"), std::string::npos);
    EXPECT_EQ(toToml(spec).find("seccomp"), std::string::npos);
  }
}

TEST(SeccompSpec, TakesOwnProfilesAndSurvivesItsFormats) {
  const auto read = readDefinitions(
      {{"/etc/orrery/n.toml",
        network("seccomp = { learn = true, profiles = { openvpn = \"own.toml\" } }\n")}},
      files(kGood));
  ASSERT_TRUE(read) << toText(read.error());
  const RouterSpec& spec = read->routers.at(1);
  EXPECT_TRUE(spec.seccomp.learn);
  ASSERT_EQ(spec.seccomp.profiles.size(), 1U);
  EXPECT_EQ(spec.seccomp.profiles[0],
            (OwnSeccompProfile{"openvpn", "/etc/orrery/own.toml", kGood}));
  EXPECT_EQ(ownProfile(&spec.seccomp, "openvpn"), &spec.seccomp.profiles[0]);
  EXPECT_EQ(ownProfile(&spec.seccomp, "dnsmasq"), nullptr);
  EXPECT_EQ(ownProfile(nullptr, "openvpn"), nullptr);
  const auto again = specFromJson(specToJson(spec));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, spec);
  EXPECT_NE(toToml(spec).find(
                "[router.galaxy0.seccomp]\nlearn = true\n\n[router.galaxy0.seccomp.profiles]\n"
                "openvpn = \"/etc/orrery/own.toml\"\n"),
            std::string::npos)
      << toToml(spec);
}

TEST(SeccompSpec, WarnsOfLearning) {
  const auto read = readDefinitions(
      {{"/etc/orrery/n.toml", network("seccomp = { learn = true }\n")}}, files(kGood));
  ASSERT_TRUE(read) << toText(read.error());
  ASSERT_EQ(read->warnings.size(), 1U);
  EXPECT_EQ(read->warnings[0].line, 11U);
  EXPECT_NE(read->warnings[0].message.find("'learn' lets system calls pass"), std::string::npos);
}

TEST(SeccompSpec, IsRefusedForAStarWithItsPlace) {
  const std::string star = network("") +
                           "[router.star0]\nkind = \"star\"\nuplink = \"galaxy0\"\n"
                           "lan = { address = \"10.2.1.254/24\" }\nseccomp = { learn = true }\n";
  const std::string text = complaint(star, files(kGood));
  EXPECT_NE(text.find("n.toml:15:"), std::string::npos) << text;
  EXPECT_NE(text.find("a star does not learn"), std::string::npos) << text;
}

struct Case {
  const char* what;
  std::string seccomp;
  std::string profile;
  unsigned mode;
  const char* message;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.what;
}
class FaultySeccomp : public ::testing::TestWithParam<Case> {};

TEST_P(FaultySeccomp, IsRefusedWithItsPlace) {
  const std::string text =
      complaint(network(GetParam().seccomp), files(GetParam().profile, GetParam().mode));
  EXPECT_NE(text.find("n.toml:11:"), std::string::npos) << text;
  EXPECT_NE(text.find(GetParam().message), std::string::npos) << text;
}

const std::string kOwn = "seccomp = { profiles = { openvpn = \"own.toml\" } }\n";

INSTANTIATE_TEST_SUITE_P(
    Definitions, FaultySeccomp,
    ::testing::Values(
        Case{"type", "seccomp = \"learn\"\n", "", 0644, "'seccomp'"},
        Case{"key", "seccomp = { lern = true }\n", "", 0644, "lern"},
        Case{"ownProgram", "seccomp = { profiles = { tproxy = \"own.toml\" } }\n", kGood, 0644,
             "tproxy"},
        Case{"missing", "seccomp = { profiles = { openvpn = \"no.toml\" } }\n", "", 0644,
             "the profile cannot be read"},
        Case{"writable", kOwn, kGood, 0666, "may be changed by others"},
        Case{"syntax", kOwn, "schema = = 1\n", 0644, "seccomp profile 'own-openvpn'"},
        Case{"call", kOwn, kGood + "[[rule]]\ncalls = [\"reed\"]\nwhy = \"x\"\n", 0644,
             "own-openvpn.toml:7: there is no system call 'reed'"},
        Case{"law", kOwn,
             "schema = 1\ndefault = \"errno:EPERM\"\n[[rule]]\ncalls = [\"bpf\"]\nwhy = \"x\"\n",
             0644, "breaks the law 'kernel-code'"}),
    [](const auto& test) { return test.param.what; });

}  // namespace
}  // namespace orrery
