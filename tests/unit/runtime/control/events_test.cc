#include "runtime/control/events.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

Event sample() {
  Event event;
  event.router = {"network0", "galaxy0"};
  event.service = "openvpn";
  event.name = "tunnel-up";
  event.severity = Severity::warning;
  event.fields = {{"address", "10.8.0.2/24"}, {"note", "two words"}};
  event.time.wall = "2026-01-31T12:00:00.123Z";
  return event;
}

TEST(EventJson, LineIsStable) {
  EXPECT_EQ(toJsonLine(sample()),
            R"({"schema":"orrery.event/1","time":"2026-01-31T12:00:00.123Z","severity":"warning",)"
            R"("network":"network0","router":"galaxy0","service":"openvpn","event":"tunnel-up",)"
            R"("fields":{"address":"10.8.0.2/24","note":"two words"}})");
}

TEST(EventJson, RoundTrip) {
  const auto read = parseEvent(toJsonLine(sample()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, sample());
}

TEST(EventJson, ForeignObjectsAreNoEvents) {
  EXPECT_FALSE(parseEvent(R"({"ok":true})"));
  EXPECT_FALSE(parseEvent(R"({"schema":"orrery.event/1","severity":"info"})"));
  EXPECT_FALSE(parseEvent(R"({"schema":"orrery.event/1","severity":"loud","event":"x"})"));
}

TEST(EventText, HumanLine) {
  EXPECT_EQ(toHumanLine(sample()),
            "12:00:00.123 galaxy0/openvpn tunnel-up address=10.8.0.2/24 note=\"two words\"");
  EXPECT_NE(toHumanLine(sample(), true).find("\x1b[33mtunnel-up\x1b[0m"), std::string::npos);
}

TEST(EventText, ForeignBytesCannotDriveTheTerminal) {
  Event event = sample();
  event.fields = {{"banner", "\x1b]0;own\x07\nfake line\xc2\x9b"}};
  const std::string line = toHumanLine(event);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x9b'), std::string::npos);
  EXPECT_NE(line.find("\\x1b"), std::string::npos);
}

TEST(EventTime, Rfc3339) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(951782399999), "2000-02-28T23:59:59.999Z");
  EXPECT_EQ(rfc3339(951782400000), "2000-02-29T00:00:00.000Z");
}

}  // namespace
}  // namespace orrery
