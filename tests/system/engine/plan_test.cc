// Plans against the real kernel: what is there afterwards is what was wanted; a step that fails, or
// a death at any step, leaves what was there before, or what the journal can take back.
#include "routers/plan/plan.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <functional>

#include "netns/nic/nic.h"
#include "netns/observe/snapshot.h"
#include "routers/firewall/firewall.h"
#include "runtime/control/paths.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/kernel_world.h"
#include "runtime/engine/placement.h"
#include "runtime/engine/port_owners.h"
#include "runtime/engine/remake.h"
#include "runtime/engine/router_store.h"
#include "sandbox/base/file.h"
#include "sandbox/process/process.h"
#include "tests/support/sample_specs.h"
#include "tests/system/engine/machine.h"

namespace orrery::test {
namespace {

// In place of a process, a file: so a snapshot shows it, whoever made it.
class FakeSupervisors : public SupervisorControl {
 public:
  Status start(const RouterId& router) override { return writeFileAtomic(mark(router), "runs\n"); }
  Status stop(const RouterId& router) override { return removeFile(mark(router)); }
  static std::string mark(const RouterId& router) { return "/run/" + router.text() + ".running"; }
};

// What is to become of the step with this number.
struct Mishap {
  enum class Kind { none, fails, deathBefore, deathAfter } kind = Kind::none;
  std::size_t at = 0;
};

class ShakyWorld : public World {
 public:
  ShakyWorld(World& inner, Mishap mishap) : inner_(inner), mishap_(mishap) {}
  Status admit(const Step& step) override { return inner_.admit(step); }
  Status apply(const Step& step) override {
    const bool now = count_++ == mishap_.at;
    if (now && mishap_.kind == Mishap::Kind::fails) return sysError(EIO, "made to fail");
    if (now && mishap_.kind == Mishap::Kind::deathBefore) (void)::raise(SIGKILL);
    Status applied = inner_.apply(step);
    if (now && mishap_.kind == Mishap::Kind::deathAfter) (void)::raise(SIGKILL);
    return applied;
  }

 private:
  World& inner_;
  Mishap mishap_;
  std::size_t count_ = 0;
};

// A router and those above it, root first.
struct Chain {
  std::string name;
  std::vector<std::pair<RouterSpec, Placement>> routers;
  friend void PrintTo(const Chain& chain, std::ostream* out) { *out << chain.name; }
};

Placement inSlot(Placement placement, std::uint32_t slot) {
  placement.kernel = probeKernel();
  placement.idSlot = slot;
  return placement;
}

RouterSpec egressSpec(EgressSpec egress) {
  RouterSpec spec = openvpnSpec();
  spec.egress = std::move(egress);
  return spec;
}

std::vector<Chain> chains() {
  const RouterSpec universe = universeSpec();
  RouterSpec fixed = universe;
  std::get<NicUplink>(fixed.uplink).fixed =
      StaticUplink{prefix("192.0.2.10/24"), ip("192.0.2.1"), {ip("192.0.2.1")}};
  std::get<NicUplink>(fixed.uplink).mac = mac("02:11:11:11:11:11");
  WireGuardEgress wireguard;
  wireguard.address = prefix("10.99.0.2/24");
  wireguard.peers.resize(1);
  wireguard.peers[0].endpoint = Endpoint{ip("198.18.0.11"), 51820, false};
  const Socks5Egress socks5{Endpoint{ip("198.18.0.12"), 1080, true}, std::nullopt};
  const std::pair root{universe, inSlot(nicPlacement(), 0)};
  const auto on = [&](const RouterSpec& spec) {
    return std::pair{spec, inSlot(behind(universe, "10.0.0.2"), 1)};
  };
  return {
      {"universe", {root}},
      {"universeFixed", {{fixed, inSlot(nicPlacement(), 0)}}},
      {"direct", {root, on(directSpec())}},
      {"openvpn", {root, on(openvpnSpec())}},
      {"wireguard", {root, on(egressSpec(wireguard))}},
      {"socks5", {root, on(egressSpec(socks5))}},
      {"tor", {root, on(openvpnSpec()), {torSpec(), inSlot(behind(openvpnSpec(), "10.1.1.2"), 2)}}},
  };
}

class Plans : public ::testing::TestWithParam<Chain> {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i + 1 < chain().size(); ++i) {
      const auto& [spec, placement] = chain()[i];
      must(run(makePlan(desiredState(spec, placement), {}), spec.id));
      must(makeDirectories(reservationDirectory(spec.id)));  // as its supervisor would
    }
    before_ = snapshot();
    portsBefore_ = uplinkLinks();
  }
  void TearDown() override {
    for (std::size_t i = chain().size(); i-- > 0;) must(clear(chain()[i].first));
    must(removeEmptyNetnsDirectory());
    EXPECT_TRUE(same(bare_, snapshot()));
  }

  const std::vector<std::pair<RouterSpec, Placement>>& chain() const { return GetParam().routers; }
  const RouterSpec& spec() const { return chain().back().first; }
  std::vector<Resource> wanted() const { return desiredState(spec(), chain().back().second); }
  Plan creation() const { return makePlan(wanted(), {}); }
  static std::string journalOf(const RouterId& id) { return RouterPaths(id).journal; }

  Status run(const Plan& plan, const RouterId& id, Mishap mishap = {}) {
    must(makeDirectories(RouterPaths(id).runDir));
    FakeSupervisors supervisors;
    KernelWorld world(supervisors, &cgroups_);
    ShakyWorld shaky(world, mishap);
    ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(journalOf(id)));
    return execute(plan, shaky, journal);
  }

  // As destroy and gc do it.
  Status clear(const RouterSpec& router, Mishap mishap = {}) {
    ORRERY_TRY_ASSIGN(const auto present, readJournal(journalOf(router.id)));
    if (present.empty() && !pathExists(RouterPaths(router.id).runDir)) return {};
    FakeSupervisors supervisors;
    KernelWorld world(supervisors, &cgroups_);
    ShakyWorld shaky(world, mishap);
    {
      ORRERY_TRY_ASSIGN(FileJournal journal, FileJournal::open(journalOf(router.id)));
      ORRERY_TRY(executeAll(makePlan({}, present), shaky, journal));
    }
    return forgetRouter(router.id, true);
  }

  // The same in a child that dies of it. True if it did.
  static bool dies(const std::function<Status()>& work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work() ? 0 : 1);
    int status = 0;
    (void)::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

  std::vector<std::string> uplinkLinks() const {
    if (chain().size() < 2) return {};
    Rtnl rtnl = must(Rtnl::open(must(openNetns(uplink().text()))));
    return linksOf(rtnl);
  }

  const RouterId& uplink() const { return chain()[chain().size() - 2].first.id; }

  // As gc does: what a destroy leaves for it are the elements of the ports it took away.
  void sweepUplink() const {
    NftSocket rules = must(NftSocket::open(must(openNetns(uplink().text()))));
    must(sweepDepartures(rules, uplink()));
    EXPECT_TRUE(must(dumpCountedRuleset(rules)).elements.empty());
  }

  void expectAsBefore(const std::string& when) {
    if (chain().size() > 1) {
      awaitLinks(uplink().text(), portsBefore_);
      sweepUplink();
    }
    if (chain().size() == 1) must(removeEmptyNetnsDirectory());
    ASSERT_TRUE(same(before_, snapshot())) << when;
  }

  const CgroupTree cgroups_ = must(CgroupTree::probe());
  Nic nic_;
  const std::vector<std::string> bare_ = snapshot();
  std::vector<std::string> before_;
  std::vector<std::string> portsBefore_;
};

// --- what is there
// --------------------------------------------------------------------------------

class Observer {
 public:
  explicit Observer(const CgroupTree& cgroups) : cgroups_(cgroups) {}

  void expect(const Resource& resource) {
    SCOPED_TRACE(toText(resource));
    std::visit([this](const auto& r) { there(r); }, resource);
  }

 private:
  struct At {
    NetnsFd netns;
    Rtnl rtnl;
  };
  static At at(const std::string& name) {
    NetnsFd netns = must(openNetns(name));
    Rtnl rtnl = must(Rtnl::open(netns));
    return At{std::move(netns), std::move(rtnl)};
  }
  static Link link(const std::string& netns, const IfName& name) {
    At place = at(netns);
    auto found = must(findLink(place.rtnl, name));
    if (!found) throw std::runtime_error("no link " + name.str());
    return *found;
  }

  void there(const FileResource& r) {
    struct stat st {};
    ASSERT_EQ(::lstat(r.path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | r.mode);
    EXPECT_EQ(must(readFile(r.path)), r.text);
  }
  void there(const NetnsResource& r) { EXPECT_TRUE(must(netnsPinned(r.name))); }
  void there(const SysctlsResource& r) {
    std::vector<std::string> keys;
    for (const auto& value : r.values) keys.push_back(value.first);
    EXPECT_EQ(must(getSysctls(at(r.netns).netns, keys)), r.values);
  }
  void there(const RulesetResource& r) {
    NftSocket nft = must(NftSocket::open(at(r.netns).netns));
    EXPECT_EQ(must(dumpRuleset(nft)), nft::canonical(r.ruleset));
  }
  void there(const BridgeResource& r) {
    const Link bridge = link(r.netns, r.name);
    EXPECT_EQ(bridge.kind, "bridge");
    EXPECT_EQ(bridge.mac, r.mac);
    EXPECT_EQ(bridge.mtu, r.mtu);
  }
  void there(const VethResource& r) {
    const Link inner = link(r.netns, r.name);
    EXPECT_EQ(inner.mac, r.mac);
    EXPECT_EQ(inner.mtu, r.mtu);
    const Link port = link(r.portNetns, r.portName);
    EXPECT_EQ(port.mac, portMac(r.mac));
    EXPECT_EQ(port.mtu, r.mtu);
    EXPECT_TRUE(port.up && port.carrier);
    EXPECT_EQ(port.master, link(r.portNetns, *r.portBridge).index);
    EXPECT_EQ(port.isolated, r.portIsolated);
    EXPECT_EQ(port.peerIndex, inner.index);
    ASSERT_TRUE(r.address);
    NftSocket nft = must(NftSocket::open(at(r.portNetns).netns));
    const auto known = must(dumpCountedRuleset(nft)).elements;
    for (const nft::SetElement& entry : guardEntries({r.portName, r.mac, *r.address}))
      EXPECT_EQ(std::ranges::count(known, entry), 1) << "the guard at the port";
  }
  void there(const NicResource& r) {
    EXPECT_EQ(link(r.netns, r.name).mac, r.mac);
    At host = at("");
    EXPECT_FALSE(must(findLink(host.rtnl, ifName(r.hostName))));
  }
  void there(const LinkUpResource& r) { EXPECT_TRUE(link(r.netns, r.name).up); }
  void there(const AddressResource& r) {
    At place = at(r.netns);
    const auto addresses = must(listAddresses(place.rtnl, r.interface));
    EXPECT_EQ(addresses.size(), 1u);
    EXPECT_EQ(addresses.at(0).address, r.address);
  }
  void there(const RouteResource& r) {
    At place = at(r.netns);
    const int index = link(r.netns, r.interface).index;
    const auto routes = must(listRoutes(place.rtnl));
    EXPECT_EQ(std::ranges::count_if(routes,
                                    [&](const Route& route) {
                                      return route.destination == r.destination &&
                                             route.gateway == r.gateway && route.index == index &&
                                             route.table == r.table &&
                                             route.type ==
                                                 (r.local ? RouteType::local : RouteType::unicast);
                                    }),
              1);
  }
  void there(const MarkRuleResource& r) {
    At place = at(r.netns);
    const auto rules = must(listRules(place.rtnl));
    EXPECT_EQ(
        std::ranges::count_if(
            rules, [&](const Rule& rule) { return rule.mark == r.mark && rule.table == r.table; }),
        1);
  }
  void there(const CgroupResource& r) {
    EXPECT_TRUE(cgroups_.exists(r.path));
    const CgroupLayout& layout = cgroups_.layout();
    const bool v1 = layout.version == CgroupLayout::Version::v1;
    const std::string memory = v1 ? layout.memory + "/orrery/" + r.path + "/memory.limit_in_bytes"
                                  : layout.unified + "/orrery/" + r.path + "/memory.max";
    EXPECT_EQ(must(readFile(memory)), std::to_string(r.limits.memory) + "\n");
  }
  void there(const SupervisorResource& r) {
    EXPECT_TRUE(pathExists(FakeSupervisors::mark(r.router)));
  }

  const CgroupTree& cgroups_;
};

TEST_P(Plans, AppliedIsWhatWasWantedAndRemovedIsWhatWasBefore) {
  must(run(creation(), spec().id));
  Observer observer(cgroups_);
  for (const Resource& resource : wanted()) observer.expect(resource);
  // Nothing else in its namespaces: no link that the plan did not make.
  for (const std::string& netns : {spec().id.text(), spec().id.egressText()}) {
    if (!must(netnsPinned(netns))) continue;
    Rtnl rtnl = must(Rtnl::open(must(openNetns(netns))));
    const auto links = std::ranges::count_if(wanted(), [&](const Resource& r) {
      const std::string* in = netnsOf(r);
      return in != nullptr && *in == netns && key(r).starts_with("link ");
    });
    EXPECT_EQ(linksOf(rtnl).size(), static_cast<std::size_t>(links)) << netns;
  }
  must(clear(spec()));
  expectAsBefore("removed");
}

TEST_P(Plans, AStepThatFailsLeavesWhatWasBefore) {
  const Plan plan = creation();
  for (std::size_t k = 0; k < plan.size(); ++k) {
    const Status failed = run(plan, spec().id, {Mishap::Kind::fails, k});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().err, EIO);
    EXPECT_NE(failed.error().message.find(toText(plan[k])), std::string::npos);
    EXPECT_TRUE(failed.error().also.empty())
        << "undo of " << toText(plan[k]) << ": " << failed.error().also.front().message;
    EXPECT_TRUE(must(readJournal(journalOf(spec().id))).empty());
    must(forgetRouter(spec().id, true));
    expectAsBefore("failed: " + toText(plan[k]));
    if (HasFatalFailure()) return;
  }
}

TEST_P(Plans, ADeathAtAnyStepIsTakenBackByTheJournal) {
  const Plan plan = creation();
  for (const auto kind : {Mishap::Kind::deathBefore, Mishap::Kind::deathAfter})
    for (std::size_t k = 0; k < plan.size(); ++k) {
      const std::string when = fmt::format(
          "{} {}", kind == Mishap::Kind::deathBefore ? "before" : "after", toText(plan[k]));
      ASSERT_TRUE(dies([&] { return run(plan, spec().id, {kind, k}); })) << when;
      must(clear(spec()));
      expectAsBefore(when);
      if (HasFatalFailure()) return;
    }
  must(run(plan, spec().id));  // and the next spawn completes
}

TEST_P(Plans, ADeathWhileItIsRemovedIsCompletedByTheNext) {
  std::size_t k = 0;
  for (bool died = true; died; ++k) {
    for (const auto kind : {Mishap::Kind::deathBefore, Mishap::Kind::deathAfter}) {
      must(run(creation(), spec().id));
      died = dies([&] { return clear(spec(), {kind, k}); });
      must(clear(spec()));
      expectAsBefore(fmt::format("removal, step {}", k));
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(k, 3u);
}

// The kernel may take its time with the namespace: who is cut off, and whose name is free, is
// decided when the removal returns.
TEST_P(Plans, RemovedItIsCutOffAndItsNameIsFree) {
  if (chain().size() == 1) return;  // its NIC is back: expectAsBefore
  const std::string above = chain()[chain().size() - 2].first.id.text();
  must(run(creation(), spec().id));
  // Held, so that nothing of it ends by itself.
  const NetnsFd held = must(openNetns(uplinkNetns(spec())));
  Rtnl rtnl = must(Rtnl::open(must(openNetns(above))));
  const int port = must(findLink(rtnl, ifName(spec().id.name)))->index;
  must(clear(spec()));
  for (const Link& link : must(listLinks(rtnl))) {
    EXPECT_NE(link.name, spec().id.name);
    if (link.index == port) {
      EXPECT_FALSE(link.up || link.carrier) << link.name;
    }
  }
  must(run(creation(), spec().id));  // at once
  must(clear(spec()));
}

// A supervisor that was killed leaves services whose own end is still under way.
TEST_P(Plans, ProcessesLeftInItsCgroupAreEnded) {
  must(run(creation(), spec().id));
  const std::string group = spec().id.network + "/" + spec().id.name;
  const pid_t left = ::fork();
  if (left == 0)
    for (;;) ::pause();
  const PidFd process = must(openPidfd(left));
  must(cgroups_.attach(group, left));
  EXPECT_EQ(must(cgroups_.members(group)), std::vector<pid_t>{left});
  must(clear(spec()));
  EXPECT_EQ(toText(must(waitExit(process))), "killed by SIGKILL");
  expectAsBefore("removed");
}

INSTANTIATE_TEST_SUITE_P(EachKind, Plans, ::testing::ValuesIn(chains()),
                         [](const auto& test) { return test.param.name; });

// --- what is somebody else's
// ----------------------------------------------------------------------

class Foreign : public Plans {
 protected:
  void expectRefused(const std::string& what, bool alsoIfKilled) {
    const auto held = snapshot();
    const Status refused = run(creation(), spec().id);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().err, EEXIST);
    EXPECT_NE(refused.error().message.find(what), std::string::npos) << refused.error().message;
    EXPECT_TRUE(refused.error().also.empty());
    must(forgetRouter(spec().id, true));
    sweepUplink();
    EXPECT_TRUE(same(held, snapshot()));
    if (!alsoIfKilled) return;
    for (std::size_t k = 0; k < creation().size(); ++k) {
      (void)::fflush(nullptr);
      const pid_t child = ::fork();
      if (child == 0) ::_exit(run(creation(), spec().id, {Mishap::Kind::deathBefore, k}) ? 0 : 1);
      int status = 0;
      (void)::waitpid(child, &status, 0);
      must(clear(spec()));
      sweepUplink();
      ASSERT_TRUE(same(held, snapshot())) << k;
      if (!WIFSIGNALED(status)) return;
    }
  }
};

TEST_P(Foreign, APinOfThatName) {
  const NetnsFd other = must(createNetns());
  const auto inode = must(netnsInode(other));
  must(pinNetns(other, spec().id.text()));
  expectRefused("network namespace " + spec().id.text(), true);
  EXPECT_EQ(must(netnsInode(must(openNetns(spec().id.text())))), inode);
  must(unpinNetns(spec().id.text()));
}

TEST_P(Foreign, AFileOfThatName) {
  const std::string path = reservationDirectory(chain().front().first.id) + "/10.0.0.2";
  must(makeDirectories(path.substr(0, path.rfind('/'))));
  must(writeFileAtomic(path, "02:00:00:00:00:01,10.0.0.2\n"));
  expectRefused("'" + path + "'", true);
  EXPECT_EQ(must(readFile(path)), "02:00:00:00:00:01,10.0.0.2\n");
  must(removeFile(path));
}

TEST_P(Foreign, APortOfThatNameOnTheUplinksBridge) {
  Rtnl rtnl = must(Rtnl::open(must(openNetns(chain().front().first.id.text()))));
  must(createBridge(rtnl, ifName(spec().id.name), mac("02:00:00:00:00:aa"), 1500));
  const auto links = linksOf(rtnl);
  expectRefused("veth uplink", true);
  EXPECT_EQ(linksOf(rtnl), links);
  must(deleteLink(rtnl, ifName(spec().id.name)));
}

INSTANTIATE_TEST_SUITE_P(Of, Foreign, ::testing::Values(chains()[2], chains()[3]),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace orrery::test
