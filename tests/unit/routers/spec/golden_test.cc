// Definitions under tests/golden/definitions: bad/*.toml with the exact complaints, good/*.toml
// with the resolved definitions. A line "#=== NAME" begins another file of the same set. Files that
// they refer to are in files/; one whose name begins with "open-" counts as readable by everybody.
// ORRERY_UPDATE_GOLDEN=1 writes what was got: read the difference before it is committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "netns/pcap/compile.h"
#include "routers/spec/reader.h"
#include "routers/spec/spec_json.h"
#include "routers/spec/spec_toml.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

const std::string kRoot = std::string(ORRERY_SOURCE_DIR) + "/tests/golden/definitions/";

class GoldenFiles : public AuxiliaryFiles {
 public:
  Result<AuxiliaryFile> read(const std::string& path) const override {
    auto text = readFile(kRoot + "files/" + path);
    // The message must not hold the place of the source tree.
    if (!text) return sysError(text.error().err, "open '{}'", path);
    const unsigned mode = path.rfind("open-", 0) == 0 ? 0644 : 0600;
    return AuxiliaryFile{*std::move(text), mode, 0};
  }
};

class GoldenFilters : public FilterCompiler {
 public:
  Result<BpfProgram> compile(const std::string& expression, const Prefix4& lan) const override {
    static const ExpressionCompiler kCompiler = std::move(ExpressionCompiler::open()).value();
    return kCompiler.compile(expression, lan);
  }
};

tl::expected<Definitions, Diagnostics> readGolden(const std::vector<DefinitionFile>& files) {
  const GoldenFilters filters;
  ReadOptions options;
  options.filters = &filters;
  return readDefinitions(files, GoldenFiles(), options);
}

std::vector<DefinitionFile> splitFiles(const std::string& name, const std::string& text) {
  std::vector<DefinitionFile> files{{name, ""}};
  for (const std::string_view line : split(text, '\n')) {
    if (line.substr(0, 5) == "#=== ") {
      files.push_back({std::string(trim(line.substr(5))), ""});
    } else {
      files.back().text += std::string(line) + "\n";
    }
  }
  for (DefinitionFile& file : files) {  // the split has added an end to the last line
    if (&file == &files.back()) file.text.pop_back();
  }
  return files;
}

std::vector<std::string> casesIn(const std::string& directory) {
  std::vector<std::string> names;
  const auto listed = listDirectory(kRoot + directory);
  for (const std::string& name : listed.value()) {
    if (name.size() > 5 && name.substr(name.size() - 5) == ".toml") {
      names.push_back(name.substr(0, name.size() - 5));
    }
  }
  return names;
}

void expectGolden(const std::string& path, const std::string& got) {
  if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(writeFileAtomic(path, got));
    return;
  }
  const auto want = readFile(path);
  ASSERT_TRUE(want) << want.error().message;
  EXPECT_EQ(got, *want) << path;
}

class BadDefinition : public ::testing::TestWithParam<std::string> {};

TEST_P(BadDefinition, IsRefusedWithTheExpectedWords) {
  const std::string base = kRoot + "bad/" + GetParam();
  const auto files = splitFiles(GetParam() + ".toml", readFile(base + ".toml").value());
  const auto read = readGolden(files);
  ASSERT_FALSE(read) << "accepted";
  expectGolden(base + ".expected", toText(read.error()));
}

class GoodDefinition : public ::testing::TestWithParam<std::string> {};

TEST_P(GoodDefinition, IsResolved) {
  const std::string base = kRoot + "good/" + GetParam();
  const auto files = splitFiles(GetParam() + ".toml", readFile(base + ".toml").value());
  const auto read = readGolden(files);
  ASSERT_TRUE(read) << toText(read.error());
  std::string got = toText(read->warnings);
  for (const RouterSpec& router : read->routers)
    got += "# " + router.id.text() + "\n" + toToml(router);
  expectGolden(base + ".expected", got);
}

// Reading back what was written gives the same again, both as TOML and as JSON.
TEST_P(GoodDefinition, SurvivesTomlAndJson) {
  const std::string base = kRoot + "good/" + GetParam();
  const auto files = splitFiles(GetParam() + ".toml", readFile(base + ".toml").value());
  const auto read = readGolden(files);
  ASSERT_TRUE(read);
  std::vector<DefinitionFile> again;
  for (const RouterSpec& router : read->routers) {
    again.push_back({router.id.text() + ".toml", toToml(router)});
    const auto json = specFromJson(specToJson(router));
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_EQ(*json, router);
  }
  const auto reread = readGolden(again);
  ASSERT_TRUE(reread) << toText(reread.error());
  EXPECT_EQ(reread->routers, read->routers);
}

std::string testName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, BadDefinition, ::testing::ValuesIn(casesIn("bad")), testName);
INSTANTIATE_TEST_SUITE_P(Golden, GoodDefinition, ::testing::ValuesIn(casesIn("good")), testName);

TEST(GoldenDefinitions, AreAtLeastSixtyFaultyOnes) {
  EXPECT_GE(casesIn("bad").size(), 60u);
  EXPECT_GE(casesIn("good").size(), 8u);
}

}  // namespace
}  // namespace orrery
