#include "routers/spec/torrc_extras.h"

#include <gtest/gtest.h>

#include <string>

namespace orrery {
namespace {

auto read(const std::string& text, unsigned mode = 0644) {
  return readTorrcExtras("star0.torrc", AuxiliaryFile{text, mode, 0});
}

TEST(TorrcExtras, KeepsWhatIsAllowed) {
  const auto result =
      read("# x\n\nexitnodes {de} # y\n  StrictNodes 1\nBridge 192.0.2.7:443 0123\n");
  ASSERT_TRUE(result) << toText(result.error());
  EXPECT_EQ(*result, "ExitNodes {de}\nStrictNodes 1\nBridge 192.0.2.7:443 0123\n");
}

TEST(TorrcExtras, RefusesWhatIsNot) {
  for (const char* line :
       {"ClientTransportPlugin obfs4 exec /bin/sh", "SocksPort 9050", "+ExitNodes {de}",
        "/ExitNodes", "%include /etc/tor/torrc", "HiddenServiceDir /x", "Bridge obfs4 1.2.3.4:5 x",
        "ExitNodes {de}\\", "ExitNodes \"{de}\"", "ExitNodes", "User root", "Log debug file /x",
        "Frobnicate 1", "ExitNodes {de}\x01"}) {
    EXPECT_FALSE(read(std::string(line) + "\n")) << line;
  }
}

TEST(TorrcExtras, MustNotBeWritableByOthers) {
  EXPECT_FALSE(read("StrictNodes 1\n", 0666));
  EXPECT_FALSE(readTorrcExtras("t", AuxiliaryFile{"StrictNodes 1\n", 0644, 1000}));
  EXPECT_TRUE(readTorrcExtras("t", AuxiliaryFile{"StrictNodes 1\n", 0644, 1000}, 1000));
}

}  // namespace
}  // namespace orrery
