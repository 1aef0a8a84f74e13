#include "runtime/routerctl/follow.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "runtime/log/log.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

class FollowTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/orrery-follow-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
  }
  void TearDown() override { ASSERT_TRUE(removeTree(directory_)); }

  void append(const std::string& name, const std::string& text) {
    const auto fd = openFile(directory_ + "/" + name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    ASSERT_TRUE(fd);
    ASSERT_TRUE(writeAll(fd->get(), text));
  }

  std::string directory_;
};

TEST_F(FollowTest, NewLinesNewFilesAndRotation) {
  append("tor.log", "one\ntw");
  append("other.txt", "not followed\n");
  auto follower = LogFollower::open(directory_, [](auto name) { return name.ends_with(".log"); });
  ASSERT_TRUE(follower) << follower.error().message;
  std::vector<std::string> lines;
  const auto each = [&](std::string_view file, std::string_view line) {
    lines.push_back(std::string(file) + ":" + std::string(line));
  };
  ASSERT_TRUE(follower->readNew(each));
  EXPECT_EQ(lines, (std::vector<std::string>{"tor.log:one"}));
  lines.clear();
  std::thread writer([this] {
    append("tor.log", "o\n");
    ASSERT_EQ(std::rename((directory_ + "/tor.log").c_str(), (directory_ + "/tor.log.1").c_str()),
              0);
    append("tor.log", "fresh\n");
    append("dnsmasq.log", "hello\n");
  });
  while (lines.size() < 3) {
    ASSERT_TRUE(follower->wait());
    ASSERT_TRUE(follower->readNew(each));
  }
  writer.join();
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (std::vector<std::string>{"dnsmasq.log:hello", "tor.log:fresh", "tor.log:two"}));
}

TEST_F(FollowTest, LogRotatesAndKeepsItsMode) {
  const std::string path = directory_ + "/events";
  LogOptions options;
  options.maxBytes = 400;
  options.minimum = Severity::info;
  auto log = Log::toFile(path, options);
  ASSERT_TRUE(log) << log.error().message;
  Event event;
  event.router = {"n", "r"};
  event.name = "tick";
  for (int i = 0; i < 10; ++i) log->write(event);
  event.severity = Severity::debug;
  event.name = "too-quiet";
  log->write(event);
  EXPECT_EQ(log->lost(), 0u);
  const auto current = readFile(path);
  const auto old = readFile(path + ".1");
  ASSERT_TRUE(current && old);
  EXPECT_LE(current->size(), 400u);
  EXPECT_LE(old->size(), 400u);
  EXPECT_EQ(current->find("too-quiet"), std::string::npos);
  const auto fd = openFile(path, O_RDONLY);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

}  // namespace
}  // namespace orrery
