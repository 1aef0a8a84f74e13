// The settings of the two sorts of namespace, as reviewed: tests/golden/sysctls. A plan's text only
// counts them. ORRERY_UPDATE_GOLDEN=1 writes what was got.
#include "routers/kinds/sysctls.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

const std::string kGolden = std::string(ORRERY_SOURCE_DIR) + "/tests/golden/sysctls";

std::string toText(const SysctlValues& values) {
  std::string text;
  for (const auto& [name, value] : values) text += name + "=" + value + "\n";
  return text;
}

void expectGolden(const std::string& name, const SysctlValues& values) {
  const std::string path = kGolden + "/" + name;
  if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(makeDirectories(kGolden));
    ASSERT_TRUE(writeFileAtomic(path, toText(values)));
    return;
  }
  const auto want = readFile(path);
  ASSERT_TRUE(want) << want.error().message;
  EXPECT_EQ(toText(values), *want) << path;
}

TEST(Sysctls, AreAsReviewed) {
  expectGolden("forwarding.txt", forwardingSysctls(KernelFacts{}));
  expectGolden("endpoint.txt", endpointSysctls(KernelFacts{}));
}

TEST(Sysctls, EachIsSetOnce) {
  for (const SysctlValues& values :
       {forwardingSysctls(KernelFacts{}), endpointSysctls(KernelFacts{})}) {
    std::set<std::string> names;
    for (const auto& [name, value] : values) EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(Sysctls, Ipv6IsClosedAndOnlyRoutersForward) {
  for (const SysctlValues& values :
       {forwardingSysctls(KernelFacts{}), endpointSysctls(KernelFacts{})}) {
    const std::string text = toText(values);
    EXPECT_NE(text.find("ipv6/conf/all/disable_ipv6=1\n"), std::string::npos);
    EXPECT_NE(text.find("ipv6/conf/default/disable_ipv6=1\n"), std::string::npos);
  }
  EXPECT_NE(toText(forwardingSysctls(KernelFacts{})).find("ipv4/ip_forward=1\n"),
            std::string::npos);
  EXPECT_NE(toText(endpointSysctls(KernelFacts{})).find("ipv4/ip_forward=0\n"), std::string::npos);
}

TEST(Sysctls, WhatTheKernelLacksIsLeftOut) {
  const KernelFacts bare{.ipv6 = false, .bridgeNetfilter = false};
  for (const SysctlValues& values : {forwardingSysctls(bare), endpointSysctls(bare)}) {
    EXPECT_EQ(toText(values).find("ipv6/"), std::string::npos);
    EXPECT_EQ(toText(values).find("bridge/"), std::string::npos);
    EXPECT_NE(toText(values).find("ipv4/"), std::string::npos);
  }
}

}  // namespace
}  // namespace orrery
