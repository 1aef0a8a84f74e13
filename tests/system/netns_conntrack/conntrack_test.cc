#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "netns/conntrack/forgotten.h"
#include "netns/conntrack/nudge.h"
#include "tests/system/netns_fixture.h"

namespace orrery::test {
namespace {

// Writes a flow into the table of the thread's namespace, as if packets had made it: UDP, or TCP in
// that state.
Status makeFlow(Ipv4 from, Ipv4 to, std::uint16_t port,
                std::optional<std::uint8_t> tcpState = std::nullopt) {
  const std::unique_ptr<nfct_handle, int (*)(nfct_handle*)> handle(::nfct_open(CONNTRACK, 0),
                                                                   ::nfct_close);
  const std::unique_ptr<nf_conntrack, void (*)(nf_conntrack*)> flow(::nfct_new(), ::nfct_destroy);
  if (!handle || !flow) return sysError(errno, "open connection tracking");
  ::nfct_set_attr_u8(flow.get(), ATTR_L3PROTO, AF_INET);
  ::nfct_set_attr_u32(flow.get(), ATTR_IPV4_SRC, htonl(from.value));
  ::nfct_set_attr_u32(flow.get(), ATTR_IPV4_DST, htonl(to.value));
  ::nfct_set_attr_u8(flow.get(), ATTR_L4PROTO, tcpState ? IPPROTO_TCP : IPPROTO_UDP);
  if (tcpState) ::nfct_set_attr_u8(flow.get(), ATTR_TCP_STATE, *tcpState);
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

// --- what is forgotten ---------------------------------------------------------------------------

constexpr std::uint16_t kEstablished = 5000;  // a port

class Forgotten : public ::testing::Test {
 protected:
  void makeAll() {
    must(inNetns(place_.netns, []() -> Status {
      ORRERY_TRY(makeFlow(ip("10.0.0.2"), ip("192.0.2.1"), 1000));
      for (std::uint8_t state = TCP_CONNTRACK_SYN_SENT; state <= TCP_CONNTRACK_CLOSE; ++state) {
        const bool open = state == TCP_CONNTRACK_ESTABLISHED;
        const auto port = open ? kEstablished : static_cast<std::uint16_t>(4000 + state);
        ORRERY_TRY(makeFlow(ip("10.0.0.2"), ip("192.0.2.1"), port, state));
      }
      return {};
    }));
    tracking_ = must(Conntrack::open(place_.netns));
    ASSERT_EQ(must(tracking_->list()).size(), 9u);
  }
  Place place_;
  std::optional<Conntrack> tracking_;
};

TEST_F(Forgotten, IsToldOfEstablishedTcpAndOfNothingElse) {
  ForgottenFlows forgotten = must(ForgottenFlows::watch(place_.netns));
  makeAll();
  EXPECT_TRUE(must(forgotten.read()).empty()) << "nothing is gone yet";
  must(tracking_->forgetAll());
  const TrackedFlow open{IPPROTO_TCP, ip("10.0.0.2"), ip("192.0.2.1"), kEstablished, 53};
  EXPECT_EQ(must(forgotten.read()), std::vector{open});
  EXPECT_TRUE(must(forgotten.read()).empty()) << "once";
}

TEST_F(Forgotten, IsToldOfItsOwnNamespaceOnly) {
  const Place other;
  ForgottenFlows forgotten = must(ForgottenFlows::watch(other.netns));
  makeAll();
  must(tracking_->forgetAll());
  EXPECT_TRUE(must(forgotten.read()).empty());
}

TEST(ParseForgotten, RefusesWhatIsCutShort) {
  nlmsghdr header{};
  header.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
  header.nlmsg_len = NLMSG_LENGTH(sizeof(nfgenmsg));
  std::vector<std::byte> bytes(header.nlmsg_len);
  std::memcpy(bytes.data(), &header, sizeof header);
  EXPECT_TRUE(must(parseForgotten(bytes)).empty()) << "of no family";
  bytes[sizeof header] = std::byte{AF_INET};
  EXPECT_EQ(parseForgotten(bytes).error().err, EBADMSG);
  bytes.pop_back();
  EXPECT_EQ(parseForgotten(bytes).error().err, EBADMSG);
}

// --- the nudge -----------------------------------------------------------------------------------

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
