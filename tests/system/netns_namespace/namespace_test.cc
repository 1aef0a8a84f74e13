#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "sandbox/base/file.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

class Netns : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { hideRun(); }
};

std::uint64_t own() {
  return must(netnsInode(must(openNetns(""))));
}

std::string output(const char* command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command, "re"), ::pclose);
  std::string text;
  std::array<char, 256> part{};
  while (pipe && ::fgets(part.data(), part.size(), pipe.get()) != nullptr) text += part.data();
  return text;
}

TEST_F(Netns, BornEmptyAndApart) {
  const std::uint64_t before = own();
  Place place;
  EXPECT_NE(must(netnsInode(place.netns)), before);
  EXPECT_EQ(own(), before) << "the calling thread has moved";
  const auto links = must(listLinks(place.rtnl));
  ASSERT_EQ(links.size(), 1u);
  EXPECT_EQ(links[0].name, "lo");
  EXPECT_TRUE(links[0].loopback);
  EXPECT_FALSE(links[0].up);
  EXPECT_EQ(::fcntl(place.netns.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(Netns, PinKeepsItAndIpFindsIt) {
  std::uint64_t inode = 0;
  {
    const NetnsFd netns = must(createNetns());
    inode = must(netnsInode(netns));
    EXPECT_FALSE(must(netnsPinned("n0.galaxy0")));
    must(pinNetns(netns, "n0.galaxy0"));
  }
  EXPECT_TRUE(must(netnsPinned("n0.galaxy0")));
  EXPECT_EQ(must(netnsInode(must(openNetns("n0.galaxy0")))), inode);
  EXPECT_EQ(output("ip netns exec n0.galaxy0 readlink /proc/self/ns/net"),
            fmt::format("net:[{}]\n", inode));
  // ip(8) and we share the directory.
  EXPECT_EQ(output("ip netns add other 2>&1"), "");
  EXPECT_TRUE(must(netnsPinned("other")));
  EXPECT_TRUE(must(netnsPinned("n0.galaxy0")));
  EXPECT_EQ(output("ip netns del other 2>&1"), "");
  must(unpinNetns("n0.galaxy0"));
  EXPECT_FALSE(must(netnsPinned("n0.galaxy0")));
  EXPECT_FALSE(pathExists("/run/netns/n0.galaxy0"));
  must(unpinNetns("n0.galaxy0"));  // absent is fine
  must(removeEmptyNetnsDirectory());
  EXPECT_FALSE(pathExists("/run/netns"));
  EXPECT_EQ(must(readFile("/proc/self/mountinfo")).find("/run/netns"), std::string::npos);
  must(removeEmptyNetnsDirectory());
}

TEST_F(Netns, PinNeverReplaces) {
  const NetnsFd a = must(createNetns());
  const NetnsFd b = must(createNetns());
  must(pinNetns(a, "x"));
  const Status again = pinNetns(b, "x");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().err, EEXIST);
  EXPECT_EQ(must(netnsInode(must(openNetns("x")))), must(netnsInode(a)));
  must(removeEmptyNetnsDirectory());  // not empty: nothing happens
  EXPECT_TRUE(must(netnsPinned("x")));
  must(unpinNetns("x"));
}

TEST_F(Netns, RestOfACrashIsNoNamespace) {
  must(makeDirectories(kNetnsDirectory));
  must(writeFileAtomic("/run/netns/left", ""));
  EXPECT_FALSE(must(netnsPinned("left")));
  const auto opened = openNetns("left");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().err, EINVAL);
  EXPECT_EQ(pinNetns(must(createNetns()), "left").error().err, EEXIST);
  must(unpinNetns("left"));
  EXPECT_FALSE(pathExists("/run/netns/left"));
}

TEST_F(Netns, NamesAreOneComponent) {
  for (const std::string& name :
       {std::string("."), std::string(".."), std::string("a/b"), std::string("/"),
        std::string(256, 'a'), std::string("a\0b", 3)}) {
    EXPECT_EQ(pinNetns(must(createNetns()), name).error().err, EINVAL) << name;
    EXPECT_EQ(unpinNetns(name).error().err, EINVAL) << name;
    EXPECT_EQ(openNetns(name).error().err, EINVAL) << name;
  }
  EXPECT_EQ(openNetns("absent").error().err, ENOENT);
  EXPECT_EQ(unpinNetns("").error().err, EINVAL);
}

TEST_F(Netns, OfAProcess) {
  EXPECT_EQ(must(netnsInode(must(openNetnsOfPid(::getpid())))), own());
  EXPECT_FALSE(openNetnsOfPid(0));
  EXPECT_FALSE(openNetnsOfPid(-1));
}

TEST_F(Netns, VisitReturnsWhatTheFunctionReturns) {
  const NetnsFd netns = must(createNetns());
  const auto inode = inNetns(netns, []() -> Result<std::uint64_t> { return own(); });
  EXPECT_EQ(must(inode), must(netnsInode(netns)));
  const Status failed = inNetns(netns, []() -> Status { return error("as asked"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "as asked");
  const NetnsFd none;
  bool ran = false;
  const Status refused = inNetns(none, [&]() -> Status {
    ran = true;
    return {};
  });
  EXPECT_EQ(refused.error().err, EBADF);
  EXPECT_FALSE(ran);
}

TEST_F(Netns, SocketIsBornInside) {
  const NetnsFd netns = must(createNetns());
  const UniqueFd socket = must(socketIn(netns, AF_INET, SOCK_DGRAM, 0));
  const NetnsFd of(::ioctl(socket.get(), SIOCGSKNS));
  ASSERT_TRUE(of);
  EXPECT_EQ(must(netnsInode(of)), must(netnsInode(netns)));
}

TEST_F(Netns, SysctlsOfTheNamespaceAlone) {
  const NetnsFd here = must(openNetns(""));
  const NetnsFd netns = must(createNetns());
  const std::vector<std::string> keys = {"ipv4/ip_forward", "ipv4/conf/all/rp_filter"};
  const auto before = must(getSysctls(here, keys));
  for (const std::string& value : {std::string("1"), std::string("0")}) {
    const std::vector<Sysctl> wanted = {{keys[0], value}, {keys[1], value}};
    must(setSysctls(netns, wanted));
    EXPECT_EQ(must(getSysctls(netns, keys)), wanted);
  }
  EXPECT_EQ(must(getSysctls(here, keys)), before);
}

TEST_F(Netns, MissingSysctlIsToldApart) {
  const NetnsFd netns = must(createNetns());
  const Status missing = setSysctls(netns, {{"ipv4/conf/nosuch/rp_filter", "1"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().err, ENOENT);
  EXPECT_NE(missing.error().message.find("net/ipv4/conf/nosuch/rp_filter"), std::string::npos);
  EXPECT_EQ(getSysctls(netns, {"ipv4/nosuch"}).error().err, ENOENT);
  EXPECT_EQ(setSysctls(netns, {{"ipv4/ip_forward", "x"}}).error().err, EINVAL);
  for (const char* key :
       {"../kernel/hostname", "ipv4/../../kernel/hostname", "", "/ipv4", "ipv4//x"})
    EXPECT_EQ(setSysctls(netns, {{key, "1"}}).error().err, EINVAL) << key;
}

}  // namespace
}  // namespace orrery::test
