// tor's data directory: what of it outlives what, and that nothing in it leads its supervisor
// astray.
#include "runtime/supervisor/tor_data.h"

#include <sys/stat.h>

#include "sandbox/base/file.h"
#include "sandbox/namespaces/tmpfs.h"
#include "tests/system/engine/machine.h"

namespace orrery::test {
namespace {

class TorDataTest : public ::testing::Test {
 protected:
  TorDataTest() { spec_.id = {"network0", "star0"}; }
  ~TorDataTest() override {
    (void)unmount(data_);
    (void)removeTree("/run/orrery");
    (void)removeTree("/var/lib/orrery");
  }

  TorData make() const { return TorData(ServiceContext{spec_, programs_, kIdBase}); }
  // As tor does: a new file each time.
  void write(const std::string& name, const std::string& text) const {
    must(writeFileAtomic(data_ + "/" + name, text, 0600));
  }
  std::string kept(const std::string& name) const {
    return readFile(kept_ + "/" + name, 4 << 20).value_or("none");
  }
  static uid_t ownerOf(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
    return st.st_uid;
  }

  static constexpr std::uint32_t kIdBase = 1879048192;
  RouterSpec spec_;
  ProgramPaths programs_;
  const std::string data_ = torDataDirectory({"network0", "star0"});
  const std::string kept_ = torStateDirectory({"network0", "star0"});
};

TEST_F(TorDataTest, GuardsAndCachesOutliveAReboot) {
  TorData first = make();
  ASSERT_TRUE(must(first.open()));
  ASSERT_TRUE(first.fill()) << "there is nothing yet";
  const uid_t user = ownerOf(data_);
  EXPECT_EQ(user, hostUser(kIdBase, ServiceKind::tor));
  write("state", "Guard one");
  write("cached-microdescs", "many");
  write("cached-microdescs.new", "few");
  write("lock", "");
  ASSERT_TRUE(first.keepGuards());
  EXPECT_EQ(kept("state"), "Guard one");
  EXPECT_EQ(ownerOf(kept_ + "/state"), 0u);
  EXPECT_EQ(kept("cached-microdescs"), "none") << "only at its end";
  write("state", "Guard two");
  must(removeFile(data_ + "/cached-microdescs.new"));
  ASSERT_TRUE(first.keepAll());
  EXPECT_EQ(kept("state"), "Guard two");
  EXPECT_EQ(kept("lock"), "none");

  must(unmount(data_));
  TorData second = make();
  ASSERT_TRUE(must(second.open()));
  ASSERT_TRUE(second.fill());
  EXPECT_EQ(must(readFile(data_ + "/state")), "Guard two");
  EXPECT_EQ(must(readFile(data_ + "/cached-microdescs")), "many");
  EXPECT_EQ(must(listDirectory(data_)).size(), 2u);
  EXPECT_EQ(ownerOf(data_ + "/state"), user);
}

TEST_F(TorDataTest, ASuccessorFindsItAsItWas) {
  TorData first = make();
  ASSERT_TRUE(must(first.open()));
  write("state", "Guard one");
  write("cached-certs", "some");
  TorData second = make();
  EXPECT_FALSE(must(second.open()));
  EXPECT_EQ(must(readFile(data_ + "/cached-certs")), "some");
  ASSERT_TRUE(second.keepGuards());
  EXPECT_EQ(kept("state"), "Guard one");
}

TEST_F(TorDataTest, WhatWasKeptStaysIfItCouldNotBeMounted) {
  must(makeDirectories(kept_));
  must(writeFileAtomic(kept_ + "/cached-certs", "some"));
  EXPECT_TRUE(make().keepAll());
  EXPECT_EQ(kept("cached-certs"), "some");
}

// Nothing is followed, waited for or taken beyond its bound, and what was kept stays.
TEST_F(TorDataTest, WhatLiesThereLeadsNobodyAstray) {
  TorData data = make();
  ASSERT_TRUE(must(data.open()));
  write("state", "Guard one");
  ASSERT_TRUE(data.keepGuards());
  const std::string own = data_ + "/state";
  const std::function<void()> tricks[] = {
      [&] { EXPECT_EQ(::symlink("/etc/shadow", own.c_str()), 0); },
      [&] { EXPECT_EQ(::mkfifo(own.c_str(), 0666), 0); },
      [&] { EXPECT_EQ(::mkdir(own.c_str(), 0777), 0); },
      [&] {
        const UniqueFd file = must(openFile(own, O_WRONLY | O_CREAT, 0666));
        EXPECT_EQ(::ftruncate(file.get(), off_t{1} << 30), 0);
      }};
  for (const auto& trick : tricks) {
    must(removeTree(own));
    trick();
    EXPECT_FALSE(data.keepGuards());
    EXPECT_FALSE(data.keepAll());
    EXPECT_EQ(must(listDirectory(kept_)), std::vector<std::string>{"state"});
    EXPECT_EQ(kept("state"), "Guard one");
  }
}

TEST_F(TorDataTest, IsFullBeforeItIsFull) {
  TorData data = make();
  ASSERT_TRUE(must(data.open()));
  EXPECT_FALSE(data.full());
  write("big", std::string(torDataBytes(spec_) - (4 << 20), 'x'));
  EXPECT_TRUE(data.full());
}

}  // namespace
}  // namespace orrery::test
