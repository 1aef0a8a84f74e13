#include "routers/contract/contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "routers/contract/table.h"
#include "sandbox/base/file.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

std::vector<RouterSpec> everySpec() {
  return {samples::universe(),      samples::universeStatic(),  samples::galaxyDirect(),
          samples::galaxyOpenVpn(), samples::galaxyWireGuard(), samples::galaxySocks5(),
          samples::star()};
}

ContractFacts facts() {
  ContractFacts f;
  f.uplink = samples::facts();
  f.tunnel = samples::ip("10.64.0.9");
  return f;
}

TEST(Contract, NothingExistsBeforeAndAfter) {
  for (const RouterSpec& spec : everySpec())
    for (const ContractState state : {ContractState::absent, ContractState::destroyed})
      EXPECT_TRUE(contractOf(spec, facts(), state).links.empty());
}

TEST(Contract, OnlyTunnelsHaveATunnel) {
  for (const RouterSpec& spec : everySpec()) {
    const bool tunnel = std::holds_alternative<OpenVpnEgress>(spec.egress) ||
                        std::holds_alternative<WireGuardEgress>(spec.egress);
    const Contract contract = contractOf(spec, facts(), ContractState::ready);
    EXPECT_EQ(contract.link(LinkSide::tunnel) != nullptr, tunnel) << spec.id.name;
    EXPECT_NE(contract.link(LinkSide::uplink), nullptr);
    EXPECT_NE(contract.link(LinkSide::lan), nullptr);
  }
}

// A contract is a list of what may be said, never "anything".
TEST(Contract, EveryLineThatLeavesNamesItsSource) {
  for (const RouterSpec& spec : everySpec())
    for (const ContractState state : kContractStates)
      for (const LinkContract& link : contractOf(spec, facts(), state).links)
        for (const Allowance& line : link.allowed) {
          EXPECT_FALSE(line.name.empty());
          EXPECT_FALSE(line.source.word.empty() || line.destination.word.empty());
          if (line.way != Way::out || link.side == LinkSide::lan) continue;
          for (const Prefix4& source : line.source.among)
            EXPECT_EQ(source.length, 32) << spec.id.name << " " << toText(line);
        }
}

TEST(Contract, WithoutAnAddressNothingLeavesButTheQuestionForOne) {
  for (const RouterSpec& spec : everySpec()) {
    const Contract contract = contractOf(spec, {}, ContractState::starting);
    for (const Allowance& line : contract.link(LinkSide::uplink)->allowed) {
      if (line.way == Way::in || line.name == "dhcp") continue;
      EXPECT_TRUE(line.source.among.empty()) << spec.id.name << " " << toText(line);
    }
  }
}

// Fewer processes, fewer lines: what a state without processes allows is allowed in ready too.
TEST(Contract, StatesWithoutProcessesAllowNoMore) {
  for (const RouterSpec& spec : everySpec()) {
    const Contract ready = contractOf(spec, facts(), ContractState::ready);
    for (const ContractState state : kContractStates)
      for (const LinkContract& link : contractOf(spec, facts(), state).links)
        for (Allowance line : link.allowed) {
          const auto& lines = ready.link(link.side)->allowed;
          const bool same = std::find(lines.begin(), lines.end(), line) != lines.end();
          line.openOnly = false;
          const bool wider = std::find(lines.begin(), lines.end(), line) != lines.end();
          EXPECT_TRUE(same || wider) << toString(state) << " " << toText(line);
        }
  }
}

TEST(ContractTable, SecurityMdHasThePresentOne) {
  const std::string path = std::string(ORRERY_SOURCE_DIR) + "/SECURITY.md";
  std::string text = readFile(path).value();
  const std::size_t begin = text.find(kTableBegin);
  const std::size_t end = text.find(kTableEnd);
  ASSERT_NE(begin, std::string::npos) << "SECURITY.md lacks: " << kTableBegin;
  ASSERT_NE(end, std::string::npos) << "SECURITY.md lacks: " << kTableEnd;
  const std::size_t from = begin + std::string_view(kTableBegin).size() + 1;
  const std::string wanted = "\n" + contractTable() + "\n";
  if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) {
    text.replace(from, end - from, wanted);
    ASSERT_TRUE(writeFileAtomic(path, text));
    return;
  }
  EXPECT_EQ(text.substr(from, end - from), wanted) << "ORRERY_UPDATE_GOLDEN=1 rewrites it";
}

TEST(ContractTable, NamesEveryState) {
  const std::string table = contractTable();
  for (const ContractState state : kContractStates)
    EXPECT_THAT(table, testing::HasSubstr(toString(state)));
  EXPECT_THAT(table, testing::HasSubstr("| absent, destroyed | nothing |"));
}

}  // namespace
}  // namespace orrery
