#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <thread>

#include "runtime/tproxy/listeners.h"
#include "test_net.h"

namespace orrery::tproxy::testing {
namespace {

using ::testing::HasSubstr;

std::string resolve(TorNet& t, const std::string& name) {
  std::string text = runIn(t.net.clients[0], {"dig", "+short", "@10.2.2.254", name}).text;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

TEST(TproxyRelay, PageByNameGoesToTheUpstreamAsName) {
  TorNet t;
  for (const std::string name : {"www.example.com", "abcdefghij234567.onion"}) {
    const std::string address = resolve(t, name);
    const Output page = runIn(t.net.clients[0], {"curl", "-sS", "--max-time", "10", "--resolve",
                                                 name + ":80:" + address, "http://" + name + "/"});
    EXPECT_EQ(page.text, "page of " + name + "\n");
  }
  ASSERT_EQ(t.tor->seen().size(), 2u);
  EXPECT_EQ(t.tor->seen()[1].host, "abcdefghij234567.onion");
  EXPECT_EQ(t.tor->seen()[1].port, 80);
}

TEST(TproxyRelay, PageByAddress) {
  TorNet t;
  const Output page =
      runIn(t.net.clients[1], {"curl", "-sS", "--max-time", "10", "http://198.51.100.7/"});
  EXPECT_EQ(page.text, "page of 198.51.100.7\n");
}

TEST(TproxyRelay, ServerMaySpeakFirst) {
  TorNet t;
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(fd.get(), 6), "banner");
  EXPECT_TRUE(sendText(fd.get(), "x"));
  EXPECT_EQ(receiveSome(fd.get(), 1), "x");
}

// It sleeps and is woken for much at once, not for each packet (sent in 65536 bytes here).
void expectFewWakeUps(const ProxyProcess& proxy, std::uint64_t before, std::uint64_t bytes) {
  constexpr std::uint64_t kMegabyte = 1'000'000;
  EXPECT_LE(proxy.contextSwitches() - before, 64 * bytes / kMegabyte);
}

TEST(TproxyRelay, HundredMegabytesDown) {
  TorNet t;
  const std::uint64_t before = t.proxy->contextSwitches();
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kSource);
  std::uint64_t at = 0;
  std::uint64_t wrong = 0;
  for (std::string some; !(some = receiveSome(fd.get(), 65536)).empty();) {
    for (const char c : some) wrong += c != patternByte(at++) ? 1 : 0;
  }
  EXPECT_EQ(at, kSourceBytes);
  EXPECT_EQ(wrong, 0u);
  expectFewWakeUps(*t.proxy, before, kSourceBytes);
}

void uploadAndCheck(TorNet& t) {
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kSink);
  std::string chunk(65536, '\0');
  std::uint64_t at = 0;
  while (at < kSourceBytes) {
    chunk.resize(std::min<std::uint64_t>(65536, kSourceBytes - at));
    for (char& c : chunk) c = patternByte(at++);
    ASSERT_TRUE(sendText(fd.get(), chunk));
  }
  // Half-close: our end of output arrives there, the answer still comes back.
  ::shutdown(fd.get(), SHUT_WR);
  EXPECT_EQ(receiveAll(fd.get()), std::to_string(kSourceBytes));
}

TEST(TproxyRelay, HundredMegabytesUpThenHalfClose) {
  TorNet t;
  uploadAndCheck(t);
  EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["ends"]["finished"] == 1; }));
  EXPECT_EQ(t.proxy->stats()["bytes_up"], kSourceBytes);
  EXPECT_EQ(t.proxy->stats()["copies"], 0);
}

// Accepted sockets inherit it.
TEST(TproxyListeners, DoNotPaceTheirClients) {
  TestNet net;
  auto listeners = openListeners(net.empty);
  ASSERT_TRUE(listeners);
  std::array<char, 16> name{};
  socklen_t size = name.size();
  ASSERT_EQ(::getsockopt(listeners->tcp.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
  EXPECT_STREQ(name.data(), "reno");
}

TEST(TproxyRelay, WithoutPipesBytesAreCopied) {
  Limits limits;
  limits.pipes = 0;
  TorNet t(limits);
  uploadAndCheck(t);
  EXPECT_GT(t.proxy->stats()["copies"], 0);
}

TEST(TproxyRelay, SlowReaderHoldsBackTheSource) {
  TorNet t;
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kSource);
  EXPECT_EQ(receiveSome(fd.get(), 1).size(), 1u);
  waitFor(std::chrono::milliseconds(300));
  const std::uint64_t held = t.proxy->stats()["bytes_down"];
  EXPECT_LT(held, kSourceBytes / 2);
  EXPECT_EQ(receiveAll(fd.get()).size() + 1, kSourceBytes);
}

TEST(TproxyRelay, ThousandAtOnce) {
  Limits limits;
  limits.perClient = 2000;
  TorNet t(limits, 8192);
  std::vector<UniqueFd> open;
  for (int i = 0; i < 1000; ++i) {
    open.push_back(dialFrom(t.net.clients[i % 2], "198.51.100.7", kEcho));
    ASSERT_TRUE(open.back()) << i;
    ASSERT_TRUE(sendText(open.back().get(), "hello " + std::to_string(10'000 + i)));
  }
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(receiveSome(open[static_cast<std::size_t>(i)].get(), 11),
              "hello " + std::to_string(10'000 + i));
  }
  EXPECT_EQ(t.proxy->stats()["open"], 1000);
  // What stays open after this test's own: a few empty pipes for whoever comes next.
  EXPECT_LE(t.proxy->pipes(), 16u) << "an idle connection has none";
  open.clear();
  EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["open"] == 0; }));
}

TEST(TproxyRelay, UpstreamGoneMeansResetAtOnce) {
  TorNet t;
  t.tor->stop();
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kEcho);
  EXPECT_EQ(fateOf(fd), ECONNRESET);
  const auto event = t.proxy->event();
  EXPECT_EQ(event["event"], "upstream");
  EXPECT_EQ(event["reachable"], false);
  EXPECT_THAT(event["error"].get<std::string>(), HasSubstr("refused"));
  EXPECT_EQ(t.proxy->stats()["ends"]["upstream_unreachable"], 1);
  // It comes back: said once, and clients are served again.
  t.tor.emplace(t.directory + "/socks");
  const UniqueFd again = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(again.get(), 6), "banner");
  EXPECT_EQ(t.proxy->event()["reachable"], true);
}

TEST(TproxyRelay, UpstreamDyingEndsItsFlows) {
  TorNet t;
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(fd.get(), 6), "banner");
  t.tor->stop();
  const int end = nextReadError(fd.get());
  EXPECT_TRUE(end == 0 || end == ECONNRESET) << end;
}

TEST(TproxyRelay, SocksFailuresAreResets) {
  Limits limits;
  limits.handshake = std::chrono::seconds(1);
  TorNet t(limits);
  for (const std::uint16_t port : {kRefused, kGarbage, kSilent}) {
    const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", port);
    EXPECT_EQ(fateOf(fd), ECONNRESET) << port;
  }
  const auto stats = t.proxy->stats();
  EXPECT_EQ(stats["ends"]["socks_rejected"], 1);
  EXPECT_EQ(stats["socks_replies"][5], 1);
  EXPECT_EQ(stats["ends"]["socks_protocol"], 1);
  EXPECT_EQ(stats["ends"]["handshake_timeout"], 1);
}

TEST(TproxyRelay, RefusedDestinationsNeverReachTheUpstream) {
  TorNet t;
  for (const char* address : {"10.9.9.9", "192.168.1.1", "172.16.0.1", "169.254.169.254",
                              "10.2.2.254", "10.192.0.77", "100.64.0.1"}) {
    const UniqueFd fd = dialFrom(t.net.clients[0], address, 80);
    EXPECT_EQ(fateOf(fd), ECONNRESET) << address;
  }
  EXPECT_TRUE(t.tor->seen().empty());
  const auto ends = t.proxy->stats()["ends"];
  EXPECT_EQ(ends["refused_private"], 6);
  EXPECT_EQ(ends["refused_unknown_name"], 1);
}

TEST(TproxyRelay, CutResetsEveryFlow) {
  TorNet t;
  std::vector<UniqueFd> open;
  for (int i = 0; i < 20; ++i) {
    open.push_back(dialFrom(t.net.clients[i % 2], "198.51.100.7", kBanner));
    EXPECT_EQ(receiveSome(open.back().get(), 6), "banner");
  }
  const auto answer = t.proxy->ask(R"({"cut":"all"})");
  EXPECT_EQ(answer["cut"], 20);
  for (const UniqueFd& fd : open) EXPECT_EQ(nextReadError(fd.get()), ECONNRESET);
  EXPECT_EQ(t.proxy->stats()["open"], 0);
  const UniqueFd next = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
  EXPECT_EQ(receiveSome(next.get(), 6), "banner") << "new flows are served";
}

TEST(TproxyRelay, ClientsAreIsolatedAndEpochsToo) {
  TorNet t;
  const auto touch = [&](int client) {
    const UniqueFd fd = dialFrom(t.net.clients[client], "198.51.100.7", kBanner);
    EXPECT_EQ(receiveSome(fd.get(), 6), "banner");
  };
  touch(0);
  touch(0);
  touch(1);
  EXPECT_EQ(t.proxy->ask(R"({"epoch":"next"})"), (nlohmann::json{{"ok", true}}));
  touch(0);
  const auto seen = t.tor->seen();
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_THAT(seen[0].user, HasSubstr("10.2.2.1"));
  EXPECT_EQ(seen[0].user, seen[1].user);
  EXPECT_NE(seen[0].user, seen[2].user);
  EXPECT_NE(seen[0].user, seen[3].user);
  EXPECT_EQ(seen[0].password.size(), 32u);
  for (const auto& s : seen) EXPECT_EQ(s.password, seen[0].password);
}

TEST(TproxyRelay, ClientResetEndsTheStream) {
  TorNet t;
  {
    const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kBanner);
    EXPECT_EQ(receiveSome(fd.get(), 6), "banner");
    const linger hard{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  }
  EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["ends"]["client_reset"] == 1; }));
  {  // and in the handshake, where nothing is read from the client
    const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.7", kSilent);
    const linger hard{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["open"] == 1; }));
  }
  EXPECT_TRUE(t.proxy->statsBecome([](const auto& s) { return s["ends"]["client_reset"] == 2; }));
}

TEST(TproxyRelay, EndsWithItsSupervisorAndOnSigterm) {
  TorNet t;
  EXPECT_EQ(t.proxy->closeControl(), 0);
  Config config{.upstream = UnixUpstream{t.directory + "/socks"},
                .lan = *parsePrefix4("10.2.2.254/24")};
  t.proxy.emplace(t.net.lan, t.net.empty, config);
  ::kill(t.proxy->pid(), SIGTERM);
  EXPECT_EQ(t.proxy->closeControl(), 0);
}

TEST(TproxySocks5, RealServerWithPassword) {
  TestNet net;
  auto server = createNetns();
  ASSERT_TRUE(server);
  const std::string path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(server->get());
  ASSERT_EQ(runIn(net.empty, {"ip", "-batch", "-"},
                  "link set lo up\nlink add up0 type veth peer name eth0 netns " + path +
                      "\nlink set up0 up\naddr add 198.18.0.1/24 dev up0\n")
                .status,
            0);
  ASSERT_EQ(runIn(*server, {"ip", "-batch", "-"},
                  "link set lo up\nlink set eth0 up\naddr add 198.18.0.9/24 dev eth0\n")
                .status,
            0);

  // microsocks does not say when it serves.
  const pid_t microsocks = ::fork();
  if (microsocks == 0) {
    if (::setns(server->get(), CLONE_NEWNET) == 0) {
      ::execlp("microsocks", "microsocks", "-i", "198.18.0.9", "-p", "1080", "-u", "user", "-P",
               "secret", nullptr);
    }
    ::_exit(127);
  }
  auto web = socketIn(*server, AF_INET, SOCK_STREAM, 0);
  ASSERT_TRUE(web);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(8080);
  here.sin_addr.s_addr = htonl(0xc6120009);
  ASSERT_EQ(::bind(web->get(), reinterpret_cast<sockaddr*>(&here), sizeof(here)), 0);
  ASSERT_EQ(::listen(web->get(), 4), 0);
  while (!dialFrom(net.empty, "198.18.0.9", 1080)) waitFor(std::chrono::milliseconds(5));

  ProxyProcess proxy(
      net.lan, net.empty,
      Config{.upstream = TcpUpstream{*parseIpv4("198.18.0.9"), 1080, Credentials{"user", "secret"}},
             .lan = *parsePrefix4("10.2.2.254/24")});
  const UniqueFd client = dialFrom(net.clients[0], "198.18.0.9", 8080);
  const UniqueFd accepted(::accept4(web->get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(sendText(client.get(), "ping"));
  EXPECT_EQ(receiveSome(accepted.get(), 4), "ping");
  EXPECT_TRUE(sendText(accepted.get(), "pong"));
  EXPECT_EQ(receiveSome(client.get(), 4), "pong");
  EXPECT_EQ(proxy.stats()["established"], 1);
  ::kill(microsocks, SIGKILL);
  ::waitpid(microsocks, nullptr, 0);
}

}  // namespace
}  // namespace orrery::tproxy::testing
