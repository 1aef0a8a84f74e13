#include "runtime/routerctl/registry.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

class Registry : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/orrery-registry-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    for (const char* router : {"network0/galaxy0", "network0/star0", "network1/galaxy0"}) {
      const std::string directory = root_ + "/run/orrery/" + router;
      ASSERT_TRUE(makeDirectories(directory));
      ASSERT_TRUE(writeFileAtomic(directory + "/router.json", "{}"));
    }
    ASSERT_TRUE(makeDirectories(root_ + "/run/orrery/network0/half-made"));
    ASSERT_TRUE(makeDirectories(root_ + "/run/orrery/ids"));
    ASSERT_TRUE(writeFileAtomic(root_ + "/run/orrery/ids/0", "network0.galaxy0\n"));
    ASSERT_TRUE(writeFileAtomic(root_ + "/run/router.json", "{}"));
  }
  void TearDown() override { EXPECT_TRUE(removeTree(root_)); }
  std::string root_;
};

TEST_F(Registry, FindsARouterByEitherName) {
  EXPECT_EQ(findRouter(root_, "star0").value(), (RouterId{"network0", "star0"}));
  EXPECT_EQ(findRouter(root_, "network1.galaxy0").value(), (RouterId{"network1", "galaxy0"}));
}

TEST_F(Registry, RefusesWhatIsNotJustOne) {
  const auto two = findRouter(root_, "galaxy0");
  ASSERT_FALSE(two);
  EXPECT_NE(two.error().message.find("a router of 2 networks"), std::string::npos);
  for (const char* name :
       {"", ".", "..", "galaxy1", "half-made", "0", "ids", "network0/star0", "../star0", "...",
        "network0.", ".star0", "network0.star0.egress", "..."}) {
    const auto found = findRouter(root_, name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().err, ESRCH) << name;
  }
}

TEST_F(Registry, ListsAllOrThoseOfANetwork) {
  EXPECT_EQ(knownRouters(root_).value().size(), 3u);
  EXPECT_EQ(knownRoutersOf(root_, "network1").value(),
            (std::vector<RouterId>{{"network1", "galaxy0"}}));
  EXPECT_TRUE(knownRoutersOf(root_, "network2").value().empty());
  const auto begun = begunRouters(root_).value();
  EXPECT_EQ(begun.size(), 4u);
  EXPECT_NE(std::ranges::find(begun, RouterId{"network0", "half-made"}), begun.end());
}

}  // namespace
}  // namespace orrery
