#include <algorithm>
#include <atomic>
#include <thread>

#include "netns/neigh/neigh.h"
#include "netns/route/route.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

bool has(const std::vector<RtnlEvent>& events, const RtnlEvent& wanted) {
  return std::ranges::find(events, wanted) != events.end();
}

// Whether all come; carrier is told from a work queue, at once or later.
bool allCome(RtnlMonitor& monitor, const std::vector<RtnlEvent>& wanted) {
  std::vector<RtnlEvent> seen;
  pollfd p{monitor.fd(), POLLIN, 0};
  while (!std::ranges::all_of(wanted, [&](const RtnlEvent& e) { return has(seen, e); })) {
    if (::poll(&p, 1, 3000) != 1) return false;
    const auto more = must(monitor.read());
    seen.insert(seen.end(), more.begin(), more.end());
  }
  return true;
}

TEST(Monitor, TellsWhatChanged) {
  Place a, b;
  RtnlMonitor monitor = must(RtnlMonitor::open(a.netns));
  EXPECT_TRUE(must(monitor.read()).empty());
  must(createVeth(a.rtnl, {.name = ifName("p0"), .mac = mac("02:00:00:00:00:01"), .up = true},
                  {.name = ifName("p1"), .mac = mac("02:00:00:00:00:02"), .up = true}, 1500));
  const int p0 = a.link("p0").index;
  const int p1 = a.link("p1").index;
  EXPECT_TRUE(has(must(monitor.read()), LinkChanged{p0, "p0", true, true, 0}));
  must(addAddress(a.rtnl, ifName("p0"), prefix("10.0.0.1/24")));
  auto events = must(monitor.read());
  EXPECT_TRUE(has(events, AddressAdded{p0, prefix("10.0.0.1/24")}));
  EXPECT_TRUE(
      has(events, RouteChanged{false, prefix("10.0.0.0/24"), std::nullopt, p0, kMainTable}));
  must(addRoute(
      a.rtnl,
      {.destination = prefix("0.0.0.0/0"), .gateway = ip("10.0.0.2"), .interface = ifName("p0")}));
  EXPECT_TRUE(has(must(monitor.read()),
                  RouteChanged{false, prefix("0.0.0.0/0"), ip("10.0.0.2"), p0, kMainTable}));
  must(setPermanentNeighbour(a.rtnl, ifName("p0"), ip("10.0.0.2"), mac("02:00:00:00:00:02")));
  EXPECT_TRUE(has(must(monitor.read()),
                  NeighbourChanged{false, p0, ip("10.0.0.2"), mac("02:00:00:00:00:02"), 0x80}));
  must(deleteAddress(a.rtnl, ifName("p0"), prefix("10.0.0.1/24")));
  EXPECT_TRUE(has(must(monitor.read()), AddressRemoved{p0, prefix("10.0.0.1/24")}));
  must(setLinkDown(a.rtnl, ifName("p1")));
  EXPECT_TRUE(allCome(
      monitor, {LinkChanged{p1, "p1", false, false, 0}, LinkChanged{p0, "p0", true, false, 0}}));
  must(moveLink(a.rtnl, ifName("p1"), b.netns));
  EXPECT_TRUE(has(must(monitor.read()), LinkRemoved{p1, "p1"}));
  must(deleteLink(a.rtnl, ifName("p0")));
  EXPECT_TRUE(has(must(monitor.read()), LinkRemoved{p0, "p0"}));
}

TEST(Monitor, LeavingABridgeIsNotTheEndOfALink) {
  Place a;
  must(createBridge(a.rtnl, ifName("br0"), mac("00:00:10:00:00:01"), 1500, true));
  must(createVeth(a.rtnl,
                  {.name = ifName("p0"), .mac = mac("02:00:00:00:00:01"), .bridge = ifName("br0")},
                  {.name = ifName("p1"), .mac = mac("02:00:00:00:00:02")}, 1500));
  RtnlMonitor monitor = must(RtnlMonitor::open(a.netns));
  must(setLinkMaster(a.rtnl, ifName("p0"), std::nullopt));
  for (const RtnlEvent& event : must(monitor.read()))
    EXPECT_FALSE(std::holds_alternative<LinkRemoved>(event));
}

TEST(Monitor, WakesByItsDescriptor) {
  Place a;
  RtnlMonitor monitor = must(RtnlMonitor::open(a.netns));
  pollfd p{monitor.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 0), 0);
  must(setLinkUp(a.rtnl, ifName("lo")));
  EXPECT_EQ(::poll(&p, 1, 3000), 1);
}

TEST(Monitor, OverflowIsAnEvent) {
  Place a;
  RtnlMonitor monitor = must(RtnlMonitor::open(a.netns));
  const int small = 2304;  // the kernel's least
  ASSERT_EQ(::setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  for (unsigned i = 0; i < 50; ++i) must(setLinkMtu(a.rtnl, ifName("lo"), 1000 + i));
  EXPECT_TRUE(has(must(monitor.read()), Overflow{}));
  // And it goes on.
  const int large = 1 << 20;
  ASSERT_EQ(::setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &large, sizeof large), 0);
  must(setLinkUp(a.rtnl, ifName("lo")));
  const auto events = must(monitor.read());
  EXPECT_TRUE(has(events, LinkChanged{1, "lo", true, true, 0}));
  EXPECT_FALSE(has(events, Overflow{}));
}

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Changes something in a namespace every few milliseconds, until it is destroyed.
class Restless {
 public:
  Restless(Place& place, int changes)
      : thread_([this, &place, changes] {
          Rtnl own = must(Rtnl::open(place.netns));  // the place's is the test's
          for (int i = 0; !ended_ && i < changes; ++i) {
            must(setLinkMtu(own, ifName("lo"), 1000 + static_cast<unsigned>(i % 100)));
            (void)::poll(nullptr, 0, 5);
          }
          done_ = Clock::now();
        }) {}
  ~Restless() {
    ended_ = true;
    thread_.join();
  }
  Clock::time_point done() {
    thread_.join();
    thread_ = std::thread([] {});
    return done_;
  }

 private:
  std::atomic<bool> ended_ = false;
  Clock::time_point done_;
  std::thread thread_;
};

TEST(Monitors, ABurstIsOverWhenNoneTellsAnything) {
  constexpr milliseconds kQuiet{200};
  std::vector<Place> places(10);
  std::vector<RtnlMonitor> monitors;
  for (Place& place : places) monitors.push_back(must(RtnlMonitor::open(place.netns)));
  Clock::time_point last;
  {
    Restless restless(places.back(), 30);
    for (Place& place : places) must(setLinkUp(place.rtnl, ifName("lo")));
    must(awaitQuiet(monitors, kQuiet, milliseconds(60000)));
    last = restless.done();
  }
  const auto after = Clock::now() - last;
  EXPECT_GE(after, milliseconds(100)) << "not before the last change";
  EXPECT_LT(after, 10 * kQuiet) << "one wait for all, not one for each of the ten";
  for (RtnlMonitor& monitor : monitors) EXPECT_TRUE(must(monitor.read()).empty()) << "all is read";
}

TEST(Monitors, ABurstWithoutAnEndIsCut) {
  std::vector<Place> places(2);
  std::vector<RtnlMonitor> monitors;
  for (Place& place : places) monitors.push_back(must(RtnlMonitor::open(place.netns)));
  const Restless restless(places.front(), 100000);
  const auto begun = Clock::now();
  must(awaitQuiet(monitors, milliseconds(5000), milliseconds(300)));
  EXPECT_LT(Clock::now() - begun, milliseconds(4000));
}

}  // namespace
}  // namespace orrery::test
