#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <algorithm>
#include <array>
#include <memory>

#include "netns/conntrack/nudge.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

// Writes a UDP flow into the table of the thread's namespace, as if a packet had made it.
Status makeFlow(Ipv4 from, Ipv4 to, std::uint16_t port) {
  const std::unique_ptr<nfct_handle, int (*)(nfct_handle*)> handle(::nfct_open(CONNTRACK, 0),
                                                                   ::nfct_close);
  const std::unique_ptr<nf_conntrack, void (*)(nf_conntrack*)> flow(::nfct_new(), ::nfct_destroy);
  if (!handle || !flow) return sysError(errno, "open connection tracking");
  ::nfct_set_attr_u8(flow.get(), ATTR_L3PROTO, AF_INET);
  ::nfct_set_attr_u32(flow.get(), ATTR_IPV4_SRC, htonl(from.value));
  ::nfct_set_attr_u32(flow.get(), ATTR_IPV4_DST, htonl(to.value));
  ::nfct_set_attr_u8(flow.get(), ATTR_L4PROTO, IPPROTO_UDP);
  ::nfct_set_attr_u16(flow.get(), ATTR_PORT_SRC, htons(port));
  ::nfct_set_attr_u16(flow.get(), ATTR_PORT_DST, htons(53));
  ::nfct_setobjopt(flow.get(), NFCT_SOPT_SETUP_REPLY);
  ::nfct_set_attr_u32(flow.get(), ATTR_TIMEOUT, 100);
  if (::nfct_query(handle.get(), NFCT_Q_CREATE, flow.get()) != 0)
    return sysError(errno, "make a flow");
  return {};
}

class ConntrackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    must(inNetns(place_.netns, []() -> Status {
      for (std::uint16_t port = 1000; port < 1010; ++port)
        ORRERY_TRY(makeFlow(ip("10.0.0.2"), ip("192.0.2.1"), port));
      return makeFlow(ip("10.0.0.3"), ip("10.0.0.4"), 2000);
    }));
  }
  Place place_;
};

TEST_F(ConntrackTest, ListsFlowsAsTheyBegan) {
  Conntrack tracking = must(Conntrack::open(place_.netns));
  const auto flows = must(tracking.list());
  EXPECT_EQ(flows.size(), 11u);
  const TrackedFlow one{IPPROTO_UDP, ip("10.0.0.3"), ip("10.0.0.4"), 2000, 53};
  EXPECT_EQ(std::count(flows.begin(), flows.end(), one), 1);
}

TEST_F(ConntrackTest, ForgetsAllHereAndNothingElsewhere) {
  Place other;
  must(inNetns(other.netns, [] { return makeFlow(ip("10.0.0.2"), ip("192.0.2.1"), 1000); }));
  Conntrack here = must(Conntrack::open(place_.netns)), there = must(Conntrack::open(other.netns));
  EXPECT_EQ(must(here.list()).size(), 11u);
  must(here.forgetAll());
  EXPECT_EQ(must(here.list()).size(), 0u);
  EXPECT_EQ(must(there.list()).size(), 1u);
  must(here.forgetAll());
}

std::uint32_t sumOf(const NudgeSegment& segment, std::size_t from) {
  std::uint32_t sum = 0;
  for (std::size_t at = from; at < segment.size(); at += 2)
    sum += static_cast<std::uint32_t>(segment[at] << 8 | segment[at + 1]);
  return sum;
}

TEST(NudgeSegment, IsAnAcknowledgementInTheServersName) {
  const NudgeSegment segment =
      nudgeSegment({IPPROTO_TCP, ip("10.0.0.2"), ip("192.0.2.200"), 40000, 443});
  const std::array<std::uint8_t, 12> addresses{
      192, 0, 2, 200, 10, 0, 0, 2, 443 >> 8, 443 & 0xff, 40000 >> 8, 40000 & 0xff};
  EXPECT_TRUE(std::equal(addresses.begin(), addresses.end(), segment.begin() + 12));
  EXPECT_EQ(segment[33], 0x10);
  // RFC 1071: with its checksum a message sums up to 0xffff; the pseudo-head's protocol and length
  // are not in the segment.
  const std::uint32_t sum = sumOf(segment, 12) + IPPROTO_TCP + 20;
  EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffu);
}

TEST(TrackedFlow, RefusesWhatIsCutShort) {
  std::vector<std::byte> bytes(3);
  EXPECT_EQ(parseTrackedFlow(bytes).error().err, EBADMSG);
  bytes.resize(4);
  EXPECT_EQ(parseTrackedFlow(bytes).error().err, EAFNOSUPPORT);
  bytes[0] = std::byte{AF_INET};
  EXPECT_EQ(parseTrackedFlow(bytes).error().err, EBADMSG);
}

}  // namespace
}  // namespace orrery::test
