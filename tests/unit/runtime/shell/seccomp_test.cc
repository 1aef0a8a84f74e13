// The sections about seccomp, with this process in place of a service.
#include <gmock/gmock.h>
#include <unistd.h>

#include "runtime/shell/sections.h"

namespace orrery {
namespace {

using ::testing::HasSubstr;

TEST(CapabilityNames, AreWords) {
  EXPECT_EQ(capabilityNames("0000000000000000"), "none");
  EXPECT_EQ(capabilityNames("0000000000002400"), "cap_net_bind_service,cap_net_raw");
  EXPECT_EQ(capabilityNames("8000010000000001"), "cap_chown,cap_checkpoint_restore,cap_63");
  EXPECT_EQ(capabilityNames("what"), "?");
}

InspectTarget targetOf(const char* service) {
  InspectTarget target;
  target.id = {"network0", "star0"};
  target.paths = RouterPaths(target.id, "/nonexistent");
  target.running = true;
  target.state.emplace();
  target.state->services = {{service, ::getpid(), ServicePhase::running, 0, ""}};
  return target;
}

std::string textOf(const InspectView& view) {
  std::string out;
  for (const InspectBlock& block : view.blocks)
    if (const auto* text = std::get_if<std::string>(&block.content)) out += *text;
  return out;
}

TEST(SeccompSection, ShowsTheEffectiveTableWithReasons) {
  const auto view = readSeccomp(targetOf("tor"));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_THAT(textOf(*view), HasSubstr("profile tor on "));
  EXPECT_THAT(textOf(*view), HasSubstr("every other: errno:EPERM"));
  EXPECT_THAT(textOf(*view), HasSubstr("tor's KIST scheduler asks"));
  const std::string json = view->json.dump();
  EXPECT_THAT(json, HasSubstr("\"law\":\"netlink\""));
  EXPECT_THAT(json, HasSubstr("\"place\":\"tor.toml:"));
}

TEST(SeccompSection, IsBriefAmongOthers) {
  InspectTarget target = targetOf("tor");
  target.brief = true;
  const auto view = readSeccomp(target);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(textOf(*view), "");
  EXPECT_EQ(view->json.dump().find("\"rules\""), std::string::npos);
}

TEST(SeccompSection, ShowsAnOwnProfileInPlaceOfTheShippedOne) {
  InspectTarget target = targetOf("openvpn");
  target.spec.emplace();
  target.spec->seccomp.profiles = {
      {"openvpn", "/etc/own.toml",
       "schema = 1\nextends = [\"openvpn\"]\ndefault = \"errno:EPERM\"\n"
       "[[rule]]\ncalls = [\"getitimer\"]\nwhy = \"a plugin of mine\"\n"}};
  const auto view = readSeccomp(target);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_THAT(textOf(*view), HasSubstr("profile own-openvpn on "));
  EXPECT_THAT(textOf(*view), HasSubstr("a plugin of mine (own-openvpn.toml:4)"));
}

TEST(BytecodeSection, DumpsThePrograms) {
  const auto view = readBytecode(targetOf("tproxy"));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_THAT(textOf(*view), HasSubstr("   0: ld arch\n"));
  EXPECT_THAT(textOf(*view), HasSubstr("notify\n"));
  EXPECT_TRUE(findSection("bytecode")->onlyByName);
}

}  // namespace
}  // namespace orrery
