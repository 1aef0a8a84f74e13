// The auditor on real links: what it sees, what it has, and that it says when it cannot say.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "netns/namespace/netns.h"
#include "routers/contract/frame_builder.h"
#include "runtime/audit/probes.h"
#include "runtime/audit/process.h"
#include "runtime/audit/ring.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "tests/system/netns_fixture.h"

namespace orrery::audit {
namespace {

using namespace test;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{20000};
const std::string kSession = "0123456789abcd";

// Two namespaces and a cable: "near" is the router's end, "far" the other.
struct Cable {
  Place near, far;
  Cable() {
    for (Place* place : {&near, &far}) must(setSysctls(place->netns, quiet()));
    VethEnd port, peer;
    port.name = ifName("near");
    port.mac = mac("02:00:00:00:00:01");
    peer.name = ifName("far");
    peer.mac = mac("02:00:00:00:00:02");
    peer.netns = &far.netns;
    must(createVeth(near.rtnl, port, peer, 1500));
    must(setLinkUp(near.rtnl, ifName("near")));
    must(setLinkUp(far.rtnl, ifName("far")));
  }
  static std::vector<Sysctl> quiet() {
    return {{"ipv6/conf/all/disable_ipv6", "1"}, {"ipv6/conf/default/disable_ipv6", "1"}};
  }
  UniqueFd ring(Place& place, const char* link) {
    const IfName name = ifName(link);
    return must(inNetns(place.netns, [&] { return openRing(name); }));
  }
  void send(const frame::Bytes& frame) { sendBy(near, "near", frame); }
  void answer(const frame::Bytes& frame) { sendBy(far, "far", frame); }

 private:
  static void sendBy(Place& place, const char* link, const frame::Bytes& frame) {
    must(sendFrames(place.netns, ifName(link), {{"test", "test", {frame}}}));
  }
};

frame::Bytes udpFrame(const char* source, const char* destination, const std::string& data = "x") {
  frame::Ipv4Header header;
  header.source = ip(source);
  header.destination = ip(destination);
  return frame::ethernet(mac("02:00:00:00:00:02"), mac("02:00:00:00:00:01"), frame::kIpv4,
                         frame::udp(header, 4000, 1194, data));
}

// 10.0.0.7 may speak to 198.18.1.10 at UDP 1194.
LinkContract contract() {
  LinkContract link;
  link.mac = mac("02:00:00:00:00:01");
  link.allowed.push_back({.name = "server",
                          .source = {"own", {prefix("10.0.0.7/32")}, {}},
                          .destination = {"server", {prefix("198.18.1.10/32")}, {}},
                          .protocols = {17},
                          .destinationPort = 1194});
  return link;
}

AuditorProcess startAuditor(std::vector<Watch> watches) {
  const AuditorHome home{std::string(ORRERY_BINARY_DIR) + "/bin", IdRange{0x7ff00000, 2}};
  return must(AuditorProcess::start(std::move(watches), kSession, home));
}

AuditorProcess startAt(Cable& cable, bool farEnd, bool probesMayPass = false) {
  std::vector<Watch> watches;
  UniqueFd ring = farEnd ? cable.ring(cable.far, "far") : cable.ring(cable.near, "near");
  watches.push_back({{"uplink", contract(), farEnd, probesMayPass}, std::move(ring)});
  return startAuditor(std::move(watches));
}

// All that was sent before is in the next report.
LinkReport reportOf(Cable& cable, AuditorProcess& auditor) {
  must(sendMarker(cable.near.netns, ifName("near"), kSession, 1));
  must(auditor.awaitMarker(0, 1, kPatience));
  return must(auditor.report(kPatience)).front();
}

std::string statusOf(const std::string& process, std::string_view name) {
  const std::string text = must(readFile(process + "/status"));
  for (const std::string_view line : split(text, '\n'))
    if (line.starts_with(name)) return std::string(trim(line.substr(name.size())));
  return "";
}

std::string auditorProcess() {
  for (const std::string& name : must(listDirectory("/proc"))) {
    const std::string process = "/proc/" + name;
    const auto comm = readFile(process + "/comm");
    if (comm && trim(*comm) == "orrery-auditor" &&
        statusOf(process, "PPid:") == std::to_string(::getpid()))
      return process;
  }
  throw std::runtime_error("no auditor runs");
}

TEST(Ring, SeesBothDirectionsWholeAndInOrder) {
  Cable cable;
  PacketRing ring = must(PacketRing::adopt(cable.ring(cable.near, "near")));
  cable.send(udpFrame("10.0.0.7", "198.18.1.10", std::string(1000, 'x')));
  cable.answer(udpFrame("198.18.1.10", "10.0.0.7"));
  pollfd item{ring.fd(), POLLIN, 0};
  std::vector<bool> directions;
  RingFrame frame;
  while (directions.size() < 2 && ::poll(&item, 1, 20000) == 1)
    while (ring.next(frame)) {
      directions.push_back(frame.outgoing);
      EXPECT_GE(frame.bytes.size(), std::min(frame.length, kSnap));
      EXPECT_GT(frame.time, 1'600'000'000'000'000'000);
      if (frame.outgoing) {
        EXPECT_EQ(frame.length, 1042u);
      }
    }
  EXPECT_EQ(directions, (std::vector<bool>{true, false}));
  EXPECT_EQ(must(ring.lost()), 0u);
}

TEST(Auditor, AllowsWhatTheContractAllows) {
  Cable cable;
  AuditorProcess auditor = startAt(cable, true);
  for (int i = 0; i < 100; ++i) cable.send(udpFrame("10.0.0.7", "198.18.1.10"));
  const LinkReport report = reportOf(cable, auditor);
  EXPECT_EQ(report.frames, 100u);
  EXPECT_EQ(report.lost, 0u);
  EXPECT_TRUE(report.violations.empty());
}

TEST(Auditor, TellsALeakAndKeepsItsBytes) {
  Cable cable;
  AuditorProcess auditor = startAt(cable, true);
  const frame::Bytes leak = udpFrame("10.1.1.2", "198.18.1.10", "secret");
  cable.send(udpFrame("10.0.0.7", "198.18.1.10"));
  for (int i = 0; i < 3; ++i) cable.send(leak);
  const LinkReport report = reportOf(cable, auditor);
  EXPECT_EQ(report.frames, 4u);
  ASSERT_EQ(report.violations.size(), 1u);
  const Violation& violation = report.violations.front();
  EXPECT_EQ(violation.breach, Breach::source);
  EXPECT_EQ(violation.count, 3u);
  EXPECT_EQ(violation.bytes, leak);
  EXPECT_EQ(violation.first, "UDP 10.1.1.2:4000 > 198.18.1.10:1194, 48 bytes");
}

TEST(Auditor, TellsAProbeThatWearsTheTunnelsClothes) {
  for (const bool mayPass : {false, true}) {
    Cable cable;
    AuditorProcess auditor = startAt(cable, true, mayPass);
    cable.send(udpFrame("10.0.0.7", "198.18.1.10", probeMark(kSession, 5)));
    const LinkReport report = reportOf(cable, auditor);
    EXPECT_THAT(report.passed, testing::ElementsAre(5));
    EXPECT_EQ(report.violations.empty(), mayPass);
  }
}

// Positive control of the count: a ring that nobody empties loses frames, and says so.
TEST(Auditor, SaysWhenFramesWereLost) {
  Cable cable;
  UniqueFd ring = cable.ring(cable.near, "near");
  const frame::Bytes frame = udpFrame("10.0.0.7", "198.18.1.10");
  const Probe many{"test", "test", std::vector<frame::Bytes>(kRingBytes / kSlot + 100, frame)};
  must(sendFrames(cable.near.netns, ifName("near"), {many}));
  std::vector<Watch> watches;
  watches.push_back({{"uplink", contract(), false, true}, std::move(ring)});
  AuditorProcess auditor = startAuditor(std::move(watches));
  EXPECT_GE(must(auditor.report(kPatience)).front().lost, 100u);
}

// By itself and at once, then in sums, and whatever it was asked meanwhile.
TEST(Auditor, TellsOfLostFramesByItself) {
  Cable cable;
  AuditorProcess auditor = startAt(cable, false, true);
  const Probe many{
      "test", "test",
      std::vector<frame::Bytes>(kRingBytes / kSlot + 100, udpFrame("10.0.0.7", "198.18.1.10"))};
  const auto loseSome = [&] {
    const pid_t pid = std::stoi(auditorProcess().substr(std::string("/proc/").size()));
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
    must(sendFrames(cable.near.netns, ifName("near"), {many}));
    ASSERT_EQ(::kill(pid, SIGCONT), 0);
  };
  loseSome();
  const Json first = must(auditor.nextLine(kPatience));
  EXPECT_EQ(first.text("event"), "lost");
  EXPECT_EQ(first.text("link"), "uplink");
  EXPECT_GE(first.integer("frames"), 100);
  loseSome();
  const LinkReport report = must(auditor.report(kPatience)).front();
  std::int64_t told = first.integer("frames");
  while (auditor.hasLine()) told += must(auditor.nextLine(kPatience)).integer("frames");
  EXPECT_GE(told, 200);
  EXPECT_EQ(report.lost, static_cast<std::uint64_t>(told)) << "each is told once";
}

TEST(Auditor, OutlivesALinkThatGoesAway) {
  Cable cable;
  AuditorProcess auditor = startAt(cable, false);
  cable.send(udpFrame("10.1.1.2", "198.18.1.10"));
  must(deleteLink(cable.near.rtnl, ifName("near")));
  const LinkReport report = must(auditor.report(kPatience)).front();
  EXPECT_EQ(report.violations.size(), 1u);
}

// The router's address changes: frames ahead of the news and behind it are no leak, another one is.
TEST(Auditor, TakesNewContractsWhileItWatches) {
  Cable cable;
  std::vector<Watch> watches;
  watches.push_back({{"uplink", contract(), true, true}, cable.ring(cable.far, "far")});
  const AuditorHome home{std::string(ORRERY_BINARY_DIR) + "/bin", IdRange{0x7ff00000, 2}};
  // Longer than the test takes: the report settles what is held back.
  AuditorProcess auditor =
      must(AuditorProcess::start(std::move(watches), kSession, home, milliseconds(60000)));
  LinkContract moved = contract();
  moved.allowed.front().source.among = {prefix("10.0.0.8/32")};
  cable.send(udpFrame("10.0.0.8", "198.18.1.10"));
  cable.send(udpFrame("10.0.0.66", "198.18.1.10"));
  must(sendMarker(cable.near.netns, ifName("near"), kSession, 9));
  must(auditor.awaitMarker(0, 9, kPatience));
  must(auditor.setContracts({moved}, kPatience));
  cable.send(udpFrame("10.0.0.7", "198.18.1.10"));
  cable.send(udpFrame("10.0.0.8", "198.18.1.10"));
  const LinkReport report = reportOf(cable, auditor);
  EXPECT_EQ(report.frames, 4u);
  ASSERT_EQ(report.violations.size(), 1u);
  EXPECT_EQ(report.violations.front().count, 1u);
  EXPECT_THAT(report.violations.front().first, testing::HasSubstr("10.0.0.66"));
  EXPECT_EQ(must(auditor.nextLine(kPatience)).text("event"), "violation") << "told, too";
}

TEST(Auditor, TellsAHeldBackLeakByItself) {
  Cable cable;
  std::vector<Watch> watches;
  watches.push_back({{"uplink", contract(), true, true}, cable.ring(cable.far, "far")});
  const AuditorHome home{std::string(ORRERY_BINARY_DIR) + "/bin", IdRange{0x7ff00000, 2}};
  AuditorProcess auditor =
      must(AuditorProcess::start(std::move(watches), kSession, home, milliseconds(50)));
  cable.send(udpFrame("10.0.0.66", "198.18.1.10"));
  EXPECT_EQ(must(auditor.nextLine(kPatience)).text("event"), "violation");
}

TEST(Auditor, HasNothingButItsRings) {
  Cable cable;
  const AuditorProcess auditor = startAt(cable, true);
  const std::string process = auditorProcess();
  EXPECT_EQ(statusOf(process, "CapEff:"), "0000000000000000");
  EXPECT_EQ(statusOf(process, "CapBnd:"), "0000000000000000");
  EXPECT_EQ(statusOf(process, "NoNewPrivs:"), "1");
  EXPECT_EQ(statusOf(process, "Seccomp:"), "2");
  EXPECT_THAT(statusOf(process, "Uid:"), testing::HasSubstr(std::to_string(0x7ff00001)));
  const std::string routes = must(readFile(process + "/net/dev"));
  EXPECT_THAT(routes, testing::Not(testing::HasSubstr("near"))) << "a namespace of its own";
}

}  // namespace
}  // namespace orrery::audit
