// Supervisors: start, stop, death, adoption, restart.
#include <unistd.h>

#include "routers/services/service_spec.h"
#include "tests/system/engine/supervised.h"

namespace orrery::test {
namespace {

// --- start, status, stop
// --------------------------------------------------------------------------

TEST_F(Supervised, StartsAnswersAndStops) {
  spawn();
  const RouterState state = status();
  EXPECT_EQ(state.phase, RouterPhase::ready);
  EXPECT_EQ(state.supervisorPid, supervisor());
  ASSERT_EQ(state.services.size(), 1u);
  EXPECT_EQ(state.services[0].name, "dnsmasq");
  const auto sockets = must(listSockets(must(openNetns(paths_.lanNetns))));
  for (const int port : {53, 67})
    EXPECT_TRUE(std::ranges::any_of(sockets, [&](const SocketInfo& s) {
      return s.protocol == SocketProtocol::udp && s.localPort == port;
    })) << port;

  const Network network = networkOf(paths_.lanNetns);
  const PidFd process = must(openPidfd(supervisor()));
  const PidFd service = must(openPidfd(state.services[0].pid));
  {
    auto client = must(ControlClient::connect(paths_.control));
    const auto reply = client.request({.verb = std::string(verb::kStop)}, after(kPatience));
    EXPECT_TRUE(reply) << reply.error().message;
  }
  EXPECT_TRUE(must(waitGone(process, kPatience)));
  EXPECT_TRUE(must(waitGone(service, kPatience)));
  EXPECT_EQ(networkOf(paths_.lanNetns), network) << "the network outlives its processes";
  spawn();
  EXPECT_EQ(networkOf(paths_.lanNetns), network);
  EXPECT_EQ(status().phase, RouterPhase::ready);
}

TEST_F(Supervised, ThePortalAnswersAndVanishes) {
  spawn();
  struct stat st {};
  ASSERT_EQ(::lstat(paths_.portalDir.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  ASSERT_EQ(::lstat(paths_.portalStatus.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFREG | 0644u);
  ASSERT_EQ(::lstat(paths_.portalSocket.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFSOCK | 0600u);
  EXPECT_NE(must(readFile(paths_.portalStatus)).find("ready"), std::string::npos);

  auto client = must(ControlClient::connect(paths_.portalSocket));
  const auto ask = [&](std::string_view what) {
    return client.request({.verb = std::string(what)}, after(kPatience));
  };
  EXPECT_EQ(must(stateFromJson(must(ask(verb::kStatus)))).id, galaxy_);
  const std::int32_t old = status().services.at(0).pid;
  const PidFd service = must(openPidfd(old));
  EXPECT_TRUE(ask(verb::kReset));
  EXPECT_TRUE(must(waitGone(service, kPatience)));
  Watch watch(paths_.runDir);
  EXPECT_TRUE(watch.until([&] {
    const auto state = parseState(must(readFile(paths_.state)));
    return state && state->phase == RouterPhase::ready && state->services.at(0).pid != 0 &&
           state->services.at(0).pid != old;
  }));
  EXPECT_FALSE(ask(verb::kStop)) << "the portal's owner may not stop a router";

  EXPECT_EQ(routerctl("destroy", "galaxy3").code, 0);
  EXPECT_FALSE(pathExists(paths_.portalDir));
}

// --- what dnsmasq is told
// --------------------------------------------------------------------------

// The end of a process with an inotify instance waits for grace periods, and each destroy for it.
std::size_t inotifyInstances(pid_t pid) {
  std::size_t found = 0;
  const std::string directory = fmt::format("/proc/{}/fd", pid);
  for (const std::string& number : must(listDirectory(directory))) {
    char target[256] = {};
    if (::readlink((directory + "/" + number).c_str(), target, sizeof target - 1) > 0 &&
        std::string_view(target) == "anon_inode:inotify")
      ++found;
  }
  return found;
}

TEST_F(Supervised, DnsmasqIsToldOfReservationsAndWatchesNothing) {
  spawn();
  const std::string path = dnsmasqHostsPath(universe_);
  Watch watch(path.substr(0, path.rfind('/')));
  const auto told = [&] {
    return readFile(path).value_or("").find("10.0.0.2\n") != std::string::npos;
  };
  EXPECT_TRUE(watch.until(told)) << readFile(path).value_or("");
  EXPECT_EQ(inotifyInstances(status().services.at(0).pid), 0u);
  ASSERT_EQ(routerctl("destroy", "galaxy3").code, 0);
  EXPECT_TRUE(watch.until([&] { return !told(); })) << readFile(path).value_or("");
}

// --- deaths
// ---------------------------------------------------------------------------------------

TEST_F(Supervised, ASuccessorAdoptsTheNetwork) {
  spawn();
  const std::string above = RouterPaths(universe_).lanNetns;
  const Network lan = networkOf(paths_.lanNetns);
  const Network uplink = networkOf(above);
  const auto portCounters = [&] {
    Rtnl rtnl = must(Rtnl::open(must(openNetns(above))));
    return must(findLink(rtnl, ifName("galaxy3")))->counters;
  };
  // One packet up to the universe, so that there is something to forget.
  Udp udp(must(openNetns(paths_.lanNetns)), "10.0.0.2", 5000);
  ASSERT_TRUE(udp.send("x", "10.0.0.1", 53));
  const auto counted = portCounters().rxPackets;
  EXPECT_GT(counted, 0u);

  const pid_t old = supervisor();
  const PidFd service = must(openPidfd(status().services.at(0).pid));
  const PidFd process = must(openPidfd(old));
  (void)must(sendSignal(process, SIGKILL));
  EXPECT_TRUE(must(waitGone(service, kPatience))) << "services die with their supervisor";
  ASSERT_TRUE(awaitSuccessor(old));
  EXPECT_EQ(status().phase, RouterPhase::ready);
  EXPECT_EQ(networkOf(paths_.lanNetns), lan);
  EXPECT_EQ(networkOf(above), uplink);
  EXPECT_GE(portCounters().rxPackets, counted);
}

TEST_F(Supervised, AKeeperIsReplaced) {
  spawn();
  const pid_t old = keeper();
  ASSERT_GT(old, 0);
  const PidFd process = must(openPidfd(old));
  Watch watch(paths_.runDir + "/life");
  (void)must(sendSignal(process, SIGKILL));
  ASSERT_TRUE(watch.until([&] { return keeper() != old; }));
  // And the new one does its duty.
  const pid_t first = supervisor();
  (void)must(sendSignal(must(openPidfd(first)), SIGKILL));
  EXPECT_TRUE(awaitSuccessor(first));
}

TEST_F(Supervised, SpawnBringsBackARouterThatLostBoth) {
  spawn();
  const Network lan = networkOf(paths_.lanNetns);
  killBoth();
  const Outcome swept = routerctl("gc");
  EXPECT_EQ(swept.code, 0) << swept;
  EXPECT_EQ(networkOf(paths_.lanNetns), lan) << "gc leaves what is whole";
  spawn();
  EXPECT_EQ(status().phase, RouterPhase::ready);
  EXPECT_EQ(networkOf(paths_.lanNetns), lan);
}

TEST_F(Supervised, DestroyTakesAwayARouterThatLostBoth) {
  spawn();
  killBoth();
  const Outcome down = routerctl("destroy", "galaxy3");
  EXPECT_EQ(down.code, 0) << down;
  EXPECT_FALSE(pathExists(paths_.runDir));
}

TEST_F(Supervised, DestroyWhileASuccessorIsOnItsWay) {
  for (int round = 0; round < 5; ++round) {
    spawn();
    (void)must(sendSignal(must(openPidfd(supervisor())), SIGKILL));
    const Outcome down = routerctl("destroy", "--all");
    ASSERT_EQ(down.code, 0) << down;
    ASSERT_TRUE(same(before_, (reapOrphans(), snapshot()))) << "round " << round;
  }
}

TEST_F(Supervised, DeathsInARowPauseLonger) {
  spawn();
  milliseconds last{0};
  for (int death = 1; death <= 4; ++death) {
    const pid_t old = supervisor();
    const auto killed = Clock::now();
    (void)must(sendSignal(must(openPidfd(old)), SIGKILL));
    ASSERT_TRUE(awaitSuccessor(old));
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - killed);
    const milliseconds pause{100 << (death - 1)};
    EXPECT_GE(took, pause);
    last = took;
  }
  EXPECT_GE(last, milliseconds(800));
}

TEST_F(Supervised, AStartThatFailsSaysWhyAndLeavesNothing) {
  SupervisorProcesses processesOf(std::string(ORRERY_BINARY_DIR) + "/bin/orrery-supervisor");
  must(makeDirectories(paths_.runDir));
  std::vector<std::string> running = processes();
  const auto expectWhy = [&](const std::string& why) {
    const Status started = processesOf.start(galaxy_);
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find(why), std::string::npos) << started.error().message;
    EXPECT_EQ(must(readIncarnation(galaxy_)), "");
    EXPECT_EQ(routerProcesses(), running);
  };
  expectWhy("router.json");
  must(writeFileAtomic(paths_.spec, "{}"));
  expectWhy("router.json");
  must(removeTree(paths_.runDir));
  spawn();
  killBoth();
  running = routerProcesses();
  const std::string placement = must(readFile(placementPath(galaxy_)));
  must(writeFileAtomic(placementPath(galaxy_), "{}"));
  expectWhy("placement.json");
  must(
      writeFileAtomic(placementPath(galaxy_), "{\"schema\":\"orrery.placement/1\",\"idSlot\":-1}"));
  expectWhy("id slot -1");
}

// --- restart
// --------------------------------------------------------------------------------------

TEST_F(Supervised, RestartKeepsTheNetworkOfARouterThatIsAnUplink) {
  spawn();
  const std::string above = RouterPaths(universe_).lanNetns;
  const Network uplink = networkOf(above);
  const pid_t old = pidIn(supervisorMarkPath(universe_));
  std::uint64_t journal = 0;
  for (int round = 0; round < 3; ++round) {
    const Outcome again = routerctl("restart", "universe0");
    ASSERT_EQ(again.code, 0) << again;
    EXPECT_EQ(networkOf(above), uplink);
    const auto size = must(readFile(RouterPaths(universe_).journal)).size();
    if (round > 0) {
      EXPECT_EQ(size, journal) << "it does not grow";
    }
    journal = size;
  }
  EXPECT_NE(pidIn(supervisorMarkPath(universe_)), old);
  EXPECT_EQ(status().phase, RouterPhase::ready);
}

TEST_F(Supervised, RestartAppliesANewDefinition) {
  spawn();
  const auto inode = networkOf(paths_.lanNetns).inode;
  must(writeFileAtomic(kDefinition, definition("mtu = 1400\n")));
  Outcome changed = routerctl("spawn", kDefinition);
  EXPECT_NE(changed.code, 0) << "spawn does not change what runs";
  changed = routerctl("restart", "galaxy3", "--definition", kDefinition);
  ASSERT_EQ(changed.code, 0) << changed;
  const Network lan = networkOf(paths_.lanNetns);
  EXPECT_EQ(lan.inode, inode);
  EXPECT_TRUE(std::ranges::any_of(lan.links, [](const std::string& link) {
    return link.starts_with("galaxy3 bridge") && link.find(" 1400 ") != std::string::npos;
  })) << ::testing::PrintToString(lan.links);
  EXPECT_EQ(routerctl("spawn", kDefinition).code, 0) << "now it runs as defined";

  // What others hang on is not pulled away from under them.
  const Network uplink = networkOf(RouterPaths(universe_).lanNetns);
  must(writeFileAtomic(kDefinition, definition("mtu = 1400\n", "10.0.0.254/24")));
  const Outcome refused = routerctl("restart", "universe0", "--definition", kDefinition);
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("'galaxy3' hangs on"), std::string::npos) << refused;
  EXPECT_EQ(networkOf(RouterPaths(universe_).lanNetns), uplink);
  must(writeFileAtomic(kDefinition, definition()));
}

// Whenever a restart is killed, the next one completes it.
TEST_F(Supervised, RestartSurvivesADeathAtAnyTime) {
  spawn();
  const auto inode = networkOf(paths_.lanNetns).inode;
  const auto uplink = networkOf(RouterPaths(universe_).lanNetns);
  const auto mtuOf = [](int round) { return round % 2 == 0 ? 1400 : 1440; };
  for (int round = 0; round < 12; ++round) {
    must(writeFileAtomic(kDefinition, definition(fmt::format("mtu = {}\n", mtuOf(round)))));
    const std::vector<std::string> arguments{"restart", "galaxy3", "--definition", kDefinition};
    Command command(arguments);
    constexpr int kStepMs = 3;
    (void)::poll(nullptr, 0, round * kStepMs);  // so far it gets: any point will do
    command.kill();
    (void)command.wait();
    const Outcome again = Command(arguments).wait();
    ASSERT_EQ(again.code, 0) << "round " << round << ": " << again;
    const Network lan = networkOf(paths_.lanNetns);
    EXPECT_EQ(lan.inode, inode);
    EXPECT_EQ(std::ranges::count_if(lan.links,
                                    [&](const std::string& link) {
                                      return link ==
                                             fmt::format("galaxy3 bridge 00:00:10:01:04:fe {} up",
                                                         mtuOf(round));
                                    }),
              1)
        << ::testing::PrintToString(lan.links);
    Rtnl rtnl = must(Rtnl::open(must(openNetns(paths_.lanNetns))));
    EXPECT_EQ(must(listAddresses(rtnl, ifName("galaxy3"))).size(), 1u);
    EXPECT_EQ(networkOf(RouterPaths(universe_).lanNetns), uplink);
    EXPECT_EQ(status().phase, RouterPhase::ready);
  }
  must(writeFileAtomic(kDefinition, definition()));
}

}  // namespace
}  // namespace orrery::test
