#include "tests/system/guard/bridge_lan.h"

#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <chrono>
#include <thread>

#include "netns/link/port_state.h"
#include "netns/nft/text.h"
#include "sandbox/base/file.h"

namespace orrery::guardtest {
namespace {

constexpr int kPatience = 20000;  // ms, for what must come

// The kernel has no event for what is awaited here.
template <class Reached>
bool awaitTrue(Reached reached) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
  while (!reached()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

RouterSpec specOf(bool clientsTalk, std::vector<FilterSpec> filters) {
  RouterSpec spec;
  spec.id = {"network0", "galaxy3"};
  spec.kind = Kind::galaxy;
  spec.lan.address = test::prefix("10.1.3.254/24");
  spec.lan.mac = macFromAddress(spec.lan.address.address, 0);
  spec.lan.dhcp = DhcpSpec{test::ip("10.1.3.2"), test::ip("10.1.3.253")};
  spec.lan.clientsTalk = clientsTalk;
  spec.lan.filters = std::move(filters);
  spec.egress = DirectEgress{};
  spec.uplink = RouterUplink{"universe0", std::nullopt};
  return spec;
}

void quiet(const NetnsFd& netns) {
  test::must(setSysctls(
      netns, {{"ipv6/conf/all/disable_ipv6", "1"}, {"ipv6/conf/default/disable_ipv6", "1"}}));
}

test::Place madeRouter(const RouterSpec& spec) {
  test::Place router;
  quiet(router.netns);
  test::bridgeNetfilterOff(router.netns);
  const IfName bridge = test::ifName(spec.id.name);
  test::must(createBridge(router.rtnl, bridge, spec.lan.mac, 1500, true));
  test::must(addAddress(router.rtnl, bridge, spec.lan.address));
  return router;
}

NftSocket ruled(const test::Place& router, const RouterSpec& spec) {
  NftSocket rules = test::must(NftSocket::open(router.netns));
  test::must(replaceRuleset(rules, lanRuleset(spec)));
  return rules;
}

PortOwner told(NftSocket& rules, PortOwner owner) {
  test::must(addToSets(rules, guardEntries(owner)));
  return owner;
}

}  // namespace

OneProcessor::OneProcessor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
  if (::sched_setaffinity(0, sizeof one, &one) != 0)
    throw std::runtime_error("stay on one processor");
}

Wire::Wire(const NetnsFd& netns, const std::string& link)
    : fd_(test::must(socketIn(netns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)))) {
  Rtnl rtnl = test::must(Rtnl::open(netns));
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ETH_P_ALL);
  at.sll_ifindex = test::must(rtnl.indexOf(test::ifName(link)));
  const int on = 1;
  if (::setsockopt(fd_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0 ||
      ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    throw std::runtime_error("bind a packet socket to " + link);
}

void Wire::send(const Bytes& frame) {
  if (::send(fd_.get(), frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size()))
    throw std::runtime_error("send a frame of " + std::to_string(frame.size()) + " bytes");
}

std::vector<Bytes> Wire::receiveUntil(const Bytes& last) {
  std::vector<Bytes> frames;
  for (;;) {
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, kPatience) != 1) throw std::runtime_error("the last frame did not come");
    Bytes frame(2048);
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t n = ::recvfrom(fd_.get(), frame.data(), frame.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) throw std::runtime_error("receive a frame");
    frame.resize(static_cast<std::size_t>(n));
    if (from.sll_pkttype == PACKET_OUTGOING) continue;
    if (frame == last) return frames;
    frames.push_back(std::move(frame));
  }
}

PortOwner ownerOf(const std::string& port, const std::string& address) {
  return {test::ifName(port), macFromAddress(test::ip(address), 0), test::ip(address)};
}

Client::Client(test::Place& router, NftSocket& rules, const RouterSpec& spec,
               const std::string& portName, const std::string& address)
    : Client(router, spec, told(rules, ownerOf(portName, address))) {}

Client::Client(test::Place& router, const RouterSpec& spec, PortOwner who) : owner(std::move(who)) {
  quiet(place.netns);
  VethEnd port;
  port.name = owner.port;
  port.mac = test::mac("fe:00:00:00:00:01");
  port.bridge = test::ifName(spec.id.name);
  port.isolated = !spec.lan.clientsTalk;
  port.up = true;
  VethEnd peer;
  peer.name = test::ifName("eth0");
  peer.mac = owner.mac;
  peer.netns = &place.netns;
  peer.up = true;
  peer.rtnl = &place.rtnl;
  test::must(createVeth(router.rtnl, port, peer, 1500));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
  test::must(awaitForwarding(router.rtnl, owner.port, deadline));
  test::must(awaitRunning(place.rtnl, peer.name, deadline));
}

Lan::Lan(bool clientsTalk, std::vector<FilterSpec> filters)
    : spec(specOf(clientsTalk, std::move(filters))),
      router(madeRouter(spec)),
      rules(ruled(router, spec)),
      hostile(router, rules, spec, "hostile", "10.1.3.5"),
      victim(router, rules, spec, "victim", "10.1.3.6") {}

std::map<std::string, std::uint64_t> Lan::counts() {
  std::map<std::string, std::uint64_t> out;
  for (const nft::NamedCount& count : nft::namedCounts(test::must(dumpCountedRuleset(rules))))
    if (count.table == "bridge orrery" || count.name == "invalid")
      out[count.name] += count.count.packets;
  return out;
}

std::map<std::string, std::uint64_t> Lan::allCounts() {
  std::map<std::string, std::uint64_t> out;
  for (const nft::NamedCount& count : nft::namedCounts(test::must(dumpCountedRuleset(rules))))
    out[count.name] += count.count.packets;
  return out;
}

bool Lan::reaches(const std::string& kind, std::uint64_t count) {
  return awaitTrue([&] { return counts()[kind] >= count; });
}

bool Lan::learns(const std::string& port, const Mac& mac) {
  const std::pair wanted(router.link(port).index, toString(mac));
  return awaitTrue([&] { return learned().count(wanted) != 0; });
}

std::set<std::pair<int, std::string>> Lan::learned() {
  std::set<std::pair<int, std::string>> out;
  ndmsg head{};
  head.ndm_family = AF_BRIDGE;
  test::must(router.rtnl.dump(
      NlMessage("list learned addresses", RTM_GETNEIGH, 0, head), [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        const auto entry = readValue<ndmsg>(reply.payload);
        if (!entry || (entry->ndm_state & (NUD_PERMANENT | NUD_NOARP)) != 0) return {};
        const Attributes attributes(afterHeader(reply.payload, sizeof *entry));
        if (const auto mac = attributes.mac(NDA_LLADDR))
          out.emplace(entry->ndm_ifindex, toString(*mac));
        return {};
      }));
  return out;
}

}  // namespace orrery::guardtest
