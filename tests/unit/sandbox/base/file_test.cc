#include "sandbox/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

namespace orrery {
namespace {

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/orrery-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { EXPECT_TRUE(removeTree(directory_)); }
  std::string directory_;
};

TEST_F(Files, AtomicWriteReplacesAndSetsTheMode) {
  const std::string path = directory_ + "/a";
  for (const mode_t mode : {0644u, 0600u}) {
    ASSERT_TRUE(writeFileAtomic(path, "text", mode));
    struct stat st {};
    ASSERT_EQ(::lstat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | mode);
    EXPECT_EQ(readFile(path).value(), "text");
  }
  EXPECT_EQ(listDirectory(directory_).value(), std::vector<std::string>{"a"});
}

// dnsmasq reads every file of hosts.d but those that begin with a dot.
TEST_F(Files, AtomicWriteShowsNothingButHiddenNamesOnItsWay) {
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), directory_.c_str(), IN_CREATE), 0);
  ASSERT_TRUE(writeFileAtomic(directory_ + "/10.0.0.2", "x"));
  alignas(inotify_event) char buffer[4096];
  const ssize_t got = ::read(watch.get(), buffer, sizeof buffer);
  ASSERT_GE(got, static_cast<ssize_t>(sizeof(inotify_event)));
  const auto* event = reinterpret_cast<const inotify_event*>(buffer);
  EXPECT_TRUE(std::string(event->name).starts_with(".10.0.0.2.")) << event->name;
  EXPECT_EQ(static_cast<std::size_t>(got), sizeof(inotify_event) + event->len) << "one file only";
}

TEST_F(Files, TemporariesOfKilledWritersAreTheirsAlone) {
  for (const char* name : {".state.json.Ab3_xY", ".hidden", "kept.abcdef", ".two.short"})
    std::ofstream(directory_ + "/" + name) << "x";
  const auto removed = removeTemporaries(directory_);
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, std::vector{directory_ + "/.state.json.Ab3_xY"});
  EXPECT_EQ(listDirectory(directory_)->size(), 3u);
  EXPECT_TRUE(removeTemporaries(directory_ + "/none")->empty());
}

TEST_F(Files, AtomicWriteReplacesALinkAndNotWhatItPointsTo) {
  const std::string target = directory_ + "/target";
  const std::string path = directory_ + "/link";
  ASSERT_TRUE(writeFileAtomic(target, "old"));
  ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
  ASSERT_TRUE(writeFileAtomic(path, "new"));
  EXPECT_EQ(readFile(target).value(), "old");
  EXPECT_EQ(readFile(path).value(), "new");
}

TEST_F(Files, AFailedAtomicWriteLeavesNothing) {
  ASSERT_EQ(::mkdir((directory_ + "/d").c_str(), 0755), 0);
  EXPECT_FALSE(writeFileAtomic(directory_ + "/d", "x")) << "a directory is not replaced";
  EXPECT_EQ(listDirectory(directory_).value(), std::vector<std::string>{"d"});
  EXPECT_FALSE(writeFileAtomic(directory_ + "/none/a", "x"));
}

TEST_F(Files, ForeignFilesAreTakenOnlyIfRegular) {
  const std::string file = directory_ + "/file";
  ASSERT_TRUE(writeFileAtomic(file, "text"));
  EXPECT_EQ(readForeignFile(file).value(), "text");
  const std::string link = directory_ + "/link";
  ASSERT_EQ(::symlink(file.c_str(), link.c_str()), 0);
  EXPECT_EQ(readForeignFile(link).error().err, ELOOP);
  EXPECT_EQ(readFile(link).value(), "text");  // the control: the link itself is good
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(readForeignFile(fifo));  // and does not wait for a writer
  EXPECT_EQ(readForeignFile(file, 3).error().err, EFBIG);
  EXPECT_EQ(readForeignFile(directory_ + "/none").error().err, ENOENT);
}

TEST_F(Files, GivingATreeFollowsNoLink) {
  const std::string tree = directory_ + "/tree";
  ASSERT_TRUE(makeDirectories(tree + "/inner"));
  ASSERT_TRUE(writeFileAtomic(tree + "/inner/file", "text"));
  ASSERT_EQ(::symlink("/etc/passwd", (tree + "/link").c_str()), 0);
  struct stat before {};
  ASSERT_EQ(::stat("/etc/passwd", &before), 0);
  // To ourselves: allowed without privilege.
  ASSERT_TRUE(giveTree(tree, ::getuid(), ::getgid()));
  struct stat after {};
  ASSERT_EQ(::stat("/etc/passwd", &after), 0);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
  EXPECT_EQ(giveTree(directory_ + "/none", ::getuid(), ::getgid()).error().err, ENOENT);
}

TEST_F(Files, GivingATreeEndsAtItsBounds) {
  constexpr int kDeepestGiven = 16;
  constexpr std::size_t kMostGiven = 20'000;
  const auto give = [this](const std::string& name) {
    return giveTree(directory_ + name, ::getuid(), ::getgid());
  };
  std::string deep = directory_ + "/deep";
  for (int level = 0; level < kDeepestGiven; ++level) deep += "/d";
  ASSERT_TRUE(makeDirectories(deep));
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit few{64, files.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_TRUE(give("/deep"));
  ASSERT_TRUE(makeDirectories(deep + "/d"));
  const Status tooDeep = give("/deep");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  ASSERT_FALSE(tooDeep);
  EXPECT_NE(tooDeep.error().message.find("more than 16 levels"), std::string::npos);

  ASSERT_TRUE(makeDirectories(directory_ + "/many"));
  const UniqueFd many = *openFile(directory_ + "/many", O_RDONLY | O_DIRECTORY);
  for (std::size_t i = 1; i <= kMostGiven; ++i)
    ASSERT_EQ(::symlinkat("/etc/passwd", many.get(), std::to_string(i).c_str()), 0);
  const Status tooMany = give("/many");  // with the directory itself, one too many
  ASSERT_FALSE(tooMany);
  EXPECT_NE(tooMany.error().message.find("more than 20000 files"), std::string::npos);
}

// While directories and links take each other's places: no link is ever followed.
TEST_F(Files, GivingATreeLosesNoRace) {
  const std::string tree = directory_ + "/tree";
  const std::string other = directory_ + "/other";
  ASSERT_TRUE(makeDirectories(tree + "/d"));
  ASSERT_TRUE(makeDirectories(other));
  ASSERT_TRUE(writeFileAtomic(other + "/file", "text"));
  ASSERT_EQ(::symlink(other.c_str(), (tree + "/l").c_str()), 0);
  struct stat before {};
  ASSERT_EQ(::stat((other + "/file").c_str(), &before), 0);
  std::atomic<bool> end{false};
  std::thread swapper([&] {
    while (!end)
      (void)::renameat2(AT_FDCWD, (tree + "/d").c_str(), AT_FDCWD, (tree + "/l").c_str(),
                        RENAME_EXCHANGE);
  });
  constexpr int kRounds = 2000;
  for (int i = 0; i < kRounds; ++i) (void)giveTree(tree, ::getuid(), ::getgid());
  end = true;
  swapper.join();
  struct stat after {};
  ASSERT_EQ(::stat((other + "/file").c_str(), &after), 0);
  EXPECT_EQ(before.st_ctim.tv_sec, after.st_ctim.tv_sec);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

}  // namespace
}  // namespace orrery
