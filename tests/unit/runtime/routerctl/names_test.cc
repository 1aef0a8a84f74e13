#include "runtime/routerctl/names.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

const std::vector<RouterId> kKnown = {
    {"network0", "universe0"}, {"network0", "galaxy0"}, {"network1", "galaxy0"}};

TEST(ResolveName, ByNameByTextAndAmbiguous) {
  EXPECT_EQ(resolveName("universe0", kKnown)->text(), "network0.universe0");
  EXPECT_EQ(resolveName("network1.galaxy0", kKnown)->text(), "network1.galaxy0");
  const auto ambiguous = resolveName("galaxy0", kKnown);
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().message,
            "'galaxy0' is a router of 2 networks: say network0.galaxy0 or network1.galaxy0");
}

TEST(ResolveName, UnknownNamesGetAProposal) {
  const auto slip = resolveName("univrese0", kKnown);
  ASSERT_FALSE(slip);
  EXPECT_EQ(slip.error().err, ENOENT);
  EXPECT_NE(slip.error().message.find("did you mean 'universe0'?"), std::string::npos);
  EXPECT_NE(resolveName("x", {}).error().message.find("routerctl list"), std::string::npos);
}

TEST(ResolveName, EgressSuffix) {
  const auto name = resolveNamespace("universe0.egress", kKnown);
  ASSERT_TRUE(name);
  EXPECT_TRUE(name->egress);
  EXPECT_EQ(name->router.name, "universe0");
  EXPECT_FALSE(resolveNamespace("network1.galaxy0", kKnown)->egress);
  EXPECT_FALSE(resolveNamespace(".egress", kKnown));
}

TEST(LooksLikeFile, PathsAndTomlOnly) {
  EXPECT_TRUE(looksLikeFile("a.toml"));
  EXPECT_TRUE(looksLikeFile("./dir"));
  EXPECT_TRUE(looksLikeFile("."));
  EXPECT_FALSE(looksLikeFile("network0.galaxy0"));
}

}  // namespace
}  // namespace orrery
