// What rulesets, links and tunnels need, tried in namespaces that end with the child.
#include <sched.h>

#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/nft/nft.h"
#include "netns/tun/tun.h"
#include "netns/wireguard/wireguard.h"
#include "runtime/doctor/probing.h"

namespace orrery::doctor {
namespace {

IfName name(const char* text) {
  return IfName::parse(text).value();
}

nft::Ruleset oneRule(nft::Family family, nft::ChainType type, nft::Hook hook, std::int32_t priority,
                     std::vector<nft::Expr> exprs) {
  nft::Rule rule;
  rule.exprs = std::move(exprs);
  nft::Chain chain;
  chain.name = "probe";
  chain.base = nft::Base{type, hook, priority, nft::Policy::drop, std::nullopt};
  // NAT decides where packets go, not whether: such a chain accepts.
  if (type == nft::ChainType::nat) chain.base->policy = nft::Policy::accept;
  chain.rules.push_back(std::move(rule));
  nft::Table table;
  table.family = family;
  table.chains.push_back(std::move(chain));
  nft::Ruleset ruleset;
  ruleset.tables.push_back(std::move(table));
  return ruleset;
}

Probe tryRuleset(const NetnsFd& netns, const nft::Ruleset& ruleset) {
  auto socket = NftSocket::open(netns);
  if (!socket) return no(socket.error().message);
  return answerOf(replaceRuleset(*socket, ruleset));
}

void probeNftables(const NetnsFd& netns, Probes& probes) {
  using namespace nft;
  const auto filter = [](std::vector<Expr> exprs) {
    return oneRule(Family::ip, ChainType::filter, Hook::prerouting, priority::kMangle,
                   std::move(exprs));
  };
  probes[probe::kNftFilter] =
      tryRuleset(netns, filter({Interface{Direction::in, {"lo"}, false}, Accept{}}));
  CtState state;
  state.established = true;
  probes[probe::kNftCt] = tryRuleset(netns, filter({state, Accept{}}));
  FibType fib;
  fib.types = {AddressType::local};
  probes[probe::kNftFib] = tryRuleset(netns, filter({fib, Accept{}}));
  probes[probe::kNftTproxy] =
      tryRuleset(netns, filter({L4Proto{{protocol::kTcp}, false}, Tproxy{std::nullopt, 9040}}));
  probes[probe::kNftReject] = tryRuleset(
      netns, oneRule(Family::ip, ChainType::filter, Hook::input, priority::kFilter, {Reject{}}));
  probes[probe::kNftNat] = tryRuleset(netns, oneRule(Family::ip, ChainType::nat, Hook::postrouting,
                                                     priority::kSrcNat, {Masquerade{}}));
  probes[probe::kNftBridge] = tryRuleset(
      netns, oneRule(Family::bridge, ChainType::filter, Hook::forward, priority::kBridgeFilter,
                     {Protocol{{ethertype::kArp}, false}, Accept{}}));
  const auto meter = [&](Expr expr) {
    Ruleset ruleset = filter({std::move(expr), Drop{}});
    NamedSet set{"probe", {KeyType::ipv4Address}, 1};
    set.dynamic = true;
    ruleset.tables[0].sets.push_back(std::move(set));
    return tryRuleset(netns, ruleset);
  };
  probes[probe::kNftLimit] = meter(OverRate{"probe", {KeyPart::ipSource}, 1, 1});
  probes[probe::kNftConnlimit] = meter(OverCount{"probe", {KeyPart::ipSource}, 1});
  probes[probe::kNftArp] =
      tryRuleset(netns, oneRule(Family::arp, ChainType::filter, Hook::output, priority::kFilter,
                                {Payload{PayloadBase::network, 6, {0, 1}, false}, Accept{}}));
}

Status tryVeth(Rtnl& rtnl, const NetnsFd& other) {
  VethEnd port, peer;
  port.name = name("probe0");
  peer.name = name("probe1");
  ORRERY_TRY_ASSIGN(port.mac, parseMac("02:00:00:00:00:01"));
  ORRERY_TRY_ASSIGN(peer.mac, parseMac("02:00:00:00:00:02"));
  peer.netns = &other;
  return createVeth(rtnl, port, peer, 1500);
}

Status tryBridge(Rtnl& rtnl, bool hasPort) {
  ORRERY_TRY_ASSIGN(const Mac mac, parseMac("02:00:00:00:00:03"));
  ORRERY_TRY(createBridge(rtnl, name("probebr"), mac, 1500));
  if (!hasPort) return {};
  ORRERY_TRY(setLinkMaster(rtnl, name("probe0"), name("probebr")));
  BridgePort settings;
  settings.isolated = true;
  return setBridgePort(rtnl, name("probe0"), settings);
}

Status tryTun(const NetnsFd& netns) {
  ORRERY_TRY(createTun(netns, name("probetun"), false, std::nullopt, 1500));
  return {};
}

}  // namespace

Probes probeNetwork(bool root) {
  Probes probes;
  if (!root) {
    if (const Status user = enterUserNamespace(); !user) {
      for (const char* what : {probe::kNftFilter, probe::kNftCt, probe::kNftFib, probe::kNftTproxy,
                               probe::kNftReject, probe::kNftNat, probe::kNftBridge,
                               probe::kNftLimit, probe::kNftConnlimit, probe::kNftArp,
                               probe::kVeth, probe::kBridge, probe::kTun, probe::kWireGuard})
        probes[what] = {Probe::Answer::unknown, user.error().message};
      return probes;
    }
  }
  const auto netns = createNetns();
  const auto other = createNetns();
  if (!netns || !other) return probes;
  probeNftables(*netns, probes);
  const Status tun = tryTun(*netns);
  probes[probe::kTun] = answerOf(tun);
  // Root of a user namespace is nobody to the device file.
  if (!root && !tun && (tun.error().err == EACCES || tun.error().err == EPERM))
    probes[probe::kTun].answer = Probe::Answer::unknown;
  const auto wireGuard = kernelHasWireGuard();
  if (!wireGuard)
    probes[probe::kWireGuard] = {Probe::Answer::unknown, wireGuard.error().message};
  else
    probes[probe::kWireGuard] = *wireGuard ? yes() : no("not in this kernel");
  auto rtnl = Rtnl::open(*netns);
  if (!rtnl) return probes;
  probes[probe::kVeth] = answerOf(tryVeth(*rtnl, *other));
  probes[probe::kBridge] = answerOf(tryBridge(*rtnl, probes[probe::kVeth].yes()));
  return probes;
}

}  // namespace orrery::doctor
