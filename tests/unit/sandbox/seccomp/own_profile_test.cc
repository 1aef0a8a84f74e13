// A user's own profile, from the texts that are built in.
#include "sandbox/seccomp/own_profile.h"

#include <gmock/gmock.h>

#include "sandbox/seccomp/bpf_eval.h"
#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/syscalls.h"
#include "support.h"

namespace orrery {
namespace {

using ::testing::HasSubstr;

const std::string kExtends = "schema = 1\nextends = [\"openvpn\"]\ndefault = \"errno:EPERM\"\n";

TEST(EmbeddedSources, AreTheTextsOfTheTree) {
  const auto embedded = embeddedProfileSet();
  ASSERT_TRUE(embedded) << embedded.error().message;
  const ProfileSet tree = test::shippedSet();
  ASSERT_EQ(embedded->size(), tree.size());
  for (const EmbeddedSource& source : embeddedSources()) {
    const auto text = readFile(std::string(ORRERY_SOURCE_DIR) + "/configs/seccomp/" +
                               std::string(source.name) + ".toml");
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(source.text, *text) << source.name;
  }
}

TEST(OwnProfile, ExtendsAShippedOne) {
  const std::string text = kExtends + "[[rule]]\ncalls = [\"getitimer\"]\nwhy = \"a plugin\"\n";
  EXPECT_TRUE(checkOwnProfile("own-openvpn", text));
  const auto built = buildOwnProfile("own-openvpn", text, embeddedProfileSet().value());
  ASSERT_TRUE(built) << built.error().message;
  const int number = *syscallNumber(nativeSeccompArch(), "getitimer");
  seccomp_data data = test::callData(number);
  data.arch = nativeSeccompArch() == SeccompArch::x86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
  EXPECT_EQ(evaluate(built->program, data), SECCOMP_RET_ALLOW);
  EXPECT_NE(evaluate(*embeddedProfile("openvpn"), data), SECCOMP_RET_ALLOW);
}

TEST(OwnProfile, IsRefusedWithItsPlace) {
  const auto message = [](const std::string& text) {
    const Status checked = checkOwnProfile("own-openvpn", text);
    return checked ? std::string("accepted") : checked.error().message;
  };
  EXPECT_THAT(message("schema = 1\n"), HasSubstr("has no 'default'"));
  EXPECT_THAT(message(kExtends + "[[rule]]\ncalls = [\"reed\"]\nwhy = \"x\"\n"),
              HasSubstr("own-openvpn.toml:4: there is no system call 'reed'"));
  EXPECT_THAT(message(kExtends + "[[rule]]\ncalls = [\"ptrace\"]\nwhy = \"x\"\n"),
              HasSubstr("conflict over 'ptrace'"));
  EXPECT_THAT(message("schema = 1\ndefault = \"errno:EPERM\"\n[[rule]]\ncalls = [\"ptrace\"]\n"
                      "why = \"x\"\n"),
              HasSubstr("breaks the law 'tracing'"));
  EXPECT_THAT(message("schema = 1\ndefault = \"log\"\n"), HasSubstr("'log' lets the call through"));
  EXPECT_FALSE(checkOwnProfile("openvpn", kExtends)) << "a shipped one's name";
}

}  // namespace
}  // namespace orrery
