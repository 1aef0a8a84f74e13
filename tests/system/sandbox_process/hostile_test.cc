// A service with every capability of its own user namespace still owns nothing else.
#include <sys/prctl.h>

#include "sandbox/caps/capability_set.h"
#include "tests/system/sandbox_process/fixture.h"

namespace orrery::test {
namespace {

std::vector<int> allCapabilities() {
  std::vector<int> all;
  for (int number = 0; number <= lastCapability(); ++number) all.push_back(number);
  return all;
}

struct Attempt {
  const char* question;
  const char* expected;
};

constexpr Attempt kAttempts[] = {
    {"link", "EPERM"},        {"addr", "EPERM"},
    {"route", "EPERM"},       {"nft", "EPERM"},
    {"packet", "EPERM"},      {"raw", "EPERM"},
    {"mount", "EPERM"},       {"bind", "EPERM"},
    {"umount", "EPERM"},      {"remount", "EPERM"},
    {"setattr", "EPERM"},     {"mknod", "EPERM"},
    {"sethostname", "EPERM"}, {"create:/x", "EROFS"},
    {"nofile+", "EPERM"},     {"port53", "EACCES"},
    {"setgroups", "EPERM"},   {"open-write:/proc/sys/net/ipv4/ip_forward", "ENOENT"},
};

// Those that this process could hand on.
std::vector<int> heldCapabilities() {
  std::vector<int> held;
  for (int number : allCapabilities())
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) held.push_back(number);
  return held;
}

TEST(Hostile, AllCapabilitiesOfItsOwnChangeNothing) {
  std::vector<std::string> questions = {"caps"};
  for (const Attempt& attempt : kAttempts) questions.emplace_back(attempt.question);
  SandboxSpec spec = probeSpec(questions);
  spec.capabilities = allCapabilities();
  const NetnsFd netns = newNetns();
  SpawnRequest request{.spec = spec};
  request.netns = &netns;
  const Answers a = runProbe(spec, &request).answers;
  const auto all = CapabilitySet::all();
  EXPECT_EQ(a.at("caps"), fmt::format("p={0:x} e={0:x} i={0:x} bounding={1} ambient={1}",
                                      all.bits(), lastCapability() + 1));
  for (const Attempt& attempt : kAttempts)
    EXPECT_EQ(a.at(attempt.question), attempt.expected) << attempt.question;
}

// The same questions where the process does have the power: the probe must be able to say "ok",
// else the test above proves nothing.
TEST(Hostile, ControlTheAttemptsSucceedWhereTheyAreAllowed) {
  const std::vector<std::string> questions = {
      "link",  "addr",   "route",   "nft",     "packet",      "raw",   "mknod",
      "mount", "umount", "remount", "setattr", "sethostname", "port53"};
  SandboxSpec spec = probeSpec(questions);
  spec.ids.reset();
  spec.uid = kOutside;
  spec.gid = kOutside;
  spec.capabilities = heldCapabilities();
  const Answers a = runProbe(spec).answers;
  for (const std::string& question : questions) EXPECT_EQ(a.at(question), "ok") << question;
}

}  // namespace
}  // namespace orrery::test
