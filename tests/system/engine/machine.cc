#include "tests/system/engine/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "netns/nft/nft.h"
#include "netns/observe/snapshot.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/cgroup/cgroup.h"

namespace orrery::test {
namespace {

constexpr const char* kCgroups = "/sys/fs/cgroup";

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::vector<std::string> cgroupTrees() {
  if (pathExists(std::string(kCgroups) + "/cgroup.procs")) return {kCgroups};
  std::vector<std::string> trees;
  for (const char* controller : {"memory", "pids", "cpuset", "cpu", "freezer"}) {
    const std::string tree = fmt::format("{}/{}", kCgroups, controller);
    if (pathExists(tree + "/cgroup.procs")) trees.push_back(tree);
  }
  return trees;
}

std::string groupName(pid_t parent) {
  return fmt::format("orrery-test-{}", parent);
}

// Covers each tree by a group of ours in it.
void coverCgroups(pid_t parent) {
  for (const std::string& tree : cgroupTrees()) {
    const std::string own = fmt::format("{}/{}", tree, groupName(parent));
    must(makeDirectories(own));
    for (const char* file : {"cpuset.cpus", "cpuset.mems"})  // v1: empty at first
      if (pathExists(fmt::format("{}/{}", tree, file)))
        must(writeExisting(fmt::format("{}/{}", own, file),
                           trim(must(readFile(fmt::format("{}/{}", tree, file))))));
    check(::mount(own.c_str(), tree.c_str(), nullptr, MS_BIND, nullptr) == 0, "cover " + tree);
  }
}

int removeEntry(const char* path, const struct stat*, int kind, struct FTW*) {
  return kind == FTW_DP ? ::rmdir(path) : 0;
}

void removeCgroups() {
  constexpr int kOpenDirectories = 8;
  for (const std::string& tree : cgroupTrees())
    (void)::nftw((tree + "/" + groupName(::getpid())).c_str(), removeEntry, kOpenDirectories,
                 FTW_DEPTH | FTW_PHYS);
}

void settleIn(pid_t parent) {
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "tie ourselves to the parent");
  check(::unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, "leave the machine (needs root)");
  check(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "close the mounts");
  check(::mount("proc", "/proc", "proc", 0, nullptr) == 0, "mount /proc");
  for (const char* path : {"/run", "/var/lib"})
    check(::mount("tmpfs", path, "tmpfs", 0, "mode=0755") == 0, path);
  coverCgroups(parent);
}

void addFiles(const std::string& directory, std::vector<std::string>& lines) {
  for (const std::string& name : must(listDirectory(directory))) {
    const std::string path = directory + "/" + name;
    struct stat st {};
    check(::lstat(path.c_str(), &st) == 0, path);
    std::string line = fmt::format("{} {:o} {}", path, st.st_mode, st.st_uid);
    if (S_ISREG(st.st_mode) && !path.starts_with("/run/netns/"))
      line += " " + must(readFile(path, 16 << 20));
    lines.push_back(line);
    if (S_ISDIR(st.st_mode)) addFiles(path, lines);
  }
}

void addNetwork(std::vector<std::string>& lines) {
  const NetnsFd here = must(openNetns(""));
  Rtnl rtnl = must(Rtnl::open(here));
  for (const std::string& link : linksOf(rtnl)) lines.push_back("link " + link);
  const Snapshot all = must(observe(rtnl));
  for (const Address& a : all.addresses) lines.push_back("address " + toString(a.address));
  for (const Route& r : all.routes)
    lines.push_back(fmt::format("route {} table {}", toString(r.destination), r.table));
  for (const Rule& r : all.rules) lines.push_back(fmt::format("rule {} {}", r.priority, r.table));
  NftSocket nft = must(NftSocket::open(here));
  const auto rules = must(dumpCountedRuleset(nft));
  lines.push_back("nft " + nft::toText(rules));
  for (const std::string& foreign : rules.foreign) lines.push_back("nft table " + foreign);
}

void addMounts(std::vector<std::string>& lines) {
  const std::string text = must(readFile("/proc/self/mountinfo", 16 << 20));
  for (const std::string_view line : split(text, '\n')) {
    const auto words = splitWords(line);
    // 36 35 98:0 ROOT POINT …: the ids before change with each mount.
    if (words.size() > 4) lines.push_back(fmt::format("mount {} {}", words[3], words[4]));
  }
}

template <class Predicate>
void awaitRtnl(const std::string& netns, const std::string& what, Predicate reached) {
  const NetnsFd fd = must(openNetns(netns));
  RtnlMonitor monitor = must(RtnlMonitor::open(fd));
  Rtnl rtnl = must(Rtnl::open(fd));
  constexpr int kPatienceMs = 5000;
  while (!reached(rtnl)) {
    pollfd ready{monitor.fd(), POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMs) != 1)
      throw std::runtime_error(what + " neither comes nor goes");
    (void)must(monitor.read());
  }
}

}  // namespace

std::vector<std::string> linksOf(Rtnl& rtnl) {
  std::vector<std::string> lines;
  for (const Link& link : must(listLinks(rtnl)))
    if (!link.loopback)
      lines.push_back(fmt::format("{} {} {} {} {}", link.name, link.kind, toString(link.mac),
                                  link.mtu, link.up ? "up" : "down"));
  std::ranges::sort(lines);
  return lines;
}

std::vector<std::string> processes() {
  std::vector<std::string> found;
  for (const std::string& name : must(listDirectory("/proc"))) {
    const auto pid = parseNumber<pid_t>(name);
    if (!pid || *pid == ::getpid()) continue;
    const auto stat = readFile(fmt::format("/proc/{}/stat", *pid));
    if (!stat) continue;
    const std::size_t close = stat->rfind(')');
    if (close == std::string::npos || stat->substr(close + 2, 1) == "Z") continue;
    found.push_back(stat->substr(0, close + 1));
  }
  return found;
}

std::vector<std::string> snapshot() {
  std::vector<std::string> lines;
  addNetwork(lines);
  addMounts(lines);
  addFiles("/run", lines);
  addFiles("/var/lib", lines);
  const CgroupTree cgroups = must(CgroupTree::probe());
  for (const std::string& group : must(cgroups.list())) lines.push_back("cgroup " + group);
  for (const std::string& process : processes()) lines.push_back("process " + process);
  std::ranges::sort(lines);
  return lines;
}

::testing::AssertionResult same(const std::vector<std::string>& before,
                                const std::vector<std::string>& after) {
  if (before == after) return ::testing::AssertionSuccess();
  std::vector<std::string> gone, added;
  std::ranges::set_difference(before, after, std::back_inserter(gone));
  std::ranges::set_difference(after, before, std::back_inserter(added));
  ::testing::AssertionResult result = ::testing::AssertionFailure();
  for (const std::string& line : gone) result << "\n- " << line;
  for (const std::string& line : added) result << "\n+ " << line;
  return result;
}

void awaitLink(const std::string& netns, const std::string& name, Presence wanted) {
  awaitRtnl(netns, name, [&](Rtnl& rtnl) {
    return must(findLink(rtnl, ifName(name))).has_value() == (wanted == Presence::there);
  });
}

void awaitLinks(const std::string& netns, const std::vector<std::string>& wanted) {
  awaitRtnl(netns, "a link", [&](Rtnl& rtnl) { return linksOf(rtnl) == wanted; });
}

Mac Nic::address() {
  return mac("52:54:00:ab:cd:01");
}

Nic::Nic() {
  const NetnsFd here = must(openNetns(""));
  Rtnl host = must(Rtnl::open(here));
  must(createVeth(
      host, {.name = ifName("eth1"), .mac = address(), .up = true},
      {.name = ifName("wire"), .mac = mac("02:00:00:00:00:ff"), .netns = &wire_.netns, .up = true},
      1500));
}

Nic::~Nic() {
  (void)deleteLink(wire_.rtnl, ifName("wire"));
}

void reapOrphans() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace orrery::test

// The tests run as a child that is process 1 of a machine of its own.
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  if (::unshare(CLONE_NEWPID) != 0) {
    std::perror("the system tests need root");
    return 1;
  }
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    orrery::test::settleIn(parent);
    const int code = RUN_ALL_TESTS();
    (void)std::fflush(nullptr);
    ::_exit(code);
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  orrery::test::removeCgroups();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
