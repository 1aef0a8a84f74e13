#include "netns/observe/conntrack.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <memory>

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

class Conntrack : public ::testing::Test {
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

TEST_F(Conntrack, FlushForgetsAllHereAndNothingElsewhere) {
  Place other;
  must(inNetns(other.netns, [] { return makeFlow(ip("10.0.0.2"), ip("192.0.2.1"), 1000); }));
  EXPECT_EQ(must(countConntrack(place_.netns)), 11u);
  must(flushConntrack(place_.netns));
  EXPECT_EQ(must(countConntrack(place_.netns)), 0u);
  EXPECT_EQ(must(countConntrack(other.netns)), 1u);
  must(flushConntrack(place_.netns));
}

TEST_F(Conntrack, DeleteForgetsOneAddress) {
  EXPECT_EQ(must(deleteConntrackOf(place_.netns, ip("10.0.0.9"))), 0u);
  EXPECT_EQ(must(deleteConntrackOf(place_.netns, ip("10.0.0.2"))), 10u);
  EXPECT_EQ(must(countConntrack(place_.netns)), 1u);
  EXPECT_EQ(must(deleteConntrackOf(place_.netns, ip("10.0.0.4"))), 1u);
  EXPECT_EQ(must(countConntrack(place_.netns)), 0u);
}

}  // namespace
}  // namespace orrery::test
