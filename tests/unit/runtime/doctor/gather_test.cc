#include "runtime/doctor/gather.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/doctor/checks.h"
#include "runtime/doctor/probing.h"

namespace orrery {
namespace {

TEST(DoctorGather, ReadsReleases) {
  struct Case {
    const char* text;
    unsigned major, minor;
  };
  for (const Case& c :
       {Case{"6.1.0-18-amd64", 6, 1}, Case{"5.15", 5, 15}, Case{"6.18.44-fc", 6, 18},
        Case{"6.9-rc1", 6, 9}, Case{"", 0, 0}, Case{"next", 0, 0}, Case{"a.b", 0, 0},
        Case{"6.", 0, 0}, Case{".6", 0, 0}}) {
    const KernelRelease release = parseRelease(c.text);
    EXPECT_EQ(release.major, c.major) << c.text;
    EXPECT_EQ(release.minor, c.minor) << c.text;
    EXPECT_EQ(release.text, c.text);
  }
}

TEST(DoctorGather, FindsWhoHasOurIds) {
  const char* text =
      "# comment\n"
      "ann:100000:65536\n"       // below
      "ben:1879048191:1\n"       // the last before
      "cas:1879048191:2\n"       // reaches in
      "dee:2147483647:10\n"      // the last of ours
      "eva:2147483648:65536\n"   // above
      "fay:1000:4294967295\n"    // over all of it
      "gus:1879048192:0\n"       // nothing
      "hal:x:1\nivy:1\n:::\n\n"  // no entries
      "jon:99999999999:1\n";     // no id
  const auto found = subordinateConflicts("/etc/subuid", text, 1879048192, 2147483647);
  EXPECT_EQ(found, (std::vector<std::string>{"/etc/subuid: cas 1879048191-1879048192",
                                             "/etc/subuid: dee 2147483647-2147483656",
                                             "/etc/subuid: fay 1000-4294968294"}));
  EXPECT_EQ(userConflicts("/etc/passwd",
                          "root:x:0:0::/:/bin/sh\nkim:x:1879048200:1::/:/bin/sh\nbroken\nx:x:y:z\n",
                          1879048192, 2147483647),
            (std::vector<std::string>{"/etc/passwd: kim 1879048200-1879048200"}));
}

TEST(DoctorGather, AnswersCrossThePipe) {
  const std::map<std::string, Probe> probes = {
      {"a", {Probe::Answer::yes, ""}},
      {"b", {Probe::Answer::no, "why: not"}},
      {"c d", {Probe::Answer::unknown, "no\tneed\nto know"}},
  };
  const std::string text = toText(probes);
  auto expected = probes;
  expected["c d"].detail = "no need to know";
  EXPECT_EQ(parseProbes(text), expected);
  // A child that died in the middle: whole lines count.
  EXPECT_EQ(parseProbes(text.substr(0, text.size() - 1)).size(), 2u);
  EXPECT_TRUE(parseProbes("").empty());
  EXPECT_TRUE(parseProbes("x\ty\n").empty());
}

// Whoever runs this and on whatever: something is found out, nothing crashes, and what is not known
// is not called a problem.
TEST(DoctorGather, LooksAtThisHost) {
  const HostFacts facts = gatherHost(ProgramPaths{}, "");
  EXPECT_GT(facts.kernel.major, 4u);
  EXPECT_TRUE(facts.probes.contains(probe::kNetNamespace));
  EXPECT_TRUE(facts.probes.contains(probe::kNftTproxy));
  EXPECT_TRUE(facts.probes.at(probe::kOpenat2).yes()) << facts.probes.at(probe::kOpenat2).detail;
  EXPECT_EQ(facts.programs.size(), 5u);
  EXPECT_GT(facts.clock.now, facts.clock.newest - 3600);
  EXPECT_EQ(judgeHost(facts).size(), hostChecks().size());
}

TEST(DoctorGather, AnEmptyRootHasNoFiles) {
  const HostFacts facts = gatherHost(ProgramPaths{}, "/nonexistent");
  EXPECT_TRUE(facts.sysctls.empty());
  EXPECT_FALSE(facts.run.known);
  EXPECT_TRUE(facts.managers.empty());
  for (const ProgramFacts& program : facts.programs) EXPECT_FALSE(program.present);
}

TEST(DoctorGather, ReadsWhatATreeOfVersionTwoOffers) {
  const std::string root = ::testing::TempDir() + "orrery-doctor-XXXXXX";
  std::vector<char> name(root.begin(), root.end());
  name.push_back('\0');
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  CgroupLayout layout;
  layout.version = CgroupLayout::Version::v2;
  layout.unified = name.data();
  const std::string file = layout.unified + "/cgroup.controllers";
  std::ofstream(file) << "cpuset cpu io memory hugetlb pids rdma misc\n";  // a stock Debian 12
  const CgroupFacts facts = doctor::cgroupFacts(layout);
  EXPECT_EQ(facts.version, CgroupFacts::Version::v2);
  EXPECT_EQ(facts.controllers, (std::vector<std::string>{"cpuset", "cpu", "memory", "pids"}));
  EXPECT_TRUE(facts.writable);
  std::filesystem::remove_all(layout.unified);
}

}  // namespace
}  // namespace orrery
