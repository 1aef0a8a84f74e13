#include "runtime/control/protocol.h"

#include <gtest/gtest.h>

#include "runtime/control/paths.h"

namespace orrery {
namespace {

TEST(ControlRequest, RoundTrip) {
  ControlRequest request{.verb = "restart-service"};
  request.args.set("service", "tor");
  const std::string line = toLine(request);
  EXPECT_EQ(line.back(), '\n');
  const auto read = parseRequest(line.substr(0, line.size() - 1));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, request);
}

TEST(ControlRequest, SchemaMayBeLeftOutByHand) {
  const auto read = parseRequest(R"({"request":"status"})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->verb, "status");
}

TEST(ControlRequest, MalformedLinesNameTheFault) {
  struct Case {
    std::string line;
    const char* reason;
  };
  const std::vector<Case> cases = {
      {"status", "syntax error"},
      {"[]", "object is expected"},
      {"{}", "'request' must name one"},
      {R"({"request":7})", "'request' must name one"},
      {R"({"request":"Status"})", "'request' must name one"},
      {R"({"request":"../x"})", "'request' must name one"},
      {R"({"request":"status","arg":{}})", "unknown member 'arg'"},
      {R"({"request":"status","args":[]})", "'args' must be an object"},
      {R"({"request":"status","schema":"orrery.control/2"})", "'schema' must be"},
      {R"({"request":"status","schema":1})", "'schema' must be"},
      {R"({"request":")" + std::string(65, 'a') + "\"}", "'request' must name one"},
      {R"({"request":"status","request":"stop"})", "twice"},
      {std::string(kMaxControlLine + 1, ' '), "at most"},
  };
  for (const Case& c : cases) {
    const auto read = parseRequest(c.line);
    ASSERT_FALSE(read) << c.line.substr(0, 80);
    EXPECT_NE(read.error().message.find(c.reason), std::string::npos) << read.error().message;
  }
}

TEST(ControlReply, RoundTripOfBothKinds) {
  const ControlReply good{.ok = true, .result = Json::object({{"a", 1}})};
  EXPECT_EQ(parseReply(toLine(good)).value(), good);
  const ControlReply bad{.ok = false, .result = {}, .code = "busy", .message = "64 are open"};
  EXPECT_EQ(parseReply(toLine(bad)).value(), bad);
  EXPECT_FALSE(parseReply(R"({"result":1})"));
}

TEST(RouterPaths, FollowTheContract) {
  const RouterPaths paths(RouterId{"network0", "galaxy0"});
  EXPECT_EQ(paths.control, "/run/orrery/network0/galaxy0/control");
  EXPECT_EQ(paths.log("tor"), "/run/orrery/network0/galaxy0/log/tor.log");
  EXPECT_EQ(paths.libDir, "/var/lib/orrery/network0/galaxy0");
  EXPECT_EQ(paths.portalSocket, "/run/multiverse/portals/galaxy0.router.network0/virtserial-sock");
  EXPECT_EQ(paths.egressNetns, "network0.galaxy0.egress");
  EXPECT_EQ(RouterPaths(RouterId{"n", "r"}, "/tmp/x").state, "/tmp/x/run/orrery/n/r/state.json");
}

TEST(RouterPaths, SocketPathLimitIsThatOfTheKernel) {
  EXPECT_TRUE(checkSocketPath(std::string(107, 'a')));
  const Status tooLong = checkSocketPath(std::string(108, 'a'));
  ASSERT_FALSE(tooLong);
  EXPECT_NE(tooLong.error().message.find("108 bytes, at most 107"), std::string::npos);
}

}  // namespace
}  // namespace orrery
