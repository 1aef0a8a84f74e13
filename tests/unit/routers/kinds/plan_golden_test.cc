// The plan of every example under configs/routers, on a host with fixed facts, as reviewed:
// tests/golden/plans/NAME.txt. ORRERY_UPDATE_GOLDEN=1 writes what was got: read the difference
// before it is committed. Rulesets have golden files of their own (tests/golden/rulesets).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "routers/kinds/desired.h"
#include "routers/plan/plan.h"
#include "routers/spec/reader.h"
#include "sandbox/base/file.h"
#include "tests/support/sample_specs.h"
#include "tests/unit/routers/spec/fake_files.h"

namespace orrery {
namespace {

const std::string kExamples = std::string(ORRERY_SOURCE_DIR) + "/configs/routers";
const std::string kGolden = std::string(ORRERY_SOURCE_DIR) + "/tests/golden/plans";

bool endsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The files that examples name: any with the right ending is there, with the mode that it needs.
class ExampleFiles : public AuxiliaryFiles {
 public:
  Result<AuxiliaryFile> read(const std::string& path) const override {
    if (endsWith(path, ".conf")) return testing::wireGuardFile();
    if (endsWith(path, ".ovpn")) return testing::openVpnFile();
    if (endsWith(path, ".auth")) return AuxiliaryFile{"user\npassword\n", 0600, 0};
    if (endsWith(path, ".torrc")) return AuxiliaryFile{"ExitNodes {de}\n", 0600, 0};
    return sysError(ENOENT, "open '{}'", path);
  }
};

// "network0.toml" → "network0", "demo/network0.toml" → "demo-network0".
std::map<std::string, std::string> examples() {
  std::map<std::string, std::string> found;
  for (const std::string directory : {"", "demo/"}) {
    const auto names = listDirectory(kExamples + "/" + directory);
    for (const std::string& name : names.value()) {
      if (!endsWith(name, ".toml")) continue;
      std::string key = directory + name.substr(0, name.size() - 5);
      std::replace(key.begin(), key.end(), '/', '-');
      found[key] = kExamples + "/" + directory + name;
    }
  }
  return found;
}

std::vector<std::string> exampleNames() {
  std::vector<std::string> names;
  for (const auto& [name, path] : examples()) names.push_back(name);
  return names;
}

// The planner of the host takes the lowest free address; here each router has its own, in order.
class FixedHost {
 public:
  explicit FixedHost(std::vector<RouterSpec> all) : all_(std::move(all)) {}

  Placement place(const RouterSpec& spec) {
    Placement placement;
    placement.idSlot = slot_++;
    const auto* uplink = std::get_if<RouterUplink>(&spec.uplink);
    if (uplink == nullptr) {
      placement.nic = test::nicPlacement().nic;
      return placement;
    }
    for (const RouterSpec& other : all_)
      if (other.id == RouterId{spec.id.network, uplink->router}) placement.uplink = other;
    if (!placement.uplink) {
      ADD_FAILURE() << "no uplink " << uplink->router;
      return placement;
    }
    const Ipv4 subnet = placement.uplink->lan.address.network();
    placement.uplinkAddress =
        uplink->address.value_or(Ipv4{subnet.value + 2 + taken_[uplink->router]++});
    return placement;
  }

 private:
  std::vector<RouterSpec> all_;
  std::uint32_t slot_ = 0;
  std::map<std::string, std::uint32_t> taken_;
};

class ExamplePlan : public ::testing::TestWithParam<std::string> {
 protected:
  std::vector<RouterSpec> routers() const {
    const std::string path = examples().at(GetParam());
    const auto text = readFile(path);
    ReadOptions options;
    options.known = known();
    const auto read = readDefinitions({{"example.toml", text.value()}}, ExampleFiles(), options);
    if (!read) {
      ADD_FAILURE() << path << ":\n" << toText(read.error());
      return {};
    }
    EXPECT_TRUE(read->warnings.empty()) << toText(read->warnings);
    return read->routers;
  }
  // What examples of one router lean on.
  static std::vector<RouterSpec> known() { return {test::universeSpec(), test::openvpnSpec()}; }
};

TEST_P(ExamplePlan, IsAsReviewed) {
  const std::vector<RouterSpec> specs = routers();
  ASSERT_FALSE(specs.empty());
  std::vector<RouterSpec> all = specs;
  for (const RouterSpec& spec : known()) all.push_back(spec);
  FixedHost host(std::move(all));
  std::string got;
  for (const RouterSpec& spec : specs) {
    got += "# " + spec.id.text() + "\n";
    for (const Step& step : makePlan(desiredState(spec, host.place(spec)), {}))
      got += toText(step) + "\n";
  }
  const std::string golden = kGolden + "/" + GetParam() + ".txt";
  if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(makeDirectories(kGolden));
    ASSERT_TRUE(writeFileAtomic(golden, got));
    return;
  }
  const auto want = readFile(golden);
  ASSERT_TRUE(want) << want.error().message;
  EXPECT_EQ(got, *want) << golden;
}

// The structure is the kill switch: whatever the example, all namespaces have their sysctls and
// their rules before any link but lo is made, and what leads out comes after the LAN side.
TEST_P(ExamplePlan, ClosesEveryNamespaceBeforeItsFirstLink) {
  const std::vector<RouterSpec> specs = routers();
  std::vector<RouterSpec> all = specs;
  for (const RouterSpec& spec : known()) all.push_back(spec);
  FixedHost host(std::move(all));
  for (const RouterSpec& spec : specs) {
    std::size_t closed = 0;
    std::size_t namespaces = 0;
    bool bridged = false;
    bool ledOut = false;
    for (const Resource& resource : desiredState(spec, host.place(spec))) {
      if (std::holds_alternative<NetnsResource>(resource)) ++namespaces;
      if (std::holds_alternative<RulesetResource>(resource)) ++closed;
      const bool bridge = std::holds_alternative<BridgeResource>(resource);
      const bool out = std::holds_alternative<VethResource>(resource) ||
                       std::holds_alternative<NicResource>(resource);
      if (bridge || out) {
        EXPECT_EQ(closed, namespaces) << spec.id.text() << ": " << toText(resource);
      }
      if (out) {
        EXPECT_TRUE(bridged) << spec.id.text() << ": " << toText(resource);
      }
      bridged = bridged || bridge;
      ledOut = ledOut || out;
    }
    EXPECT_EQ(namespaces, hasEgressNamespace(spec) ? 2u : 1u) << spec.id.text();
    EXPECT_TRUE(ledOut) << spec.id.text() << " leads nowhere";
  }
}

std::string testName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Examples, ExamplePlan, ::testing::ValuesIn(exampleNames()), testName);

TEST(GoldenPlans, BelongToAnExampleEach) {
  const auto names = exampleNames();
  EXPECT_GE(names.size(), 8u);
  const auto files = listDirectory(kGolden);
  ASSERT_TRUE(files);
  for (const std::string& file : *files)
    EXPECT_NE(std::find(names.begin(), names.end(), file.substr(0, file.size() - 4)), names.end())
        << file << " has no example under configs/routers";
}

}  // namespace
}  // namespace orrery
