#include "routers/egress/peer_liveness.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

using std::chrono::seconds;

// A peer, and a clock that only the test moves.
class PeerLivenessTest : public ::testing::Test {
 protected:
  std::optional<seconds> after(seconds passed, std::uint64_t sent, std::uint64_t heard) {
    now_ += passed;
    counters_.sent += sent;
    counters_.heard += heard;
    return liveness_.look(counters_, now_);
  }
  // Looks whenever it asks to; until it finds the peer silent, or the time is up.
  std::optional<seconds> silentAfter(seconds limit, seconds every, std::uint64_t sent,
                                     std::uint64_t heard) {
    seconds passed{0}, next{0};
    while (passed < limit) {
      const auto asked = after(next, sent * static_cast<std::uint64_t>(next / every),
                               heard * static_cast<std::uint64_t>(next / every));
      if (!asked) return passed;
      EXPECT_GT(asked->count(), 0);
      next = *asked;
      passed += next;
    }
    return std::nullopt;
  }

  PeerLiveness::Time now_{};
  PeerCounters counters_{1000, 5000, 5000};
  PeerLiveness liveness_{seconds(0), counters_, now_};
};

TEST_F(PeerLivenessTest, NobodySpeaksAndNobodyIsMissed) {
  EXPECT_EQ(after(seconds(15), 0, 0), PeerLiveness::kIdle);
  EXPECT_EQ(silentAfter(seconds(3600), seconds(1), 0, 0), std::nullopt);
}

TEST_F(PeerLivenessTest, AnAnswerOfAnyLengthWillDo) {
  EXPECT_EQ(silentAfter(seconds(3600), seconds(10), 100'000, 32), std::nullopt);
  EXPECT_EQ(after(seconds(15), 1, 1), PeerLiveness::kBusy);
}

TEST_F(PeerLivenessTest, SpokenToItMustAnswerWithinThePatience) {
  EXPECT_EQ(after(seconds(15), 148, 0), PeerLiveness::kPatience);
  EXPECT_EQ(after(seconds(24), 148, 0), seconds(1));  // looked at too early
  EXPECT_EQ(after(seconds(1), 148, 0), std::nullopt);
}

TEST_F(PeerLivenessTest, OneThatAnswersInTimeIsNoLongerWaitedFor) {
  EXPECT_EQ(after(seconds(15), 148, 0), PeerLiveness::kPatience);
  EXPECT_EQ(after(seconds(25), 148, 92), PeerLiveness::kBusy);
  EXPECT_EQ(after(seconds(15), 0, 0), PeerLiveness::kIdle);
}

// What follows the first words may be nothing: WireGuard gives up after 90 s.
TEST_F(PeerLivenessTest, SilenceOnBothSidesAfterWordsIsNoAnswer) {
  EXPECT_EQ(after(seconds(180), 148, 0), PeerLiveness::kPatience);
  EXPECT_EQ(after(seconds(25), 0, 0), std::nullopt);
}

TEST_F(PeerLivenessTest, AHandshakeIsAnAnswer) {
  EXPECT_EQ(after(seconds(15), 148, 0), PeerLiveness::kPatience);
  counters_.lastHandshake += 30;
  EXPECT_EQ(after(seconds(25), 148, 0), PeerLiveness::kBusy);
}

TEST_F(PeerLivenessTest, OwnKeepalivesWantNoAnswerButAHandshakeDoes) {
  liveness_ = PeerLiveness(seconds(25), counters_, now_);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(after(seconds(180), 8 * 32, 0), PeerLiveness::kIdle);
  EXPECT_EQ(after(seconds(180), 8 * 32 + 148, 0), PeerLiveness::kPatience);
}

// The answer to what was heard just before the last look.
TEST_F(PeerLivenessTest, OneKeepaliveIsNoSpeech) {
  EXPECT_EQ(after(seconds(15), 32, 0), PeerLiveness::kIdle);
  EXPECT_EQ(after(seconds(15), 64, 0), PeerLiveness::kPatience);
}

TEST_F(PeerLivenessTest, CountersThatBeginAnewAreNoSpeech) {
  counters_ = {0, 0, 5000};
  EXPECT_EQ(after(seconds(15), 0, 0), PeerLiveness::kBusy);  // another handshake: never
  counters_ = {0, 0, 5000};
  EXPECT_EQ(after(seconds(15), 0, 0), PeerLiveness::kIdle);
}

TEST(AddUapiLine, AddsUpWhatCountsAndNothingElse) {
  PeerCounters counters;
  for (const char* line :
       {"public_key=ab", "tx_bytes=10", "rx_bytes=20", "last_handshake_time_sec=7",
        "last_handshake_time_nsec=9", "public_key=cd", "tx_bytes=1", "rx_bytes=2",
        "last_handshake_time_sec=5", "tx_bytes=-4", "rx_bytes=", "rx_bytes=x", "errno=0", ""})
    addUapiLine(counters, line);
  EXPECT_EQ(counters, (PeerCounters{7, 11, 22}));
}

}  // namespace
}  // namespace orrery
