#include "netns/netlink/message.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <random>

namespace orrery {
namespace {

std::vector<std::uint8_t> bytesOf(NlMessage& message, std::uint32_t sequence = 0) {
  const Bytes bytes = message.seal(sequence).value();
  std::vector<std::uint8_t> out(bytes.size());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

Bytes asBytes(const std::vector<std::uint8_t>& v) {
  return std::as_bytes(std::span(v));
}

// This machine's byte order is little, as in all that we build for.
TEST(NlMessage, BytesAreAsTheKernelWantsThem) {
  const std::uint32_t header = 0x11223344;
  NlMessage message("label", 0x0102, NLM_F_CREATE, header);
  message.putU8(1, 0xaa).putString(2, "eth0").putIpv4(3, Ipv4{0x0a000001});
  message.beginNest(4).putU16(5, 0xbbcc).beginNest(6, true).putFlag(7).endNest().endNest();
  const std::vector<std::uint8_t> want = {
      0,    0,    0,    0,    2,    1,   1,   4,   7,    0,    0, 0, 0, 0, 0, 0,  // nlmsghdr:
                                                                                  // length below,
                                                                                  // REQUEST |
                                                                                  // CREATE
      0x44, 0x33, 0x22, 0x11,                                                     // family header
      5,    0,    1,    0,    0xaa, 0,   0,   0,                                  // padded to 4
      9,    0,    2,    0,    'e',  't', 'h', '0', 0,    0,    0, 0,              // zero-terminated
      8,    0,    3,    0,    10,   0,   0,   1,  // network byte order
      20,   0,    4,    0,    6,    0,   5,   0,   0xcc, 0xbb, 0, 0, 8, 0, 6, 0x80, 4, 0, 7, 0};
  EXPECT_EQ(bytesOf(message, 7), [&] {
    auto w = want;
    w[0] = static_cast<std::uint8_t>(w.size());
    return w;
  }());
}

TEST(NlMessage, TooMuchIsAnError) {
  const std::vector<std::uint8_t> big(70000);
  NlMessage attribute("big attribute", 1, 0, std::uint32_t{0});
  attribute.put(1, big.data(), big.size());
  EXPECT_EQ(attribute.seal(1).error().err, EMSGSIZE);
  NlMessage nest("big nest", 1, 0, std::uint32_t{0});
  nest.beginNest(1).put(2, big.data(), 40000).put(3, big.data(), 40000).endNest();
  EXPECT_EQ(nest.seal(1).error().err, EMSGSIZE);
}

TEST(Attributes, RoundTrip) {
  NlMessage message("label", 1, 0, std::uint32_t{0});
  message.putU32(1, 7).putString(2, "name").putIpv4(3, Ipv4{0xc0000201});
  message.putMac(4, Mac{{1, 2, 3, 4, 5, 6}}).beginNest(5, true).putU8(1, 9).endNest().putU32(1, 8);
  const Bytes bytes = message.seal(1).value();
  const Attributes a(bytes.subspan(sizeof(nlmsghdr) + 4));
  EXPECT_TRUE(a.wellFormed());
  EXPECT_EQ(a.value<std::uint32_t>(1), 8u) << "the last one counts";
  EXPECT_EQ(a.string(2), "name");
  EXPECT_EQ(a.ipv4(3), Ipv4{0xc0000201});
  EXPECT_EQ(a.mac(4), (Mac{{1, 2, 3, 4, 5, 6}}));
  EXPECT_EQ(a.nested(5).value<std::uint8_t>(1), 9);
  EXPECT_FALSE(a.find(6));
  EXPECT_FALSE(a.ipv4(2)) << "wrong size";
  EXPECT_FALSE(a.mac(1));
  EXPECT_FALSE(a.value<std::uint64_t>(1)) << "too short";
}

TEST(Attributes, LiesAboutLengthsEndTheReading) {
  const std::vector<std::vector<std::uint8_t>> hostile = {
      {0, 0, 1, 0},  // shorter than its own header: would loop for ever
      {3, 0, 1, 0},
      {9, 0, 1, 0, 1, 2, 3, 4},  // one byte too long
      {0xff, 0xff, 1, 0, 1},
      {8, 0, 1, 0, 1, 2, 3, 4, 8, 0},  // half a header after a good one
      {8, 0, 1, 0, 1, 2, 3, 4, 0, 0, 0, 0},
  };
  for (const auto& bytes : hostile) {
    const Attributes a(asBytes(bytes));
    EXPECT_FALSE(a.wellFormed());
    EXPECT_LE(a.all().size(), 1u);
  }
  EXPECT_TRUE(Attributes(Bytes{}).wellFormed());
}

TEST(Messages, SplitAndRefuse) {
  NlMessage one("a", 16, 0, std::uint32_t{1});
  NlMessage two("b", 17, 0, std::uint32_t{2});
  std::vector<std::uint8_t> both = bytesOf(one, 5);
  const auto second = bytesOf(two, 6);
  both.insert(both.end(), second.begin(), second.end());
  const auto replies = splitMessages(asBytes(both)).value();
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].type, 16);
  EXPECT_EQ(replies[1].sequence, 6u);
  EXPECT_EQ(readValue<std::uint32_t>(replies[1].payload), 2u);
  for (std::size_t cut = 1; cut < both.size(); ++cut) {
    const std::vector<std::uint8_t> part(both.begin(), both.begin() + static_cast<long>(cut));
    const auto r = splitMessages(asBytes(part));
    if (cut == second.size()) {
      EXPECT_TRUE(r);
    } else {
      EXPECT_EQ(r.error().err, EBADMSG) << cut;
    }
  }
  both[0] = 15;  // less than a header
  EXPECT_FALSE(splitMessages(asBytes(both)));
  both[0] = 0;
  EXPECT_FALSE(splitMessages(asBytes(both)));
}

std::vector<std::uint8_t> ackBytes(std::int32_t code, bool capped, const char* text) {
  std::vector<std::uint8_t> out(4 + 16 + (capped ? 0 : 4));
  std::memcpy(out.data(), &code, 4);
  out[4] = capped ? 200 : 20;  // the request's length; its body comes back unless capped
  const std::size_t size = std::strlen(text) + 1;
  out.push_back(static_cast<std::uint8_t>(4 + size));
  out.insert(out.end(), {0, NLMSGERR_ATTR_MSG, 0});
  out.insert(out.end(), text, text + size);
  return out;
}

TEST(Ack, KernelsWordsAreFound) {
  for (const bool capped : {true, false}) {
    const auto bytes = ackBytes(-EEXIST, capped, "Already there");
    const auto flags = static_cast<std::uint16_t>(NLM_F_ACK_TLVS | (capped ? NLM_F_CAPPED : 0));
    const NlAck ack = parseAck({NLMSG_ERROR, flags, 1, 0, asBytes(bytes)}).value();
    EXPECT_EQ(ack.err, EEXIST);
    EXPECT_EQ(ack.text, "Already there");
    // Cut anywhere it says less, and never reads beyond.
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      const std::vector<std::uint8_t> part(bytes.begin(), bytes.begin() + static_cast<long>(cut));
      const auto r = parseAck({NLMSG_ERROR, flags, 1, 0, asBytes(part)});
      EXPECT_EQ(r.has_value(), cut >= 4) << cut;
    }
  }
  const std::vector<std::uint8_t> zero(4);
  EXPECT_EQ(parseAck({NLMSG_ERROR, 0, 1, 0, asBytes(zero)}).value().err, 0);
  const std::vector<std::uint8_t> least = {0, 0, 0, 0x80};  // INT32_MIN has no opposite
  EXPECT_FALSE(parseAck({NLMSG_ERROR, 0, 1, 0, asBytes(least)}));
}

TEST(Messages, NoiseDoesNoHarm) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::uint8_t> noise(random() % 96);
    for (auto& b : noise) b = static_cast<std::uint8_t>(random() % 24);  // plausible lengths
    (void)splitMessages(asBytes(noise));
    (void)Attributes(asBytes(noise)).nested(1).nested(1).string(1);
    const auto flags = static_cast<std::uint16_t>(random());
    (void)parseAck({NLMSG_ERROR, flags, 0, 0, asBytes(noise)});
    (void)parseAck({NLMSG_DONE, flags, 0, 0, asBytes(noise)});
  }
}

}  // namespace
}  // namespace orrery
