#include "runtime/tproxy/dns.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dns_messages.h"

namespace orrery::tproxy::dns {
namespace {

using namespace orrery::tproxy::testing;

TEST(DnsParse, ReadsAnOrdinaryQuery) {
  const auto parsed = parseQuery(query("WwW.Example.COM", 28));
  ASSERT_TRUE(parsed.query);
  EXPECT_EQ(parsed.query->id, 0x1234);
  EXPECT_EQ(parsed.query->name, "www.example.com");
  EXPECT_EQ(parsed.query->type, 28);
  EXPECT_EQ(parsed.query->klass, 1);
  EXPECT_TRUE(parsed.query->recursionDesired);
  EXPECT_FALSE(parsed.query->edns);
  EXPECT_EQ(parsed.query->question, question(wireName("WwW.Example.COM"), 28));
}

TEST(DnsParse, ReadsEdns) {
  const auto parsed = parseQuery(message({.additional = 1}, question(wireName("a.b")) + opt(1400)));
  ASSERT_TRUE(parsed.query);
  EXPECT_TRUE(parsed.query->edns);
  EXPECT_EQ(parsed.query->udpSize, 1400);
}

TEST(DnsParse, SmallEdnsSizeMeans512) {
  const auto parsed = parseQuery(message({.additional = 1}, question(wireName("a.b")) + opt(100)));
  ASSERT_TRUE(parsed.query);
  EXPECT_EQ(parsed.query->udpSize, 512);
}

TEST(DnsParse, RootAndStrangeBytes) {
  const auto root = parseQuery(query(""));
  ASSERT_TRUE(root.query);
  EXPECT_EQ(root.query->name, "");
  const auto strange = parseQuery(message({}, question(Bytes{3, 'a', 0, '\n', 1, 'b', 0})));
  ASSERT_TRUE(strange.query);
  EXPECT_EQ(strange.query->name, "a??.b");
  EXPECT_FALSE(strange.query->printable);
}

Bytes longName(std::size_t lastLabel) {  // three labels of 63 and a last one
  Bytes name;
  for (std::size_t size : {std::size_t{63}, std::size_t{63}, std::size_t{63}, lastLabel}) {
    name.push_back(static_cast<std::uint8_t>(size));
    name.insert(name.end(), size, 'x');
  }
  name.push_back(0);
  return name;
}

TEST(DnsParse, LongestNameIs255Bytes) {
  EXPECT_EQ(longName(61).size(), 255u);
  const auto longest = parseQuery(message({}, question(longName(61))));
  ASSERT_TRUE(longest.query);
  EXPECT_EQ(longest.query->name.size(), kMaxName);
  EXPECT_FALSE(parseQuery(message({}, question(longName(62)))).query);
}

struct Bad {
  const char* what;
  Bytes message;
  std::optional<Rcode> rcode;
};

TEST(DnsParse, RefusesWhatIsNoQuery) {
  const Bytes plain = question(wireName("a.b"));
  const Bytes manyOpt = opt(512) + opt(512);
  const std::vector<Bad> cases = {
      {"empty", {}, std::nullopt},
      {"eleven bytes", Bytes(11, 0), std::nullopt},
      {"too long", Bytes(kMaxQuery + 1, 0), std::nullopt},
      {"an answer", message({.flags = 0x8180}, plain), std::nullopt},
      {"opcode NOTIFY", message({.flags = 0x2000}, plain), Rcode::notImp},
      {"opcode UPDATE", message({.flags = 0x2800}, plain), Rcode::notImp},
      {"no question", message({.questions = 0}, {}), Rcode::formErr},
      {"two questions", message({.questions = 2}, plain + plain), Rcode::formErr},
      {"65535 questions", message({.questions = 65535}, plain), Rcode::formErr},
      {"with an answer", message({.answers = 1}, plain), Rcode::formErr},
      {"with an authority", message({.authorities = 1}, plain), Rcode::formErr},
      {"header alone", message({}, {}), Rcode::formErr},
      {"label cut off", message({}, Bytes{5, 'a', 'b'}), Rcode::formErr},
      {"no end of name", message({}, Bytes{1, 'a'}), Rcode::formErr},
      {"no type", message({}, wireName("a.b")), Rcode::formErr},
      {"no class", message({}, wireName("a.b") + Bytes{0, 1}), Rcode::formErr},
      {"half a class", message({}, wireName("a.b") + Bytes{0, 1, 0}), Rcode::formErr},
      {"pointer to itself", message({}, question(Bytes{0xc0, 12})), Rcode::formErr},
      {"pointer backwards", message({}, question(Bytes{1, 'a', 0xc0, 12})), Rcode::formErr},
      {"pointer beyond", message({}, question(Bytes{0xff, 0xff})), Rcode::formErr},
      {"half a pointer", message({}, Bytes{0xc0}), Rcode::formErr},
      {"label type 01", message({}, question(Bytes{0x41, 'a', 0})), Rcode::formErr},
      {"label type 10", message({}, question(Bytes{0x81, 'a', 0})), Rcode::formErr},
      {"OPT missing", message({.additional = 1}, plain), Rcode::formErr},
      {"OPT cut off", message({.additional = 1}, plain + Bytes{0, 0, 41, 2}), Rcode::formErr},
      {"two OPT", message({.additional = 2}, plain + manyOpt), Rcode::formErr},
      {"65535 additional", message({.additional = 65535}, plain + opt(512)), Rcode::formErr},
      {"OPT with data beyond",
       message({.additional = 1}, plain + Bytes{0, 0, 41, 2, 0, 0, 0, 0, 0, 0xff, 0xff}),
       Rcode::formErr},
      {"EDNS version 1", message({.additional = 1}, plain + opt(512, 1)), Rcode::badVers},
  };
  for (const Bad& bad : cases) {
    const auto parsed = parseQuery(bad.message);
    EXPECT_FALSE(parsed.query) << bad.what;
    EXPECT_EQ(parsed.problem.rcode, bad.rcode) << bad.what;
  }
}

TEST(DnsParse, AdditionalNamesMayBeCompressedAndAreNotFollowed) {
  // A record whose name points at itself, then OPT.
  const Bytes loop = Bytes{0xc0, 17} + Bytes{0, 1, 0, 1, 0, 0, 0, 0, 0, 0};
  const auto parsed =
      parseQuery(message({.additional = 2}, question(wireName("a")) + loop + opt(600)));
  ASSERT_TRUE(parsed.query);
  EXPECT_EQ(parsed.query->udpSize, 600);
}

TEST(DnsParse, EveryPrefixOfAQueryIsHandled) {
  const Bytes whole = message({.additional = 1}, question(wireName("www.example.com")) + opt(1232));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parseQuery(std::span(whole).first(size)).query) << size;
  }
  EXPECT_TRUE(parseQuery(whole).query);
}

TEST(DnsReply, AddressRecord) {
  const auto parsed = parseQuery(query("A.example"));
  ASSERT_TRUE(parsed.query);
  std::array<std::uint8_t, kMaxReply> out{};
  const auto reply =
      buildReply(*parsed.query, Rcode::noError,
                 {.kind = Record::Kind::address, .address = Ipv4{0x0ac00001}, .ttl = 60}, out);
  const Bytes expected = message({.flags = 0x8180, .answers = 1}, question(wireName("A.example"))) +
                         Bytes{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 192, 0, 1};
  EXPECT_EQ(Bytes(reply.begin(), reply.end()), expected);
}

TEST(DnsReply, PtrRecord) {
  const auto parsed = parseQuery(query("1.0.192.10.in-addr.arpa", 12));
  ASSERT_TRUE(parsed.query);
  std::array<std::uint8_t, kMaxReply> out{};
  const auto reply = buildReply(*parsed.query, Rcode::noError,
                                {.kind = Record::Kind::name, .name = "a.example", .ttl = 1}, out);
  const Bytes expected =
      message({.flags = 0x8180, .answers = 1}, question(wireName("1.0.192.10.in-addr.arpa"), 12)) +
      Bytes{0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 1, 0, 11} + wireName("a.example");
  EXPECT_EQ(Bytes(reply.begin(), reply.end()), expected);
}

TEST(DnsReply, EdnsErrorHasItsUpperBits) {
  const auto parsed =
      parseQuery(message({.additional = 1}, question(wireName("a.b")) + opt(512, 1)));
  std::array<std::uint8_t, kMaxReply> out{};
  const auto reply = buildReply(parsed.problem.query, Rcode::badVers, {}, out);
  ASSERT_GE(reply.size(), 11u);
  EXPECT_EQ(reply[3] & 0x0f, 0);
  EXPECT_EQ(reply[reply.size() - 6], 1);  // BADVERS is 16: 1 in OPT, 0 in the header
}

TEST(DnsReply, TheLongestAnswersFit) {
  const auto parsed = parseQuery(message({.additional = 1}, question(longName(61)) + opt(1232)));
  ASSERT_TRUE(parsed.query);
  std::array<std::uint8_t, kMaxReply> out{};
  const auto reply =
      buildReply(*parsed.query, Rcode::noError,
                 {.kind = Record::Kind::address, .address = Ipv4{1}, .ttl = 60}, out);
  EXPECT_EQ(reply.size(), 12u + 255 + 4 + 16 + 11);
  const auto ptr = parseQuery(message(
      {.additional = 1}, question(wireName("255.255.255.255.in-addr.arpa"), 12) + opt(1232)));
  const auto longest =
      buildReply(*ptr.query, Rcode::noError,
                 {.kind = Record::Kind::name, .name = parsed.query->name, .ttl = 60}, out);
  EXPECT_EQ(longest.size(), 12u + 30 + 4 + 12 + 255 + 11);
}

TEST(DnsNames, Resolvable) {
  for (const char* name : {"example.com", "a", "xn--bcher-kva.example", "_dmarc.example.com",
                           "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion",
                           "notlocalhost", "3com.com", "0x7f.example", "1.2.3.4.example", "0xg"}) {
    EXPECT_TRUE(isResolvable(name)) << name;
  }
  for (const char* name : {"",
                           "localhost",
                           "a.localhost",
                           "local",
                           "printer.local",
                           "invalid",
                           "x.invalid",
                           "home.arpa",
                           "nas.home.arpa",
                           "in-addr.arpa",
                           "1.1.168.192.in-addr.arpa",
                           "x.ip6.arpa",
                           "10.0.0.1",
                           "127.1",
                           "2130706433",
                           "0x7f000001",
                           "0x7f.1",
                           "example.0x1",
                           "a.0x",
                           "a..b",
                           ".a",
                           "a b",
                           "a/b",
                           "a?b"}) {
    EXPECT_FALSE(isResolvable(name)) << name;
  }
  EXPECT_FALSE(isResolvable(std::string(64, 'a')));
  EXPECT_TRUE(isResolvable(std::string(63, 'a')));
}

TEST(DnsNames, ReverseAddress) {
  EXPECT_EQ(reverseAddress("4.3.2.1.in-addr.arpa"), Ipv4{0x01020304});
  for (const char* name :
       {"", "3.2.1.in-addr.arpa", "5.4.3.2.1.in-addr.arpa", "256.3.2.1.in-addr.arpa",
        "04.3.2.1.in-addr.arpa", "a.3.2.1.in-addr.arpa", "4.3.2.1.ip6.arpa", "in-addr.arpa",
        "4.3.2.1xin-addr.arpa", "-4.3.2.1.in-addr.arpa"}) {
    EXPECT_FALSE(reverseAddress(name)) << name;
  }
}

}  // namespace
}  // namespace orrery::tproxy::dns
