#include "runtime/tproxy/socks5.h"

#include <gtest/gtest.h>

#include <vector>

namespace orrery::tproxy {
namespace {

using Bytes = std::vector<std::uint8_t>;
using State = Socks5Handshake::State;

const Credentials kCredentials{"user", "pw"};
const Target kAddress{Ipv4{0x01020304}, 0x1234};
const Target kName{std::string("a.onion"), 80};

Bytes drain(Socks5Handshake& handshake) {
  const auto out = handshake.output();
  Bytes bytes(out.begin(), out.end());
  handshake.sent(bytes.size());
  return bytes;
}

void feed(Socks5Handshake& handshake, const Bytes& bytes) {
  ASSERT_LE(bytes.size(), handshake.wanted());
  handshake.feed(bytes);
}

TEST(Socks5, NameGoesToTheServer) {
  Socks5Handshake handshake(kName, kCredentials);
  (void)drain(handshake);
  feed(handshake, {5, 2});
  (void)drain(handshake);
  feed(handshake, {1, 0});
  const Bytes expected = {5, 1, 0, 3, 7, 'a', '.', 'o', 'n', 'i', 'o', 'n', 0, 80};
  EXPECT_EQ(drain(handshake), expected);
  EXPECT_EQ(handshake.wanted(), 7u);  // the least that a reply may still have
  feed(handshake, {5, 0, 0, 1, 0});
  EXPECT_EQ(handshake.state(), State::running);
  feed(handshake, {0, 0, 0, 0, 0});
  EXPECT_EQ(handshake.state(), State::done);
  EXPECT_EQ(handshake.wanted(), 0u);
}

TEST(Socks5, StrictStepsWithPassword) {
  Socks5Handshake handshake(kAddress, kCredentials);
  EXPECT_EQ(drain(handshake), (Bytes{5, 1, 2}));
  EXPECT_TRUE(handshake.output().empty());
  feed(handshake, {5, 2});
  EXPECT_EQ(drain(handshake), (Bytes{1, 4, 'u', 's', 'e', 'r', 2, 'p', 'w'}));
  EXPECT_TRUE(handshake.output().empty());
  feed(handshake, {1, 0});
  EXPECT_EQ(drain(handshake), (Bytes{5, 1, 0, 1, 1, 2, 3, 4, 0x12, 0x34}));
}

TEST(Socks5, StrictStepsWithoutPassword) {
  Socks5Handshake handshake(kAddress, std::nullopt);
  EXPECT_EQ(drain(handshake), (Bytes{5, 1, 0}));
  feed(handshake, {5, 0});
  EXPECT_EQ(drain(handshake), (Bytes{5, 1, 0, 1, 1, 2, 3, 4, 0x12, 0x34}));
}

// Whatever the address in the reply, the bytes asked for end with the reply.
struct Reply {
  const char* what;
  Bytes bytes;
};
const std::vector<Reply>& replies() {
  static const std::vector<Reply> all = {
      {"IPv4", {5, 0, 0, 1, 9, 9, 9, 9, 0, 1}},
      {"IPv6", {5, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 1}},
      {"empty name", {5, 0, 0, 3, 0, 0, 1}},
      {"name", {5, 0, 0, 3, 3, 'a', 'b', 'c', 0, 1}},
  };
  return all;
}

TEST(Socks5, SplitAtEveryByteAndNeverBeyondTheReply) {
  for (const Reply& reply : replies()) {
    Bytes stream = {5, 2, 1, 0};
    stream.insert(stream.end(), reply.bytes.begin(), reply.bytes.end());
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      Socks5Handshake handshake(kName, kCredentials);
      std::size_t at = 0;
      for (const std::size_t end : {cut, stream.size()}) {
        while (at < end && handshake.wanted() > 0) {
          const std::size_t take = std::min(handshake.wanted(), end - at);
          handshake.feed(std::span(stream).subspan(at, take));
          at += take;
        }
        if (at < stream.size()) {
          EXPECT_EQ(handshake.state(), State::running) << reply.what;
          EXPECT_LE(at + handshake.wanted(), stream.size()) << reply.what << " cut " << cut;
        }
      }
      EXPECT_EQ(at, stream.size()) << reply.what;
      EXPECT_EQ(handshake.state(), State::done) << reply.what << " cut " << cut;
    }
  }
}

TEST(Socks5, SentInPiecesOfOneByte) {
  Socks5Handshake whole(kName, kCredentials);
  const Bytes expected = drain(whole);
  Socks5Handshake pieces(kName, kCredentials);
  Bytes got;
  while (!pieces.output().empty()) {
    got.push_back(pieces.output().front());
    pieces.sent(1);
  }
  EXPECT_EQ(got, expected);
}

TEST(Socks5, EveryReplyCodeRejects) {
  for (unsigned code = 1; code < 256; ++code) {
    Socks5Handshake handshake(kAddress, std::nullopt);
    handshake.feed(Bytes{5, 0, 5, static_cast<std::uint8_t>(code)});
    EXPECT_EQ(handshake.state(), State::rejected) << code;
    EXPECT_EQ(handshake.replyCode(), code);
    EXPECT_TRUE(handshake.output().empty());
    EXPECT_EQ(handshake.wanted(), 0u);
  }
}

TEST(Socks5, ProtocolErrors) {
  const std::vector<Reply> cases = {
      {"version 4", {4, 2}},
      {"no acceptable method", {5, 0xff}},
      {"another method", {5, 0}},
      {"HTTP", {'H', 'T'}},
      {"password refused", {5, 2, 1, 1}},
      {"reply of version 4", {5, 2, 1, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0}},
      {"address type 2", {5, 2, 1, 0, 5, 0, 0, 2}},
      {"address type 0", {5, 2, 1, 0, 5, 0, 0, 0}},
  };
  for (const Reply& bad : cases) {
    Socks5Handshake handshake(kAddress, kCredentials);
    handshake.feed(bad.bytes);
    EXPECT_EQ(handshake.state(), State::protocolError) << bad.what;
  }
}

TEST(Socks5, LongFieldsAreCutAt255) {
  Socks5Handshake handshake(Target{std::string(300, 'n'), 1},
                            Credentials{std::string(300, 'u'), std::string(300, 'p')});
  (void)drain(handshake);
  feed(handshake, {5, 2});
  EXPECT_EQ(drain(handshake).size(), 1u + 256 + 256);
  feed(handshake, {1, 0});
  EXPECT_EQ(drain(handshake).size(), 4u + 256 + 2);
}

}  // namespace
}  // namespace orrery::tproxy
