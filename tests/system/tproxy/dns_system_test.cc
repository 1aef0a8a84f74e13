#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test_net.h"

namespace orrery::tproxy::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

std::string dig(TorNet& t, std::vector<std::string> arguments) {
  std::vector<std::string> argv = {"dig", "+tries=1", "+time=5"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return runIn(t.net.clients[0], argv).text;
}

TEST(TproxyDns, AnswersFromWhicheverServerTheClientAsks) {
  TorNet t;
  std::string first;
  for (const char* server : {"@10.2.2.254", "@8.8.8.8", "@198.51.100.53"}) {
    for (const char* way : {"+notcp", "+tcp"}) {
      const std::string address = dig(t, {server, way, "+short", "www.example.com"});
      EXPECT_THAT(address, MatchesRegex("10\\.(19[2-9]|2[0-9][0-9])\\.[0-9]+\\.[0-9]+\n"))
          << server << way;
      if (first.empty()) first = address;
      EXPECT_EQ(address, first);
    }
  }
  while (!first.empty() && first.back() == '\n') first.pop_back();
  EXPECT_EQ(dig(t, {"@9.9.9.9", "+short", "-x", first}), "www.example.com.\n");
  EXPECT_EQ(dig(t, {"@9.9.9.9", "+tcp", "+short", "-x", first}), "www.example.com.\n");
}

TEST(TproxyDns, Statuses) {
  TorNet t;
  struct Case {
    std::vector<std::string> arguments;
    const char* status;
  };
  const Case cases[] = {
      {{"www.example.com", "AAAA"}, "NOERROR"},
      {{"www.example.com", "HTTPS"}, "NOERROR"},
      {{"www.example.com", "MX"}, "NOTIMP"},
      {{"localhost"}, "NXDOMAIN"},
      {{"printer.local"}, "NXDOMAIN"},
      {{"-x", "192.168.1.1"}, "NXDOMAIN"},
      {{"-c", "CH", "version.bind", "TXT"}, "NOTIMP"},
  };
  for (const Case& c : cases) {
    auto arguments = c.arguments;
    arguments.insert(arguments.begin(), "@10.2.2.254");
    const std::string text = dig(t, arguments);
    EXPECT_THAT(text, HasSubstr(std::string("status: ") + c.status));
    EXPECT_THAT(text, HasSubstr("ANSWER: 0"));
    EXPECT_THAT(text, Not(HasSubstr("warning"))) << text;
  }
}

TEST(TproxyDns, RateIsLimitedForEachClient) {
  Limits limits;
  limits.dnsRate = 1;
  limits.dnsBurst = 3;
  TorNet t(limits);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(dig(t, {"@10.2.2.254", "a.example"}), HasSubstr("status: NOERROR"));
  }
  std::string last;
  for (int i = 0; i < 3; ++i) last += dig(t, {"@10.2.2.254", "a.example"});
  EXPECT_THAT(last, HasSubstr("status: REFUSED"));
  EXPECT_THAT(runIn(t.net.clients[1], {"dig", "@10.2.2.254", "a.example"}).text,
              HasSubstr("status: NOERROR"));
  EXPECT_GE(t.proxy->stats()["dns"]["limited"], 1);
}

// Two questions in one segment, the second cut in the middle.
TEST(TproxyDns, TcpPipelining) {
  TorNet t;
  const std::string question("\0\x19\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\5local\0\0\1\0\1", 27);
  const UniqueFd fd = dialFrom(t.net.clients[0], "198.51.100.53", 53);
  ASSERT_TRUE(sendText(fd.get(), question + question + question.substr(0, 9)));
  const std::string two = receiveSome(fd.get(), 2 * question.size());
  EXPECT_EQ(two.size(), 2 * question.size());
  ASSERT_TRUE(sendText(fd.get(), question.substr(9)));
  const std::string third = receiveSome(fd.get(), question.size());
  EXPECT_EQ(third, two.substr(0, question.size()));
  EXPECT_EQ(third[5] & 0x0f, 3) << "NXDOMAIN";
}

TEST(TproxyDns, TcpNonsenseIsClosedAndConnectionsAreLimited) {
  Limits limits;
  limits.dnsTcp = 8;
  TorNet t(limits);
  const UniqueFd bad = dialFrom(t.net.clients[0], "198.51.100.53", 53);
  ASSERT_TRUE(sendText(bad.get(), std::string("\0\1x", 3)));
  EXPECT_NE(nextReadError(bad.get()), EAGAIN);
  std::vector<UniqueFd> open;
  for (int i = 0; i < 3; ++i) open.push_back(dialFrom(t.net.clients[0], "198.51.100.53", 53));
  EXPECT_EQ(nextReadError(open[2].get()), ECONNRESET) << "a quarter of eight for one client";
  EXPECT_EQ(t.proxy->stats()["dns"]["tcp_refused"], 1);
}

TEST(TproxyDns, GarbageDatagramsAreHarmless) {
  TorNet t;
  auto fd = socketIn(t.net.clients[0], AF_INET, SOCK_DGRAM, 0);
  ASSERT_TRUE(fd);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(53);
  ::inet_pton(AF_INET, "198.51.100.53", &to.sin_addr);
  for (const std::size_t size : {0u, 1u, 11u, 12u, 100u, 1400u}) {
    const std::string junk(size, '\xff');
    ::sendto(fd->get(), junk.data(), junk.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
  }
  EXPECT_THAT(dig(t, {"@198.51.100.53", "a.example"}), HasSubstr("status: NOERROR"));
  EXPECT_EQ(t.proxy->stats()["dns"]["malformed"], 6);
}

}  // namespace
}  // namespace orrery::tproxy::testing
