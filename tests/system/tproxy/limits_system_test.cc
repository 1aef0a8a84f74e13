#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>

#include "test_net.h"

namespace orrery::tproxy::testing {
namespace {

TEST(TproxyLimits, OneClientCannotTakeAll) {
  Limits limits;
  limits.perClient = 3;
  TorNet t(limits);
  std::vector<UniqueFd> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(dialFrom(t.net.clients[0], "198.51.100.7", kBanner));
    EXPECT_EQ(receiveSome(open.back().get(), 6), "banner");
  }
  const UniqueFd fourth = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(fateOf(fourth), ECONNRESET);
  const UniqueFd other = dialFrom(t.net.clients[1], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(other.get(), 6), "banner");
  EXPECT_EQ(t.proxy->stats()["ends"]["refused_client_limit"], 1);
  auto told = t.proxy->event();
  if (told["event"] == "upstream") told = t.proxy->event();
  EXPECT_EQ(told["event"], "limit");
  EXPECT_EQ(told["refused"], 1);
}

// More clients than it may or can have at once: all are served in turn, none is turned away, and it
// sleeps while they wait.
void serveInTurn(TorNet& t, int clients) {
  std::vector<UniqueFd> open;
  for (int i = 0; i < clients; ++i) {
    open.push_back(dialFrom(t.net.clients[0], "198.51.100.7", kEcho));
    ASSERT_TRUE(open.back());
    ASSERT_TRUE(sendText(open.back().get(), "x"));
  }
  EXPECT_EQ(receiveSome(open.front().get(), 1), "x");
  EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["accept_pauses"] > 0; }));
  EXPECT_LT(t.proxy->stats()["open"], clients);
  // A loop that came back at once would be on the processor for nearly all of the time.
  constexpr std::chrono::milliseconds kWatched{300};
  const auto before = t.proxy->processorTime();
  waitFor(kWatched);
  EXPECT_LT(t.proxy->processorTime() - before, kWatched / 3) << "spins while it cannot accept";
  open.erase(open.begin());
  for (UniqueFd& fd : open) {
    EXPECT_EQ(receiveSome(fd.get(), 1), "x");
    fd.reset();
  }
  EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["open"] == 0; }));
  EXPECT_EQ(t.proxy->stats()["ends"]["no_resources"], 0);
}

TEST(TproxyLimits, ConnectionLimitPausesAccepting) {
  Limits limits;
  limits.connections = 5;
  TorNet t(limits);
  serveInTurn(t, 20);
}

TEST(TproxyLimits, OutOfDescriptorsPausesAccepting) {
  for (const std::uint64_t openFiles : {232u, 233u}) {  // ours are 200 to 205
    TorNet t({}, openFiles);
    serveInTurn(t, 150);
  }
}

TEST(TproxyLimits, SlowReadersCostTheirOwnBuffersOnly) {
  Limits limits;
  limits.pipesPerClient = 2;
  TorNet t(limits);
  std::vector<UniqueFd> unread;
  for (int i = 0; i < 20; ++i) {
    unread.push_back(dialFrom(t.net.clients[0], "198.51.100.7", kSource));
    ASSERT_EQ(receiveSome(unread.back().get(), 1).size(), 1u);
  }
  const UniqueFd other = dialFrom(t.net.clients[1], "198.51.100.7", kSource);
  EXPECT_EQ(receiveAll(other.get()).size(), kSourceBytes);
  // Its pipes, those of the other one, and a few that are kept for the next.
  EXPECT_LE(t.proxy->pipes(), 2u + 2u + 8u);
  const std::uint64_t held = t.proxy->stats()["bytes_down"].get<std::uint64_t>() - kSourceBytes;
  EXPECT_LT(held, kSourceBytes / 2) << "of twenty times as much";
}

TEST(TproxyLimits, IdleFlowsEnd) {
  Limits limits;
  limits.idle = std::chrono::seconds(1);
  TorNet t(limits);
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(fd.get(), 6), "banner");
  EXPECT_EQ(nextReadError(fd.get()), ECONNRESET);
  EXPECT_EQ(t.proxy->stats()["ends"]["idle"], 1);
}

TEST(TproxyLimits, IdleMeansNoWakeUp) {
  TorNet t;
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(fd.get(), 6), "banner");
  EXPECT_EQ(t.proxy->stats()["open"], 1);
  waitFor(std::chrono::milliseconds(50));
  const auto before = t.proxy->contextSwitches();
  ASSERT_GT(before, 0u);
  waitFor(std::chrono::milliseconds(3000));
  EXPECT_EQ(t.proxy->contextSwitches(), before);
  t.proxy->stats();
  waitFor(std::chrono::milliseconds(200));  // until it sleeps again, which is what is counted
  EXPECT_GT(t.proxy->contextSwitches(), before) << "the count must see a wake-up when there is one";
}

TEST(TproxyControlSocket, ErrorsAreAnsweredAndLongLinesRefused) {
  TorNet t;
  EXPECT_TRUE(t.proxy->ask("nonsense").contains("error"));
  EXPECT_TRUE(t.proxy->ask(std::string(5000, 'x')).contains("error"));
  EXPECT_EQ(t.proxy->stats()["open"], 0);
}

}  // namespace
}  // namespace orrery::tproxy::testing
