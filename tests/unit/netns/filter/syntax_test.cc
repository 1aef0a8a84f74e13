// Where libpcap's own parser gives up, found with libpcap.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "netns/pcap/compile.h"
#include "routers/spec/filter_syntax.h"
#include "sandbox/base/strings.h"
#include "tests/unit/netns/filter/resolver.h"
#include "tests/unit/netns/filter/words.h"

namespace orrery {
namespace {

const Prefix4 kLan = parsePrefix4("10.1.1.254/24").value();

class Pcap final : public FilterCompiler {
 public:
  Result<BpfProgram> compile(const std::string& expression, const Prefix4& lan) const override {
    return compiler_.compile(expression, lan);
  }

 private:
  ExpressionCompiler compiler_ = std::move(ExpressionCompiler::open()).value();
};

const Pcap& pcap() {
  static const Pcap kPcap;
  return kPcap;
}

TEST(FilterSyntax, TheFaultIsTheWordThatNothingCanFollow) {
  const struct {
    const char* expression;
    const char* fault;  // "": the end
    std::size_t offset;
  } kCases[] = {
      {"udp port", "", 8},
      {"(udp port 123", "", 13},
      {"tcp and", "", 7},
      {"tcp[13", "", 6},
      {"tcp[13] & 2", "", 11},
      {"((tcp[0] + 1", "", 12},
      {"arp) or (ip", ")", 3},
      {"tcp and or udp", "or", 8},
      {"tcp and && udp", "&&", 8},
      {"host port 1", "port", 5},
      {"src src 10.1.1.1", "src", 4},
      {"tcp[13 = 2", "=", 7},
      {"tcp[13]] = 2", "]", 7},
      {"tcp[13] & = 2", "=", 10},
      {"udp port 53 ) and tcp", ")", 12},
      {"net 10.0.0.0/ tcp", "tcp", 14},
      {"ether ether host 02:00:00:00:00:01", "ether", 6},
      {"not not", "", 7},
      {"= 1", "=", 0},
  };
  for (const auto& c : kCases) {
    const auto program = pcap().compile(c.expression, kLan);
    ASSERT_FALSE(program) << c.expression;
    ASSERT_TRUE(isSyntaxError(program.error())) << c.expression << program.error().message;
    const ExpressionFault fault = syntaxFault(c.expression, pcap(), kLan);
    EXPECT_EQ(fault.offset, c.offset) << c.expression;
    const std::string found = std::string(c.expression).substr(fault.offset, fault.length);
    EXPECT_EQ(found, c.fault) << c.expression;
    EXPECT_FALSE(fault.message.empty());
  }
}

std::string sentence(std::mt19937& random, const std::vector<std::string_view>& words) {
  std::string text;
  for (auto left = 1 + random() % 12; left > 0; --left)
    text.append(words[random() % words.size()]) += " ";
  return text;
}

// Whatever libpcap takes, no word of it is ever called a fault: the list of what may follow has all
// that the grammar has. `text` with a word that never can follow has its fault there.
TEST(FilterSyntax, NoWordOfAnExpressionIsAFault) {
  const std::vector<std::string_view> words = splitWords(test::kFilterWords);
  std::vector<std::string> taken = {
      "udp port 123 or ether multicast",
      "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
      "net 10.1 or net 10.2.0.0/16",
      "net 10.1.0.0 mask 255.255.0.0",
      "icmp[icmptype] = icmp-echo",
      "ether[0:2] = 0x0102 and len - 14 <= 60",
      "portrange 1-1024 && !(src 10.1.1.7)",
      "tcp[tcp[12] / 16 * 4 : 2] = 0x1603",
      "((udp[8] + 1) * 2 > (3)) or (((arp)))",
      "src or dst host 10.1.1.1 and (tcp port 80 or udp port 53)",
      "not (not (not ip proto 6)) && ether proto 0x800",
      "-1 < len and ether src 02:00:00:00:00:01",
      "less 60 or greater 100 or ip broadcast",
      "host 10.1.1.1 or 10.1.1.2 and 10.1.1.3",
  };
  for (const std::string& text : taken) EXPECT_TRUE(pcap().compile(text, kLan)) << text;
  std::mt19937 random(20261121);
  constexpr int kTries = 8'000;
  for (int i = 0; i < kTries; ++i) {
    std::string text = sentence(random, words);
    if (checkExpression(text)) continue;  // such a one never gets that far
    const auto program = pcap().compile(text, kLan);
    if (program || !isSyntaxError(program.error())) taken.push_back(std::move(text));
  }
  EXPECT_GT(taken.size(), 200u);
  test::askedOfResolver().clear();
  for (const std::string& text : taken) {
    const std::string broken = text + " ] ]";
    const auto program = pcap().compile(broken, kLan);
    if (program || !isSyntaxError(program.error())) continue;  // its meaning was refused before
    EXPECT_GT(syntaxFault(broken, pcap(), kLan).offset, text.size()) << broken;
  }
  EXPECT_TRUE(test::askedOfResolver().empty()) << test::askedOfResolver().front();
}

// What is put behind the words must be no name either: "host 1-2" would be asked for.
TEST(FilterSyntax, LookingForTheFaultAsksNobody) {
  test::askedOfResolver().clear();
  for (const char* expression : {"host", "src host", "ether host", "port", "udp port", "portrange",
                                 "net", "net 10.0.0.0 mask", "ip proto", "ether proto", "proto",
                                 "less", "ip[", "tcp and (src", "not", "gateway", "dst"})
    (void)syntaxFault(expression, pcap(), kLan);
  EXPECT_TRUE(test::askedOfResolver().empty()) << test::askedOfResolver().front();
}

}  // namespace
}  // namespace orrery
