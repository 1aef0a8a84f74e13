#include <algorithm>
#include <variant>

#include "netns/addr/special.h"
#include "routers/contract/contract.h"

namespace orrery {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17;  // IANA
constexpr std::uint16_t kDns = 53, kDnsOverTls = 853, kDhcpServer = 67, kDhcpClient = 68;
constexpr Ipv4 kEverybody{0xffffffff};

const Prefix4 kAll{Ipv4{0}, 0};

Prefix4 only(Ipv4 address) {
  return {address, 32};
}
Prefix4 networkOf(const Prefix4& p) {
  return {p.network(), p.length};
}

// What a router itself does not speak to, and nobody speaks from: nobody, loopback, multicast,
// limited broadcast (RFC 6890).
std::vector<Prefix4> nowhere() {
  return {only(Ipv4{0}), {Ipv4{0x7f000000}, 8}, {Ipv4{0xe0000000}, 4}, only(kEverybody)};
}
// As neverForwardedTo(), without its exception.
std::vector<Prefix4> unforwardable() {
  std::vector<Prefix4> prefixes;
  for (const Prefix4& prefix : kNeverForwardedTo)
    if (!prefix.contains(kForwardedAssignments.address)) prefixes.push_back(prefix);
  const std::uint32_t base = kForwardedAssignments.address.value;
  for (std::uint8_t length = kForwardedAssignments.length; length > 24; --length)
    prefixes.push_back(
        {Ipv4{base | 1u << (32 - length)}, length});  // .16/28, .32/27, .64/26, .128/25
  return prefixes;
}
bool hasTunnel(const EgressSpec& egress) {
  return std::holds_alternative<OpenVpnEgress>(egress) ||
         std::holds_alternative<WireGuardEgress>(egress);
}

bool nobodyRuns(ContractState state) {
  switch (state) {
    case ContractState::restarting:
    case ContractState::paused:
    case ContractState::supervisorDead:
    case ContractState::stopping:
      return true;
    default:
      return false;
  }
}
bool isThere(ContractState state) {
  return state != ContractState::absent && state != ContractState::destroyed;
}

std::vector<Endpoint> serversOf(const EgressSpec& egress) {
  std::vector<Endpoint> servers;
  if (const auto* openvpn = std::get_if<OpenVpnEgress>(&egress)) servers = openvpn->remotes;
  if (const auto* wireguard = std::get_if<WireGuardEgress>(&egress))
    for (const WireGuardPeer& peer : wireguard->peers) servers.push_back(peer.endpoint);
  if (const auto* socks5 = std::get_if<Socks5Egress>(&egress)) {
    servers.push_back(socks5->server);
    servers.back().tcp = true;
  }
  std::sort(servers.begin(), servers.end());
  servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
  return servers;
}

// The same line seen from the other side.
Allowance answerTo(Allowance line) {
  line.way = Way::in;
  std::swap(line.source, line.destination);
  std::swap(line.sourcePort, line.destinationPort);
  line.exceptPorts.clear();
  line.openOnly = line.protocols == std::vector<std::uint8_t>{kTcp};
  line.broadcast = false;
  return line;
}

class Writer {
 public:
  Writer(const RouterSpec& spec, const ContractFacts& facts, ContractState state)
      : spec_(spec), facts_(facts), state_(state), kernelAlone_(nobodyRuns(state)) {
    if (facts.uplink.address.value != 0) own_.among = {only(facts.uplink.address)};
    tunnelOwn_.among = tunnelAddress();
  }

  Contract write() && {
    Contract contract{spec_.id, state_, {}};
    if (!isThere(state_)) return contract;
    contract.links.push_back(uplink());
    if (auto link = tunnel()) contract.links.push_back(std::move(*link));
    contract.links.push_back(lan());
    return contract;
  }

 private:
  std::vector<Prefix4> tunnelAddress() const {
    if (const auto* wireguard = std::get_if<WireGuardEgress>(&spec_.egress))
      return {only(wireguard->address.address)};
    if (facts_.tunnel) return {only(*facts_.tunnel)};
    return {};
  }
  Party uplinkLan() const {
    Party party{"uplink's subnet", {facts_.uplink.lan ? networkOf(*facts_.uplink.lan) : kAll}, {}};
    if (facts_.uplink.address.value != 0) party.except = {only(facts_.uplink.address)};
    return party;
  }
  Party lanSubnet() const { return {"LAN", {networkOf(spec_.lan.address)}, notHosts()}; }
  std::vector<Prefix4> notHosts() const {  // of the LAN
    const Prefix4& p = spec_.lan.address;
    return {only(p.network()), only(p.broadcast()), only(p.address)};
  }

  // --- uplink ------------------------------------------------------------------------------------

  LinkContract uplink() const {
    LinkContract link{LinkSide::uplink, true, facts_.mac, {}};
    auto& lines = link.allowed;
    const bool direct = std::holds_alternative<DirectEgress>(spec_.egress);
    arp(lines, direct);
    if (direct)
      directLines(lines);
    else if (std::holds_alternative<TorEgress>(spec_.egress))
      torLines(lines);
    else
      serverLines(lines);
    if (!direct)
      lines.push_back({.name = "icmp-errors",
                       .way = Way::in,
                       .source = {"anywhere", {kAll}, {}},
                       .destination = own_,
                       .protocols = {kIcmp},
                       .icmpTypes = {3, 11, 12}});
    dhcp(lines);
    return link;
  }

  // Whom the router may look for: its gateway; servers on the uplink's own subnet; a direct
  // router's clients may want anybody there. It answers whoever asks for its own address.
  void arp(std::vector<Allowance>& lines, bool direct) const {
    Party wanted{"gateway", {}, {}};
    if (facts_.uplink.gateway.value != 0) wanted.among = {only(facts_.uplink.gateway)};
    if (direct) wanted = uplinkLan();
    if (!direct)
      for (const Endpoint& server : serversOf(spec_.egress))
        if (facts_.uplink.lan && facts_.uplink.lan->contains(server.address)) {
          wanted.word = "gateway, server";
          wanted.among.push_back(only(server.address));
        }
    lines.push_back({.name = "arp",
                     .form = FrameForm::arpRequest,
                     .source = own_,
                     .destination = wanted,
                     .broadcast = true});
    lines.push_back(
        {.name = "arp", .form = FrameForm::arpReply, .source = own_, .destination = uplinkLan()});
    for (const FrameForm form : {FrameForm::arpRequest, FrameForm::arpReply})
      lines.push_back({.name = "arp",
                       .way = Way::in,
                       .form = form,
                       .source = uplinkLan(),
                       .destination = own_,
                       .broadcast = true});
  }

  void serverLines(std::vector<Allowance>& lines) const {
    for (const Endpoint& server : serversOf(spec_.egress)) {
      Allowance line{.name = "server",
                     .source = own_,
                     .destination = {"server", {only(server.address)}, {}},
                     .protocols = {server.tcp ? kTcp : kUdp},
                     .destinationPort = server.port};
      line.openOnly = kernelAlone_ && server.tcp;
      // WireGuard may be the kernel's own, which nothing stops; OpenVPN's packets are a process's.
      const bool silent =
          kernelAlone_ && !server.tcp && std::holds_alternative<OpenVpnEgress>(spec_.egress);
      lines.push_back(answerTo(line));
      if (!silent) lines.push_back(std::move(line));
    }
  }

  void torLines(std::vector<Allowance>& lines) const {
    Party relays{"public addresses", {kAll}, privateNetworks()};
    if (facts_.uplink.lan) relays.except.push_back(networkOf(*facts_.uplink.lan));
    relays.except.push_back(only(facts_.uplink.gateway));
    Allowance line{.name = "relays", .source = own_, .destination = relays, .protocols = {kTcp}};
    line.openOnly = kernelAlone_;
    Allowance answers = answerTo(line);
    answers.source = {
        "anywhere", {kAll}, {}};  // which of them was asked, connection tracking knows
    lines.push_back(std::move(answers));
    lines.push_back(std::move(line));
  }

  // Forwarding is the kernel's: a direct router goes on without its processes.
  void directLines(std::vector<Allowance>& lines) const {
    Party forwardable{"forwardable addresses", {kAll}, unforwardable()};
    if (facts_.uplink.lan) forwardable.except.push_back(only(facts_.uplink.lan->broadcast()));
    lines.push_back({.name = "forwarded", .source = own_, .destination = forwardable});
    lines.push_back({.name = "answers",
                     .way = Way::in,
                     .source = {"anywhere", {kAll}, nowhere()},
                     .destination = own_,
                     .options = true});
  }

  void dhcp(std::vector<Allowance>& lines) const {
    const auto* nic = std::get_if<NicUplink>(&spec_.uplink);
    if (nic == nullptr || nic->fixed) return;
    const Party everybody{"everybody", {only(kEverybody)}, {}};
    Party client{"own address or none", {only(Ipv4{0})}, {}};
    if (!own_.among.empty()) client.among.push_back(own_.among.front());
    Allowance ask{.name = "dhcp",
                  .source = client,
                  .destination = everybody,
                  .protocols = {kUdp},
                  .sourcePort = kDhcpClient,
                  .destinationPort = kDhcpServer,
                  .broadcast = true};
    if (!kernelAlone_) lines.push_back(ask);
    lines.push_back({.name = "dhcp",
                     .way = Way::in,
                     .source = {"anywhere", {kAll}, {}},
                     .destination = {"anywhere", {kAll}, {}},
                     .protocols = {kUdp},
                     .sourcePort = kDhcpServer,
                     .destinationPort = kDhcpClient,
                     .broadcast = true});
  }

  // --- tunnel ------------------------------------------------------------------------------------

  // What clients send into the tunnel: from our address there, no DNS but our resolver's.
  std::optional<LinkContract> tunnel() const {
    if (!hasTunnel(spec_.egress)) return std::nullopt;
    LinkContract link{LinkSide::tunnel, false, std::nullopt, {}};
    // A dead openvpn takes its device along; WireGuard's may be the kernel's.
    if (std::holds_alternative<OpenVpnEgress>(spec_.egress) && kernelAlone_ &&
        state_ != ContractState::paused)
      return link;
    const Party forwardable{"forwardable addresses", {kAll}, unforwardable()};
    link.allowed.push_back({.name = "forwarded",
                            .source = tunnelOwn_,
                            .destination = forwardable,
                            .exceptPorts = {kDns, kDnsOverTls}});
    Party resolvers{"resolvers", {kAll}, nowhere()};
    if (!spec_.dns.servers.empty()) {
      resolvers = {"resolvers of the definition", {}, {}};
      for (const Ipv4 server : spec_.dns.servers) resolvers.among.push_back(only(server));
    }
    for (const std::uint8_t protocol : {kUdp, kTcp})
      link.allowed.push_back({.name = "dns",
                              .source = tunnelOwn_,
                              .destination = resolvers,
                              .protocols = {protocol},
                              .destinationPort = kDns});
    link.allowed.push_back({.name = "answers",
                            .way = Way::in,
                            .source = {"anywhere", {kAll}, {}},
                            .destination = tunnelOwn_});
    return link;
  }

  // --- LAN ---------------------------------------------------------------------------------------

  LinkContract lan() const {
    LinkContract link{LinkSide::lan, true, spec_.lan.mac, {}};
    auto& lines = link.allowed;
    const Party router{"router", {only(spec_.lan.address.address)}, {}};
    const Party clients = lanSubnet();
    lines.push_back({.name = "arp",
                     .form = FrameForm::arpRequest,
                     .source = router,
                     .destination = clients,
                     .broadcast = true});
    lines.push_back(
        {.name = "arp", .form = FrameForm::arpReply, .source = router, .destination = clients});
    // Answers carry the address that the client wanted, whoever gave them.
    Party anybody{"forwardable addresses", {kAll}, neverForwardedFrom()};
    anybody.except.push_back(networkOf(spec_.lan.address));
    lines.push_back(
        {.name = "answers", .source = anybody, .destination = clients, .options = true});
    lines.push_back({.name = "answers", .source = router, .destination = clients});
    if (spec_.lan.dhcp && !kernelAlone_)
      lines.push_back({.name = "dhcp",
                       .source = router,
                       .destination = {"everybody", {only(kEverybody)}, {}},
                       .protocols = {kUdp},
                       .sourcePort = kDhcpServer,
                       .destinationPort = kDhcpClient,
                       .broadcast = true});
    for (const FrameForm form : {FrameForm::arpRequest, FrameForm::arpReply})
      lines.push_back({.name = "arp",
                       .way = Way::in,
                       .form = form,
                       .source = clients,
                       .destination = router,
                       .broadcast = true});
    lines.push_back({.name = "clients",
                     .way = Way::in,
                     .source = clients,
                     .destination = {"forwardable addresses", {kAll}, unforwardable()}});
    if (spec_.lan.dhcp)
      lines.push_back({.name = "dhcp",
                       .way = Way::in,
                       .source = {"none", {only(Ipv4{0})}, {}},
                       .destination = {"everybody", {only(kEverybody)}, {}},
                       .protocols = {kUdp},
                       .sourcePort = kDhcpClient,
                       .destinationPort = kDhcpServer,
                       .broadcast = true});
    return link;
  }

  const RouterSpec& spec_;
  const ContractFacts& facts_;
  ContractState state_;
  bool kernelAlone_;
  Party own_{"own address", {}, {}};
  Party tunnelOwn_{"own tunnel address", {}, {}};
};

}  // namespace

Contract contractOf(const RouterSpec& spec, const ContractFacts& facts, ContractState state) {
  return Writer(spec, facts, state).write();
}

LinkContract closedLink() {
  return {};
}

std::vector<Prefix4> privateNetworks() {
  std::vector<Prefix4> networks = neverForwardedTo();
  for (const Prefix4& prefix : {Prefix4{Ipv4{0x0a000000}, 8}, Prefix4{Ipv4{0x64400000}, 10},
                                Prefix4{Ipv4{0xac100000}, 12}, Prefix4{Ipv4{0xc0a80000}, 16}})
    networks.push_back(prefix);
  std::sort(networks.begin(), networks.end());
  return networks;
}

}  // namespace orrery
