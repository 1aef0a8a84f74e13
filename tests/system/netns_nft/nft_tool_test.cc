// Debian's nft reads our text, and sees in the kernel what it would have put there itself.
#include <gtest/gtest.h>

#include <cstdio>

#include "sandbox/base/file.h"
#include "tests/system/netns_nft/lab.h"
#include "tests/unit/netns/nft/every_expr.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

// Rules that nft has no words for print as comments (netns/nft/text.h).
void withoutComments(nft::Ruleset& ruleset) {
  for (nft::Table& table : ruleset.tables)
    for (nft::Chain& chain : table.chains)
      std::erase_if(chain.rules, [&](const nft::Rule& rule) {
        return nft::toText(rule, table.family).starts_with("# ");
      });
}

std::vector<samples::Sample> everyRuleset() {
  auto list = samples::all();
  list.push_back({"every-expression", nft::everyExpr()});
  for (samples::Sample& sample : list) withoutComments(sample.ruleset);
  return list;
}

// Outside of the bridge family nft gives an Ethernet field its name only behind a check of the
// link's type, which its own code has, and ours need not: our rules name the link.
std::string named(std::string listing) {
  const std::string raw = "@ll,48,48";
  for (std::size_t at = listing.find(raw); at != std::string::npos; at = listing.find(raw))
    listing.replace(at, raw.size(), "ether saddr");
  return listing;
}

TEST(NftTool, AcceptsOurTextAndListsTheSameRuleset) {
  for (const auto& sample : everyRuleset()) {
    const NetnsFd ours = lab::makeNetns();
    NftSocket socket = lab::nftIn(ours);
    ASSERT_TRUE(replaceRuleset(socket, sample.ruleset)) << sample.name;

    const NetnsFd theirs = lab::makeNetns();
    std::string path = testing::TempDir() + "/orrery-nft-XXXXXX";
    const UniqueFd file(::mkstemp(path.data()));
    ASSERT_TRUE(file);
    ASSERT_TRUE(writeAll(file.get(), nft::toText(nft::canonical(sample.ruleset))));
    lab::run(theirs, "nft -c -f " + path);
    lab::run(theirs, "nft -f " + path);
    std::remove(path.c_str());

    EXPECT_EQ(named(lab::run(ours, "nft list ruleset")), lab::run(theirs, "nft list ruleset"))
        << sample.name;
  }
}

// And the other way: what nft made of our text, we read as our ruleset, where nft's choice of
// instructions is ours. It loads less of an address than we do, so that much may differ.
TEST(NftTool, NothingItWritesBreaksOurReader) {
  for (const auto& sample : everyRuleset()) {
    const NetnsFd theirs = lab::makeNetns();
    std::string path = testing::TempDir() + "/orrery-nft-XXXXXX";
    const UniqueFd file(::mkstemp(path.data()));
    ASSERT_TRUE(file);
    ASSERT_TRUE(writeAll(file.get(), nft::toText(nft::canonical(sample.ruleset))));
    lab::run(theirs, "nft -f " + path);
    std::remove(path.c_str());
    NftSocket socket = lab::nftIn(theirs);
    const auto dump = dumpRuleset(socket);
    ASSERT_TRUE(dump) << dump.error().message;
    ASSERT_EQ(dump->tables.size(), sample.ruleset.tables.size());
    for (std::size_t t = 0; t < dump->tables.size(); ++t) {
      const auto expected = nft::canonical(sample.ruleset).tables[t];
      ASSERT_EQ(dump->tables[t].chains.size(), expected.chains.size()) << sample.name;
      for (std::size_t c = 0; c < expected.chains.size(); ++c)
        EXPECT_EQ(dump->tables[t].chains[c].rules.size(), expected.chains[c].rules.size());
    }
  }
}

}  // namespace
}  // namespace orrery
