#include "routers/spec/reader.h"

#include <gtest/gtest.h>

#include <string>

#include "routers/spec/values.h"
#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

using testing::FakeFiles;

constexpr const char* kUniverse =
    "version = 1\n[router.universe0]\nkind = \"universe\"\n"
    "uplink = { nic = { name = \"eth1\" } }\nlan = { address = \"10.0.0.1/24\" }\n";
constexpr const char* kGalaxy =
    "version = 1\n[router.galaxy0]\nkind = \"galaxy\"\nuplink = \"universe0\"\n"
    "lan = { address = \"10.1.1.254/24\" }\negress = { type = \"direct\" }\n";

RouterSpec universe() {
  return readDefinitions({{"u.toml", kUniverse}}, FakeFiles()).value().routers.at(0);
}

TEST(Reader, FillsInTheDefaults) {
  const RouterSpec spec = universe();
  EXPECT_EQ(spec.id.text(), "network0.universe0");
  EXPECT_EQ(toString(spec.lan.mac), "00:00:10:00:00:01");
  EXPECT_FALSE(spec.lan.dhcp);
  EXPECT_FALSE(spec.lan.clientsTalk);
  EXPECT_EQ(spec.lan.mtu, 1500);
  EXPECT_EQ(spec.limits, LimitsSpec{});
  EXPECT_EQ(spec.dns, DnsSpec{});
  EXPECT_TRUE(std::holds_alternative<DirectEgress>(spec.egress));
}

TEST(Reader, AsksOnceForThoseThatMatter) {
  int asked = 0;
  KnownScope scope;
  ReadOptions options;
  options.knownIn = [&](const KnownScope& asks) {
    ++asked;
    scope = asks;
    return std::vector<RouterSpec>{universe()};
  };
  EXPECT_TRUE(readDefinitions({{"g.toml", kGalaxy}}, FakeFiles(), options));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(scope.networks, std::set<std::string>{"network0"});
  EXPECT_FALSE(scope.nics);
  EXPECT_TRUE(readDefinitions({{"u.toml", kUniverse}}, FakeFiles(), options));
  EXPECT_TRUE(scope.nics) << "which a router of another network may have";
}

TEST(Reader, NoFileIsAnEmptySet) {
  const auto read = readDefinitions({}, FakeFiles());
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->routers.empty());
}

TEST(Reader, UplinksMayBeThereAlready) {
  ASSERT_FALSE(readDefinitions({{"g.toml", kGalaxy}}, FakeFiles()));
  ReadOptions options;
  options.known = {universe()};
  const auto read = readDefinitions({{"g.toml", kGalaxy}}, FakeFiles(), options);
  ASSERT_TRUE(read) << toText(read.error());
  ASSERT_EQ(read->routers.size(), 1u);  // the known ones are not returned
  EXPECT_EQ(read->routers[0].id.name, "galaxy0");
}

TEST(Reader, ClashesWithWhatIsThereAlready) {
  ReadOptions options;
  options.known = {universe()};
  std::string other = kGalaxy;
  other.replace(other.find("10.1.1.254"), 10, "10.0.0.254");
  const auto read = readDefinitions({{"g.toml", other}}, FakeFiles(), options);
  ASSERT_FALSE(read);
  ASSERT_EQ(read.error().size(), 1u);
  EXPECT_NE(read.error()[0].message.find("subnets overlap"), std::string::npos);
  EXPECT_EQ(read.error()[0].file, "g.toml");
}

TEST(Reader, ADefinitionReplacesTheKnownRouterOfItsName) {
  ReadOptions options;
  options.known = {universe()};
  const auto read = readDefinitions({{"u.toml", kUniverse}}, FakeFiles(), options);
  ASSERT_TRUE(read) << toText(read.error());
  EXPECT_EQ(read->routers.size(), 1u);
}

TEST(Reader, CountMayBeOverridden) {
  std::string text = kGalaxy;
  text.replace(text.find("galaxy0"), 7, "galaxy");
  text.replace(text.find("10.1.1."), 7, "10.1.${n}.");
  text += "count = 2\n";
  text = std::string(kUniverse) + text.substr(text.find('\n') + 1);
  ReadOptions options;
  EXPECT_EQ(readDefinitions({{"t.toml", text}}, FakeFiles(), options).value().routers.size(), 3u);
  options.count = 7;
  const auto read = readDefinitions({{"t.toml", text}}, FakeFiles(), options);
  ASSERT_TRUE(read) << toText(read.error());
  ASSERT_EQ(read->routers.size(), 8u);
  EXPECT_EQ(toString(read->routers[7].lan.address), "10.1.6.254/24");
}

TEST(Reader, ProfilesAreRelativeToTheDefinition) {
  std::string text = kGalaxy;
  text.replace(text.find("\"direct\""), 8, "\"wireguard\", profile = \"vpn/a.conf\"");
  ReadOptions options;
  options.known = {universe()};
  const FakeFiles files({{"/etc/orrery/routers/vpn/a.conf", testing::wireGuardFile()}});
  const auto read = readDefinitions({{"/etc/orrery/routers/g.toml", text}}, files, options);
  ASSERT_TRUE(read) << toText(read.error());
  EXPECT_EQ(std::get<WireGuardEgress>(read->routers[0].egress).profile,
            "/etc/orrery/routers/vpn/a.conf");
}

TEST(Reader, AProfileOfAnotherUserIsRefused) {
  std::string text = kGalaxy;
  text.replace(text.find("\"direct\""), 8, "\"wireguard\", profile = \"a.conf\"");
  ReadOptions options;
  options.known = {universe()};
  AuxiliaryFile file = testing::wireGuardFile();
  file.uid = 1000;
  const auto read = readDefinitions({{"g.toml", text}}, FakeFiles({{"a.conf", file}}), options);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error()[0].message.find("belongs to user 1000"), std::string::npos);
}

TEST(Reader, RefusesFilesBeyondTheLimit) {
  const std::string text(kMaxDefinitionSize + 1, '#');
  const auto read = readDefinitions({{"big.toml", text}}, FakeFiles());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().at(0).message, "the file is too large for a definition");
}

// A megabyte of settings must not take the time of its square.
TEST(Reader, NamesEveryFaultOfTheLargestFile) {
  std::string text = kUniverse;
  std::size_t keys = 0;
  for (; text.size() + 32 < kMaxDefinitionSize; ++keys)
    text += "key" + std::to_string(keys) + " = \"value\"\n";
  const auto read = readDefinitions({{"large.toml", text}}, FakeFiles());
  ASSERT_FALSE(read);
  EXPECT_GE(read.error().size(), keys);
}

TEST(Reader, RefusesNestingAndByteZero) {
  for (const std::string& text :
       {"x = " + std::string(100000, '['), "x = " + std::string(100000, '{'),
        "a" + std::string(100000, '.') + "b = 1", std::string("version = 1\0", 12)}) {
    EXPECT_FALSE(readDefinitions({{"x.toml", text}}, FakeFiles()));
  }
}

TEST(Reader, RefusesTooManyRouters) {
  std::string text = kUniverse;
  for (int i = 0; i < 6; ++i) {
    text += "[router.g" + std::string(1, static_cast<char>('a' + i)) +
            "]\ncount = 1000\nkind = \"star\"\nuplink = \"universe0\"\n";
  }
  const auto read = readDefinitions({{"x.toml", text}}, FakeFiles());
  ASSERT_FALSE(read);
  bool found = false;
  for (const Diagnostic& d : read.error()) found |= d.message == "too many routers in one set";
  EXPECT_TRUE(found);
}

TEST(Values, Durations) {
  EXPECT_EQ(parseDuration("9000s").value().count(), 9000);
  EXPECT_EQ(parseDuration("15m").value().count(), 900);
  EXPECT_EQ(parseDuration("2h").value().count(), 7200);
  EXPECT_EQ(parseDuration("1d").value().count(), 86400);
  for (const char* text : {"", "s", "9000", "-1s", "1.5h", "1w", "1 h", "99999999999999999999s",
                           "18446744073709551615d"}) {
    EXPECT_FALSE(parseDuration(text)) << text;
  }
}

TEST(Values, Memory) {
  EXPECT_EQ(parseMemory("64M").value(), 64u << 20);
  EXPECT_EQ(memoryText(64u << 20), "64M");
  EXPECT_EQ(memoryText(std::uint64_t{3} << 30), "3G");
  EXPECT_EQ(memoryText(1536u << 10), "1536K");
  for (const char* text : {"", "64", "64m", "64MB", "M", "-1M", "99999999999999999G"}) {
    EXPECT_FALSE(parseMemory(text)) << text;
  }
}

TEST(Values, CpuLists) {
  for (const char* text : {"0", "0-1,3", "8191"}) EXPECT_TRUE(parseCpuList(text)) << text;
  for (const char* text : {"", ",", "0,", "1-", "-1", "3-1", "8192", "0 1", "a"}) {
    EXPECT_FALSE(parseCpuList(text)) << text;
  }
}

TEST(RouterSpec, NetworkNumber) {
  EXPECT_EQ(networkNumber("network0"), 0);
  EXPECT_EQ(networkNumber("network12"), 12);
  EXPECT_EQ(networkNumber("home"), 0);
  EXPECT_EQ(networkNumber("network256"), 0);
}

}  // namespace
}  // namespace orrery
