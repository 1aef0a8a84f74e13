#include "netns/addr/ip.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <unordered_set>
#include <vector>

namespace orrery {
namespace {

Ipv4 ip(const std::string& text) {
  return parseIpv4(text).value();
}
Prefix4 prefix(const std::string& text) {
  return parsePrefix4(text).value();
}

TEST(Ipv4, RoundTrip) {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "10.1.1.254"}) {
    EXPECT_EQ(toString(ip(text)), text);
  }
  EXPECT_EQ(ip("10.1.2.3").value, 0x0a010203u);
}

TEST(Ipv4, RefusesWhatIsNotADottedQuad) {
  for (const char* text : {"", "10", "10.0.0", "10.0.0.0.0", "10.0.0.256", "10.0.0.01", "010.0.0.1",
                           "10.0.0.-1", "10.0.0.+1", "10.0.0. 1", "10.0.0.1 ", "0x0a.0.0.1",
                           "10..0.1", "10.0.0.1/24", "::1", "a.b.c.d", "10.0.0.1000"}) {
    EXPECT_FALSE(parseIpv4(text)) << text;
  }
}

TEST(Prefix4, Arithmetic) {
  const Prefix4 p = prefix("10.1.1.254/24");
  EXPECT_EQ(toString(p), "10.1.1.254/24");
  EXPECT_EQ(toString(p.network()), "10.1.1.0");
  EXPECT_EQ(toString(p.broadcast()), "10.1.1.255");
  EXPECT_EQ(toString(p.mask()), "255.255.255.0");
  EXPECT_TRUE(p.contains(ip("10.1.1.0")));
  EXPECT_TRUE(p.contains(ip("10.1.1.255")));
  EXPECT_FALSE(p.contains(ip("10.1.2.0")));
  EXPECT_EQ(prefix("1.2.3.4/0").mask().value, 0u);
  EXPECT_TRUE(prefix("1.2.3.4/0").contains(ip("255.255.255.255")));
  EXPECT_EQ(prefix("1.2.3.4/32").mask().value, 0xffffffffu);
}

TEST(Prefix4, OverlapsIsSymmetric) {
  struct Case {
    const char* a;
    const char* b;
    bool want;
  };
  for (const Case& c :
       {Case{"10.1.1.254/24", "10.1.1.1/24", true}, Case{"10.1.1.254/24", "10.1.2.254/24", false},
        Case{"10.0.0.0/8", "10.255.1.1/30", true}, Case{"0.0.0.0/0", "192.168.0.0/16", true},
        Case{"10.0.0.0/25", "10.0.0.128/25", false}}) {
    EXPECT_EQ(prefix(c.a).overlaps(prefix(c.b)), c.want) << c.a << " " << c.b;
    EXPECT_EQ(prefix(c.b).overlaps(prefix(c.a)), c.want) << c.b << " " << c.a;
  }
}

TEST(Prefix4, RefusesBadLengths) {
  for (const char* text : {"10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/024",
                           "10.0.0.1/24/24", "/24", "10.0.0/24", "10.0.0.1/255.255.255.0"}) {
    EXPECT_FALSE(parsePrefix4(text)) << text;
  }
}

TEST(Mac, RoundTripAndRefusals) {
  EXPECT_EQ(toString(parseMac("52:54:00:AB:cd:01").value()), "52:54:00:ab:cd:01");
  EXPECT_TRUE(parseMac("01:00:5e:00:00:01").value().isMulticast());
  EXPECT_FALSE(parseMac("52:54:00:ab:cd:01").value().isMulticast());
  for (const char* text :
       {"", "52:54:00:ab:cd", "52:54:00:ab:cd:01:02", "52-54-00-ab-cd-01", "5:54:00:ab:cd:01",
        "52:54:00:ab:cd:0g", "52:54:00:ab:cd:+1", "525400abcd01", "52:54:00:ab:cd:001"}) {
    EXPECT_FALSE(parseMac(text)) << text;
  }
}

TEST(MacFromAddress, TheTableOfTheSeedByteForByte) {
  struct Case {
    const char* address;
    std::uint8_t network;
    const char* want;
  };
  for (const Case& c : {
           Case{"10.0.0.1", 0, "00:00:10:00:00:01"},      //
           Case{"10.1.1.254", 0, "00:00:10:01:01:fe"},    //
           Case{"10.2.2.254", 0, "00:00:10:02:02:fe"},    //
           Case{"10.0.0.2", 0, "00:00:10:00:00:02"},      //
           Case{"10.1.1.10", 0, "00:00:10:01:01:10"},     //
           Case{"10.11.11.254", 0, "00:00:10:11:11:fe"},  //
           Case{"10.16.16.2", 0, "00:00:10:16:16:02"},    //
           Case{"10.0.0.1", 1, "00:01:10:00:00:01"},      //
           Case{"10.101.101.1", 0, "02:00:0a:65:65:01"},  // would be 10.65.65.1's
           Case{"10.65.65.1", 0, "00:00:10:65:65:01"},    //
       }) {
    EXPECT_EQ(toString(macFromAddress(ip(c.address), c.network)), c.want) << c.address;
  }
  EXPECT_EQ(toString(macFromAddress(ip("10.1.1.254"), 0, true)), "02:00:10:01:01:fe");
  EXPECT_EQ(toString(macFromAddress(ip("10.101.101.1"), 0, true)), "02:00:0a:65:65:01");
  EXPECT_EQ(toString(macFromAddress(ip("192.168.1.65"), 0, true)), "06:00:c0:a8:01:65");
}

// All hosts of 10/8 are 2^24 addresses. A whole pass over them is cheap enough to be the proof.
TEST(MacFromAddress, InjectiveOverTheWholeOf10Slash8) {
  for (const bool local : {false, true}) {
    std::vector<bool> seen(std::size_t{1} << 26);
    for (std::uint32_t host = 0; host < (1u << 24); ++host) {
      const Mac mac = macFromAddress(Ipv4{(10u << 24) | host}, 7, local);
      ASSERT_FALSE(mac.isMulticast());
      ASSERT_EQ(mac.bytes[1], 7);
      // The first octet has two forms, the prefix two values: 26 bits hold all there is.
      ASSERT_TRUE(mac.bytes[2] == 0x10 || mac.bytes[2] == 0x0a);
      ASSERT_TRUE(mac.bytes[0] == 0x00 || mac.bytes[0] == 0x02);
      const std::size_t index =
          std::size_t{mac.bytes[0] == 0x02} << 25 | std::size_t{mac.bytes[2] == 0x0a} << 24 |
          std::size_t{mac.bytes[3]} << 16 | std::size_t{mac.bytes[4]} << 8 | mac.bytes[5];
      ASSERT_FALSE(seen[index]) << toString(Ipv4{(10u << 24) | host}) << " " << toString(mac);
      seen[index] = true;
    }
  }
}

// Other blocks: each octet from the edges of every range, all combinations, both kinds mixed. Only
// true hex depends on nothing but the address, so there the two kinds give one MAC.
TEST(MacFromAddress, InjectiveAtTheEdgesOfEveryRange) {
  const std::vector<std::uint32_t> edges = {0,   1,   9,   10,  16,  22,  64,  65,  99,
                                            100, 101, 127, 153, 154, 168, 192, 254, 255};
  std::set<Mac> plain;
  for (const std::uint32_t a : edges) {
    std::unordered_set<std::string> mixed;
    for (const std::uint32_t b : edges) {
      for (const std::uint32_t c : edges) {
        for (const std::uint32_t d : edges) {
          const Ipv4 address{a << 24 | b << 16 | c << 8 | d};
          const Mac mac = macFromAddress(address, 0);
          const Mac local = macFromAddress(address, 0, true);
          EXPECT_TRUE(plain.insert(mac).second) << toString(address);
          EXPECT_TRUE(mixed.insert(toString(mac)).second) << toString(address);
          EXPECT_TRUE(mac == local || mixed.insert(toString(local)).second) << toString(address);
        }
      }
    }
  }
}

TEST(IfName, TakesWhatTheKernelTakes) {
  for (const char* text : {"lo", "universe0", "a", "123456789012345", "eth0.100", "-x"}) {
    EXPECT_TRUE(IfName::parse(text)) << text;
  }
  for (const char* text : {"", "1234567890123456", "a/b", "a b", "a:b", "tun%d", ".", "..", "all",
                           "default", "a\tb", "a\x7f", "\xc3\xa4"}) {
    EXPECT_FALSE(IfName::parse(text)) << text;
  }
}

}  // namespace
}  // namespace orrery
