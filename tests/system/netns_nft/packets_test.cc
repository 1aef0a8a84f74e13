// Real packets against the rulesets: each claim with its positive control, the same packet getting
// through once the rule is out of the way.
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "netns/addr/address.h"
#include "netns/conntrack/nudge.h"
#include "netns/link/link.h"
#include "tests/system/netns_nft/lab.h"
#include "tests/unit/routers/firewall/samples.h"

namespace orrery {
namespace {

using lab::counted;
using lab::grows;
using lab::kNever;
using lab::kSoon;
using lab::run;

// Makes the bridge's guard know who is behind a port.
void admit(NftSocket& nft, const std::string& port, const NetnsFd& client,
           const std::string& address) {
  Rtnl rtnl = Rtnl::open(client).value();
  const auto link = findLink(rtnl, IfName::parse("eth0").value()).value();
  const Status admitted =
      addToSets(nft, guardEntries({IfName::parse(port).value(), link->mac,
                                   parseIpv4(address.substr(0, address.find('/'))).value()}));
  EXPECT_TRUE(admitted) << admitted.error().message;
}

// client (10.0.0.9) - "universe0" [router] uplink - (198.51.100.9) wan
struct Chain {
  NetnsFd client = lab::makeNetns();
  NetnsFd router = lab::makeNetns();
  NetnsFd wan = lab::makeNetns();
  NftSocket nft = lab::nftIn(router);

  Chain(const RouterSpec& spec, const std::string& uplink, bool forwards,
        const std::string& lanAddress, const std::string& clientAddress) {
    EXPECT_TRUE(setSysctls(router, {{"ipv4/ip_forward", forwards ? "1" : "0"},
                                    {"ipv4/conf/all/rp_filter", "0"},
                                    {"ipv4/conf/default/rp_filter", "0"}}));
    const Status status = replaceRuleset(nft, lanRuleset(spec));
    EXPECT_TRUE(status) << status.error().message;
    const std::string bridge = spec.id.name;
    run(router, "ip link add " + bridge + " type bridge && ip link set " + bridge +
                    " up && ip addr add " + lanAddress + " dev " + bridge);
    lab::connect(router, "port", client, "eth0");
    admit(nft, "port", client, clientAddress);
    run(router, "ip link set port master " + bridge);
    run(client, "ip addr add " + clientAddress + " dev eth0 && ip route add default via " +
                    lanAddress.substr(0, lanAddress.find('/')));
    if (uplink.empty()) return;
    lab::connect(router, uplink, wan, "eth0");
    run(router,
        "ip addr add 198.51.100.2/24 dev " + uplink + " && ip route add default via 198.51.100.9");
    run(wan, "ip addr add 198.51.100.9/24 dev eth0 && ip route add default via 198.51.100.2");
  }
};

Chain direct() {
  return Chain(samples::universe(), "ens1", true, "10.0.0.1/24", "10.0.0.9/24");
}

TEST(Packets, TheRulesetIsInForceBeforeAnyLinkExists) {
  const NetnsFd netns = lab::makeNetns();
  NftSocket nft = lab::nftIn(netns);
  ASSERT_TRUE(replaceRuleset(nft, egressRuleset(samples::star(), samples::facts())));
  const NetnsFd peer = lab::makeNetns();
  lab::connect(netns, "uplink", peer, "eth0");
  run(netns, "ip addr add 10.0.0.7/24 dev uplink");
  run(peer, "ip addr add 10.0.0.1/24 dev eth0");
  const UniqueFd server = lab::tcpListener(netns, 80);
  EXPECT_EQ(lab::tcpConnect(peer, "10.0.0.7", 80, kNever), ETIMEDOUT);
  EXPECT_TRUE(grows(nft, "unsolicited", 0));
  ASSERT_TRUE(deleteRuleset(nft));
  EXPECT_EQ(lab::tcpConnect(peer, "10.0.0.7", 80, kSoon), 0) << "the control";
}

TEST(Packets, MasqueradeHidesTheClient) {
  Chain chain = direct();
  const UniqueFd server = lab::udpSocket(chain.wan, "198.51.100.9", 7000);
  const UniqueFd client = lab::udpSocket(chain.client, "10.0.0.9", 6000);
  lab::udpSend(client, "198.51.100.9", 7000, "hello");
  EXPECT_EQ(lab::udpReceive(server, kSoon), "198.51.100.2 hello");
  const UniqueFd listener = lab::tcpListener(chain.wan, 80);
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0);
  run(chain.client, "ping -c1 -W2 198.51.100.9");
  run(chain.client, "ping -c1 -W2 10.0.0.1");
}

// A lease that changes, a tunnel that is moved in: a way out without an address. Masquerade takes
// that of any other link then, unless it is of scope link, as a router's own on its LAN is.
TEST(Packets, WithoutAnAddressNothingLeavesByAnothers) {
  Chain chain = direct();
  Rtnl wan = Rtnl::open(chain.wan).value();
  const Mac far = findLink(wan, IfName::parse("eth0").value()).value()->mac;
  run(chain.router,
      "ip addr del 198.51.100.2/24 dev ens1 && ip route add default dev ens1 && "
      "ip neigh add 198.51.100.9 dev ens1 nud permanent lladdr " +
          toString(far));
  const UniqueFd server = lab::udpSocket(chain.wan, "198.51.100.9", 7000);
  const UniqueFd client = lab::udpSocket(chain.client, "10.0.0.9", 6000);
  lab::udpSend(client, "198.51.100.9", 7000, "control");
  EXPECT_EQ(lab::udpReceive(server, kSoon), "10.0.0.1 control");

  run(chain.router, "ip addr del 10.0.0.1/24 dev universe0");
  Rtnl router = Rtnl::open(chain.router).value();
  AddressOptions ofLink;
  ofLink.scope = RT_SCOPE_LINK;
  ASSERT_TRUE(addAddress(router, IfName::parse("universe0").value(),
                         parsePrefix4("10.0.0.1/24").value(), ofLink));
  const UniqueFd later = lab::udpSocket(chain.client, "10.0.0.9", 6001);
  lab::udpSend(later, "198.51.100.9", 7000, "hidden");
  EXPECT_EQ(lab::udpReceive(server, kNever), "");
  run(chain.client, "ping -c1 -W2 10.0.0.1");
  run(chain.router, "ip addr add 198.51.100.2/24 dev ens1");
  const UniqueFd again = lab::udpSocket(chain.client, "10.0.0.9", 6002);
  lab::udpSend(again, "198.51.100.9", 7000, "hello");
  EXPECT_EQ(lab::udpReceive(server, kSoon), "198.51.100.2 hello");
}

TEST(Packets, TheOutsideReachesNothing) {
  Chain chain = direct();
  const UniqueFd service = lab::tcpListener(chain.router, 53);
  const UniqueFd inner = lab::tcpListener(chain.client, 80);
  EXPECT_EQ(lab::tcpConnect(chain.wan, "198.51.100.2", 53, kNever), ETIMEDOUT);
  EXPECT_TRUE(grows(chain.nft, "unsolicited", 0));
  EXPECT_NE(lab::tryRun(chain.wan, "ping -c1 -W1 198.51.100.2").status, 0) << "stealth";
  const auto before = counted(chain.nft, "weak-host");
  EXPECT_EQ(lab::tcpConnect(chain.wan, "10.0.0.9", 80, kNever), ETIMEDOUT);
  EXPECT_EQ(lab::tcpConnect(chain.wan, "10.0.0.1", 53, kNever), ETIMEDOUT) << "CVE-2019-14899";
  EXPECT_TRUE(grows(chain.nft, "weak-host", before));
  EXPECT_EQ(lab::tcpConnect(chain.client, "10.0.0.1", 53, kSoon), 0) << "clients are served";
  ASSERT_TRUE(deleteRuleset(chain.nft));
  EXPECT_EQ(lab::tcpConnect(chain.wan, "10.0.0.9", 80, kSoon), 0) << "the control";
  EXPECT_EQ(lab::tcpConnect(chain.wan, "10.0.0.1", 53, kSoon), 0) << "the control";
}

TEST(Packets, ASpoofedSourceIsDropped) {
  Chain chain = direct();
  // It asks for the router's MAC in its own name, or the guard would stop it there.
  run(chain.client,
      "sysctl -qw net.ipv4.conf.all.arp_announce=2; ip addr add 203.0.113.5/32 dev eth0");
  run(chain.wan, "ip addr add 10.0.0.77/32 dev eth0");
  const UniqueFd server = lab::udpSocket(chain.wan, "198.51.100.9", 7000);
  const UniqueFd spoofer = lab::udpSocket(chain.client, "203.0.113.5", 6000);
  lab::udpSend(spoofer, "198.51.100.9", 7000, "spoofed");
  EXPECT_EQ(lab::udpReceive(server, kNever), "");
  EXPECT_TRUE(grows(chain.nft, "spoofed-ip", 0));
  // The second wall: were that address known at the port, the router would not take it either.
  admit(chain.nft, "port", chain.client, "203.0.113.5");
  lab::udpSend(spoofer, "198.51.100.9", 7000, "spoofed");
  EXPECT_EQ(lab::udpReceive(server, kNever), "");
  EXPECT_TRUE(grows(chain.nft, "spoofed-source", 0));
  const UniqueFd claimer = lab::udpSocket(chain.wan, "10.0.0.77", 6000);
  lab::udpSend(claimer, "198.51.100.2", 7000, "one of yours");
  EXPECT_TRUE(grows(chain.nft, "spoofed-client", 0));
  ASSERT_TRUE(deleteRuleset(chain.nft));
  lab::udpSend(spoofer, "198.51.100.9", 7000, "spoofed");
  EXPECT_EQ(lab::udpReceive(server, kSoon), "203.0.113.5 spoofed") << "the control";
}

// What a supervisor does when it cuts flows.
void cut(const Chain& chain) {
  Conntrack tracking = Conntrack::open(chain.router).value();
  const auto flows = tracking.list().value();
  EXPECT_TRUE(tracking.forgetAll());
  EXPECT_TRUE(nudge(chain.router, flows));
}
void say(const UniqueFd& connection) {
  EXPECT_EQ(::send(connection.get(), "x", 1, MSG_NOSIGNAL), 1);
}
const char* const kLastRoute = "ip link set lo up && ip route add default dev lo table 253";

TEST(Packets, WithoutAWayOutClientsAreRefusedAtOnce) {
  Chain chain = direct();
  run(chain.router, kLastRoute);
  const UniqueFd server = lab::tcpListener(chain.wan, 80);
  const UniqueFd speaks = lab::tcpConnection(chain.client, "198.51.100.9", 80);
  run(chain.router, "ip route del default && ip addr flush dev ens1");
  say(speaks);  // connection tracking still knows it
  EXPECT_EQ(lab::tcpError(speaks, kSoon), ECONNRESET);
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), ECONNREFUSED);
  const UniqueFd datagrams = lab::connectedUdp(chain.client, "198.51.100.9", 7000);
  lab::udpSend(datagrams, "198.51.100.9", 7000, "hello");
  EXPECT_EQ(lab::udpError(datagrams, kSoon), EHOSTUNREACH);
  const UniqueFd own = lab::udpSocket(chain.router, "0.0.0.0", 0);
  lab::udpSend(own, "198.51.100.9", 53, "the resolver's");
  EXPECT_GE(counted(chain.nft, "no-way-out"), 4u);
  run(chain.router,
      "ip addr add 198.51.100.2/24 dev ens1 && ip route add default via 198.51.100.9");
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0) << "the control";
}

TEST(Packets, AWayOutWithoutCarrierIsNone) {
  Chain chain = direct();
  run(chain.router, kLastRoute);
  ASSERT_TRUE(setSysctls(chain.router, {{"ipv4/conf/all/ignore_routes_with_linkdown", "1"}}));
  const UniqueFd server = lab::tcpListener(chain.wan, 80);
  const UniqueFd speaks = lab::tcpConnection(chain.client, "198.51.100.9", 80);
  run(chain.wan, "ip link set eth0 down");
  run(chain.router, "timeout 20 sh -c 'until ip link show ens1 | grep -q NO-CARRIER; do :; done'");
  say(speaks);
  EXPECT_EQ(lab::tcpError(speaks, kSoon), ECONNRESET);
}

// The way out is there all the time: it is another one.
TEST(Packets, AFlowThatIsForgottenIsReset) {
  Chain chain = direct();
  const UniqueFd server = lab::tcpListener(chain.wan, 80);
  const auto open = [&] { return lab::tcpConnection(chain.client, "198.51.100.9", 80); };
  const UniqueFd listens = open(), unaware = open();
  say(unaware);
  EXPECT_EQ(lab::tcpError(unaware, kNever), 0) << "the control";
  cut(chain);
  EXPECT_EQ(lab::tcpError(listens, kSoon), ECONNRESET) << "it never said a word";
  EXPECT_TRUE(grows(chain.nft, "lost-flow", 0));
  EXPECT_TRUE(Conntrack::open(chain.router).value().list().value().empty());

  const UniqueFd speaks = open(), closes = open();
  ASSERT_TRUE(Conntrack::open(chain.router).value().forgetAll());
  say(speaks);
  EXPECT_EQ(lab::tcpError(speaks, kSoon), ECONNRESET);
  EXPECT_EQ(::shutdown(closes.get(), SHUT_WR), 0);
  EXPECT_EQ(lab::tcpError(closes, kSoon), ECONNRESET)
      << "its FIN is invalid to connection tracking";
}

TEST(Packets, TheRouterItselfSendsOnlyDns) {
  Chain chain = direct();
  const UniqueFd web = lab::udpSocket(chain.wan, "198.51.100.9", 7000);
  const UniqueFd dns = lab::udpSocket(chain.wan, "198.51.100.9", 53);
  const UniqueFd own = lab::udpSocket(chain.router, "", 0);
  lab::udpSend(own, "198.51.100.9", 7000, "no");
  EXPECT_EQ(lab::udpReceive(web, kNever), "");
  EXPECT_TRUE(grows(chain.nft, "own-traffic", 0));
  lab::udpSend(own, "198.51.100.9", 53, "query");
  EXPECT_EQ(lab::udpReceive(dns, kSoon), "198.51.100.2 query");
}

TEST(Packets, ClientsAreStrangersUnlessTheyMayTalk) {
  for (const bool talk : {false, true}) {
    RouterSpec spec = samples::universe();
    spec.lan.clientsTalk = talk;
    Chain chain(spec, "ens1", true, "10.0.0.1/24", "10.0.0.9/24");
    const NetnsFd other = lab::makeNetns();
    lab::connect(chain.router, "port2", other, "eth0");
    admit(chain.nft, "port2", other, "10.0.0.10");
    run(chain.router, "ip link set port2 master universe0");
    run(other, "ip addr add 10.0.0.10/24 dev eth0");
    const UniqueFd listener = lab::tcpListener(other, 80);
    const int result = lab::tcpConnect(chain.client, "10.0.0.10", 80, talk ? kSoon : kNever);
    EXPECT_EQ(result == 0, talk);
    if (!talk) {
      EXPECT_TRUE(grows(chain.nft, "client-to-client", 0));
    }
  }
}

// Link-local (RFC 3927), and what RFC 6890 has as not forwardable: refused at once, in both
// directions, by whatever way out.
TEST(Packets, WhatNoRouterForwardsIsRefusedAtOnceAndCounted) {
  struct Case {
    RouterSpec spec;
    const char *uplink, *lan, *client;
  };
  const Case cases[] = {
      {samples::universe(), "ens1", "10.0.0.1/24", "10.0.0.9/24"},
      {samples::galaxyWireGuard(), "wg0", "10.1.2.254/24", "10.1.2.9/24"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.uplink);
    Chain chain(each.spec, each.uplink, true, each.lan, each.client);
    // Of errors to one client the kernel sends six, then one a second (icmp(7)).
    run(chain.router, "sysctl -qw net.ipv4.icmp_ratelimit=0");
    const UniqueFd web = lab::tcpListener(chain.wan, 80);
    for (const char* address : {"169.254.169.254", "169.254.1.1", "192.0.0.171", "0.0.0.9"}) {
      SCOPED_TRACE(address);
      run(chain.wan, std::string("ip addr add ") + address + "/32 dev eth0");
      const auto before = counted(chain.nft, "never-forwarded");
      EXPECT_EQ(lab::tcpConnect(chain.client, address, 80, kSoon), EHOSTUNREACH);
      EXPECT_TRUE(grows(chain.nft, "never-forwarded", before));
      const UniqueFd udp = lab::connectedUdp(chain.client, address, 9);
      ASSERT_GT(::send(udp.get(), "x", 1, 0), 0);
      EXPECT_EQ(lab::udpError(udp, kSoon), EHOSTUNREACH);
    }
    EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0);
    ASSERT_TRUE(deleteRuleset(chain.nft));
    const std::string client = each.client;
    run(chain.wan, "ip route add " + client.substr(0, client.find('/')) + " via 198.51.100.2");
    EXPECT_EQ(lab::tcpConnect(chain.client, "169.254.1.1", 80, kSoon), 0) << "the control";
  }
}

// --- tunnel --------------------------------------------------------------------------------------

TEST(Packets, ATunnelledRouterHasNoOtherWayOut) {
  // The veth stands for any link that is not the tunnel, with a route to it.
  Chain chain(samples::galaxyOpenVpn(), "eth9", true, "10.1.1.254/24", "10.1.1.9/24");
  const UniqueFd listener = lab::tcpListener(chain.wan, 80);
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kNever), ETIMEDOUT);
  EXPECT_TRUE(grows(chain.nft, "unsolicited", 0));
  ASSERT_TRUE(deleteRuleset(chain.nft));
  run(chain.wan, "ip route replace 10.1.1.0/24 via 198.51.100.2");
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0) << "the control";
}

TEST(Packets, ATunnelledRouterAnswersEveryDnsQueryItself) {
  Chain chain(samples::galaxyOpenVpn(), "tun0", true, "10.1.1.254/24", "10.1.1.9/24");
  const UniqueFd theirs = lab::udpSocket(chain.wan, "198.51.100.9", 53);
  const UniqueFd ours = lab::udpSocket(chain.router, "10.1.1.254", 53);
  const UniqueFd client = lab::udpSocket(chain.client, "10.1.1.9", 6000);
  lab::udpSend(client, "198.51.100.9", 53, "query");
  EXPECT_EQ(lab::udpReceive(ours, kSoon), "10.1.1.9 query");
  EXPECT_EQ(lab::udpReceive(theirs, kNever), "");
  lab::udpSend(ours, "10.1.1.9", 6000, "answer");
  EXPECT_EQ(lab::udpReceive(client, kSoon), "198.51.100.9 answer");
  EXPECT_TRUE(grows(chain.nft, "dns-elsewhere", 0));
  const UniqueFd overTls = lab::tcpListener(chain.wan, 853);
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 853, kSoon), EHOSTUNREACH);
  const UniqueFd web = lab::tcpListener(chain.wan, 80);
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0);
}

TEST(Packets, MssFollowsTheTunnelsMtu) {
  Chain chain(samples::galaxyWireGuard(), "wg0", true, "10.1.2.254/24", "10.1.2.9/24");
  run(chain.router, "ip link set wg0 mtu 1300");
  const UniqueFd listener = lab::tcpListener(chain.wan, 80);
  ASSERT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0);
  const UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  int mss = 0;
  socklen_t size = sizeof mss;
  ASSERT_EQ(::getsockopt(accepted.get(), IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
  EXPECT_LE(mss, 1260);
  EXPECT_GE(mss, 1200);
}

// --- proxied -------------------------------------------------------------------------------------

Chain proxied(bool withWay) {
  Chain chain(samples::star(), withWay ? "eth9" : "", true, "10.2.2.254/24", "10.2.2.9/24");
  run(chain.router,
      "ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100");
  return chain;
}

TEST(Packets, AProxiedRouterForwardsNothingEvenWithAWayOut) {
  Chain chain = proxied(true);
  run(chain.wan, "ip route replace 10.2.2.0/24 via 198.51.100.2");
  const UniqueFd server = lab::udpSocket(chain.wan, "198.51.100.9", 7000);
  const UniqueFd dns = lab::udpSocket(chain.wan, "198.51.100.9", 53);
  const UniqueFd web = lab::tcpListener(chain.wan, 80);
  const UniqueFd client = lab::udpSocket(chain.client, "10.2.2.9", 6000);
  // Nobody listens: a tproxy rule falls through, and the drop behind it catches.
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kNever), ETIMEDOUT);
  EXPECT_TRUE(grows(chain.nft, "tcp-no-listener", 0));
  lab::udpSend(client, "198.51.100.9", 53, "query");
  EXPECT_EQ(lab::udpReceive(dns, kNever), "");
  EXPECT_TRUE(grows(chain.nft, "dns-udp-no-listener", 0));
  lab::udpSend(client, "198.51.100.9", 7000, "quic");
  EXPECT_EQ(lab::udpReceive(server, kNever), "");
  EXPECT_NE(lab::tryRun(chain.client, "ping -c1 -W1 198.51.100.9").status, 0);
  ASSERT_TRUE(deleteRuleset(chain.nft));
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0) << "the control";
}

TEST(Packets, AForeignAcceptDoesNotOpenTheForwardHook) {
  Chain chain = proxied(true);
  run(chain.wan, "ip route replace 10.2.2.0/24 via 198.51.100.2");
  // The proxy chain taken away: the forward chain alone must hold.
  run(chain.router,
      "nft flush chain ip orrery proxy && nft 'add chain ip orrery proxy { policy accept; }'");
  const UniqueFd web = lab::tcpListener(chain.wan, 80);
  EXPECT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kNever), ETIMEDOUT);
  EXPECT_TRUE(grows(chain.nft, "forwarded", 0));
}

TEST(Packets, TcpAndDnsReachTheProxyWithTheirOwnDestination) {
  Chain chain = proxied(false);
  const UniqueFd tcp = lab::tcpListener(chain.router, 9040, true);
  const UniqueFd dnsTcp = lab::tcpListener(chain.router, 5354, true);
  const UniqueFd dnsUdp = lab::udpSocket(chain.router, "", 5353, true);
  ASSERT_EQ(lab::tcpConnect(chain.client, "198.51.100.9", 80, kSoon), 0);
  const UniqueFd accepted(::accept4(tcp.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(lab::localAddress(accepted), "198.51.100.9:80");
  EXPECT_EQ(lab::tcpConnect(chain.client, "10.192.0.5", 443, kSoon), 0) << "stands for a name";
  EXPECT_EQ(lab::tcpConnect(chain.client, "8.8.8.8", 53, kSoon), 0);
  EXPECT_EQ(lab::tcpConnect(chain.client, "10.2.2.254", 53, kSoon), 0)
      << "the router's own resolver";
  const UniqueFd client = lab::udpSocket(chain.client, "10.2.2.9", 6000);
  for (const char* resolver : {"8.8.8.8", "10.2.2.254"}) {
    lab::udpSend(client, resolver, 53, "query");
    EXPECT_EQ(lab::udpReceive(dnsUdp, kSoon), "10.2.2.9 query");
    const UniqueFd reply = lab::udpSocket(chain.router, resolver, 53, true);
    lab::udpSend(reply, "10.2.2.9", 6000, "answer");
    EXPECT_EQ(lab::udpReceive(client, kSoon), std::string(resolver) + " answer");
  }
}

TEST(Packets, WhatAProxyCannotCarryIsRefusedAtOnceAndCounted) {
  Chain chain = proxied(false);
  const UniqueFd tcp = lab::tcpListener(chain.router, 9040, true);
  const UniqueFd web = lab::tcpListener(chain.router, 80);
  for (const char* address : {"10.0.0.1", "192.168.1.1", "172.16.0.1", "10.2.2.254"})
    EXPECT_EQ(lab::tcpConnect(chain.client, address, 80, kSoon), ECONNREFUSED) << address;
  EXPECT_TRUE(grows(chain.nft, "private-destination", 2));
  EXPECT_TRUE(grows(chain.nft, "router-port", 0));
  for (const char* address : {"169.254.169.254", "192.0.0.171", "240.0.0.1"}) {
    const auto before = counted(chain.nft, "never-forwarded");
    EXPECT_EQ(lab::tcpConnect(chain.client, address, 80, kSoon), EHOSTUNREACH) << address;
    EXPECT_TRUE(grows(chain.nft, "never-forwarded", before));
  }

  const UniqueFd udp = lab::connectedUdp(chain.client, "198.51.100.9", 443);
  ASSERT_GT(::send(udp.get(), "quic", 4, 0), 0);
  EXPECT_EQ(lab::udpError(udp, kSoon), EHOSTUNREACH) << "administratively prohibited";
  EXPECT_TRUE(grows(chain.nft, "udp", 0));

  EXPECT_NE(lab::tryRun(chain.client, "ping -c1 -W1 198.51.100.9").status, 0);
  EXPECT_TRUE(grows(chain.nft, "icmp", 0));
  run(chain.client, "ping -c1 -W2 10.2.2.254");

  run(chain.client, "ping -c1 -W1 -s 3000 10.2.2.254 || true");
  EXPECT_TRUE(grows(chain.nft, "fragment", 0));

  run(chain.client,
      "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ping -6 -c1 -W1 ff02::1%eth0 || true");
  EXPECT_TRUE(grows(chain.nft, "ipv6", 0));
}

}  // namespace
}  // namespace orrery
