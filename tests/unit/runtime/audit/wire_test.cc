#include "runtime/audit/wire.h"

#include <gtest/gtest.h>

#include "tests/unit/routers/firewall/samples.h"

namespace orrery::audit {
namespace {

ContractFacts facts() {
  ContractFacts f;
  f.uplink = samples::facts();
  f.mac = parseMac("00:00:10:00:00:07").value();
  f.tunnel = samples::ip("10.64.0.9");
  return f;
}

TEST(Wire, EveryContractSurvivesIt) {
  for (const RouterSpec& spec :
       {samples::universe(), samples::galaxyDirect(), samples::galaxyOpenVpn(),
        samples::galaxyWireGuard(), samples::galaxySocks5(), samples::star()})
    for (const ContractState state : kContractStates)
      for (const LinkContract& link : contractOf(spec, facts(), state).links) {
        const auto back = linkContractFromJson(parseJson(toJson(link).dump()).value());
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(*back, link);
      }
}

TEST(Wire, AConfigurationSurvivesIt) {
  AuditorConfig config;
  config.session = "0123456789abcd";
  config.links = {{"uplink", closedLink(), true, false}, {"tunnel", closedLink(), false, true}};
  config.fds = {5, 6};
  const auto back = configFromJson(toJson(config));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->session, config.session);
  EXPECT_EQ(back->links, config.links);
  EXPECT_EQ(back->fds, config.fds);
}

TEST(Wire, OrdersSurviveIt) {
  EXPECT_FALSE(orderFromJson(toJson(AuditorOrder{})).value().contracts);
  const Contract contract = contractOf(samples::star(), facts(), ContractState::ready);
  const AuditorOrder order{std::vector{contract.links.front(), closedLink()}};
  EXPECT_EQ(orderFromJson(toJson(order)).value().contracts, order.contracts);
  for (const char* text : {"{}", R"({"order":"sleep"})", R"({"order":"contracts"})",
                           R"({"order":"contracts","contracts":[{}]})"})
    EXPECT_FALSE(orderFromJson(parseJson(text).value())) << text;
}

TEST(Wire, AReportSurvivesIt) {
  LinkReport report;
  report.name = "uplink";
  report.frames = 1000;
  report.strays = 2;
  report.lost = 3;
  report.violations.push_back({Breach::ipv6, 7, 1234567890123456789, "IPv6", {0, 1, 0xff}, {4, 5}});
  report.passed = {4, 5, 6};
  const auto back = linkReportFromJson(parseJson(toJson(report).dump()).value());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, report);
}

TEST(Wire, RefusesNonsense) {
  for (const char* text :
       {"{}", "[]", R"({"links":[]})", R"({"session":"short","links":[{}]})",
        R"({"links":[{"contract":{}}]})", R"({"links":[{"contract":{"side":"uplink"}}]})",
        R"({"links":[{"contract":{"side":"uplink","allowed":[{"form":9}]}}]})",
        R"({"links":[{"contract":{"side":"uplink","mac":"x","allowed":[]}}]})"})
    EXPECT_FALSE(configFromJson(parseJson(text).value())) << text;
}

}  // namespace
}  // namespace orrery::audit
