#include "runtime/audit/probes.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>

#include "netns/namespace/netns.h"
#include "runtime/audit/audit.h"

namespace orrery::audit {
namespace {

using namespace frame;

constexpr std::uint8_t kTtl = 2;  // 1 when it has passed the router
constexpr std::uint16_t kSourcePort = 40123;
constexpr std::uint16_t kTcpPorts[] = {80, 443, 25, 22};
constexpr std::uint16_t kUdpPorts[] = {443, 123, 3478, 4500, 51820};
constexpr std::uint16_t kBroadcastPorts[] = {137, 138, 67, 9};
constexpr std::uint8_t kIcmpTypes[] = {0, 3, 5, 11, 13, 17};
constexpr std::uint8_t kNop = 1;  // IP option, RFC 791

const Ipv4 kPublic{0xc0000201};    // 192.0.2.1, TEST-NET-1 (RFC 5737)
const Ipv4 kResolver{0x09090909};  // 9.9.9.9, a public resolver
const Ipv4 kMetadata{0xa9fea9fe};  // 169.254.169.254
const Ipv4 kEverybody{0xffffffff};

const frame::Ipv6 kAllRouters{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
const frame::Ipv6 kMdns6{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb};
const frame::Ipv6 kGlobal{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};  // RFC 3849
const frame::Ipv6 kGlobalSource{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2};

Mac multicastMac(Ipv4 group) {  // RFC 1112, 6.4
  return {{1, 0, 0x5e, static_cast<std::uint8_t>(group.value >> 16 & 0x7f),
           static_cast<std::uint8_t>(group.value >> 8), static_cast<std::uint8_t>(group.value)}};
}

Mac multicastMac(const frame::Ipv6& group) {  // RFC 2464, 7
  return {{0x33, 0x33, group[12], group[13], group[14], group[15]}};
}

frame::Ipv6 linkLocal(const Mac& mac) {
  frame::Ipv6 address{0xfe, 0x80};
  std::copy(mac.bytes.begin(), mac.bytes.end(), address.begin() + 10);
  return address;
}

class Maker {
 public:
  Maker(const ProbeGround& ground, const std::string& session) : at_(ground), session_(session) {}

  std::vector<Probe> make() && {
    plain();
    dns();
    icmpProbes();
    servers();
    addresses();
    multicasts();
    fragments();
    options();
    protocols();
    spoofed();
    ipv6Probes();
    frames();
    return std::move(probes_);
  }

 private:
  std::string mark() const { return probeMark(session_, static_cast<unsigned>(probes_.size())); }
  Ipv4Header to(Ipv4 destination) const {
    Ipv4Header header;
    header.source = at_.address;
    header.destination = destination;
    header.ttl = kTtl;
    header.id = static_cast<std::uint16_t>(0x4000 + probes_.size());
    return header;
  }
  Bytes byRouter(const Bytes& packet) const {
    return ethernet(at_.router, at_.client, frame::kIpv4, packet);
  }
  void add(const char* topic, std::string what, std::vector<Bytes> frames) {
    probes_.push_back({topic, std::move(what), std::move(frames)});
  }
  void udpTo(const char* topic, Ipv4 destination, std::uint16_t port) {
    add(topic, fmt::format("UDP to {}:{}", toString(destination), port),
        {byRouter(udp(to(destination), kSourcePort, port, mark()))});
  }
  // A connection's first segment, and one of a connection that does not exist.
  void tcpTo(const char* topic, Ipv4 destination, std::uint16_t port) {
    add(topic, fmt::format("TCP to {}:{}", toString(destination), port),
        {byRouter(tcp(to(destination), kSourcePort, port, kSyn, mark()))});
  }
  void pingTo(const char* topic, Ipv4 destination) {
    add(topic, fmt::format("ICMP echo to {}", toString(destination)),
        {byRouter(icmp(to(destination), 8, 0, mark()))});
  }

  void plain() {
    for (const std::uint16_t port : kTcpPorts) tcpTo("TCP", kPublic, port);
    for (const std::uint8_t flags : {kAck, kRst, std::uint8_t(kFin | kAck)})
      add("TCP without a connection", fmt::format("TCP flags {:#04x}", flags),
          {byRouter(tcp(to(kPublic), kSourcePort, 443, flags, mark()))});
    for (const std::uint16_t port : kUdpPorts) udpTo("UDP", kPublic, port);
  }

  void dns() {
    std::vector<Ipv4> resolvers = {kResolver, kPublic};
    if (at_.uplink.gateway.value != 0) resolvers.push_back(at_.uplink.gateway);
    for (const Ipv4 resolver : resolvers) {
      // The question's name carries the mark, wherever it may be passed on to.
      const Bytes query = dnsQuery(1, mark() + ".invalid");
      const std::string question(query.begin(), query.end());
      add("DNS of another resolver", fmt::format("DNS by UDP to {}", toString(resolver)),
          {byRouter(udp(to(resolver), kSourcePort, 53, question))});
      tcpTo("DNS of another resolver", resolver, 53);
      tcpTo("DNS over TLS", resolver, 853);
      udpTo("DNS over TLS", resolver, 853);
    }
  }

  void icmpProbes() {
    pingTo("ICMP", kPublic);
    for (const std::uint8_t type : kIcmpTypes)
      add("ICMP", fmt::format("ICMP type {} to {}", type, toString(kPublic)),
          {byRouter(icmp(to(kPublic), type, 0, mark()))});
  }

  // TunnelCrack's ServerIP (CVE-2023-36673): what a client sends to the server itself.
  void servers() {
    for (const Endpoint& server : at_.servers) {
      udpTo("the server's own address", server.address, server.port);
      tcpTo("the server's own address", server.address, server.port);
      tcpTo("the server's own address", server.address, 80);
      udpTo("the server's own address", server.address, 53);
      pingTo("the server's own address", server.address);
    }
  }

  void addresses() {
    std::vector<Ipv4> local = {kMetadata,        Ipv4{0x0a636363},  // 10.99.99.99
                               Ipv4{0xac106363},                    // 172.16.99.99
                               Ipv4{0xc0a86363},                    // 192.168.99.99
                               Ipv4{0x64406363},                    // 100.64.99.99
                               Ipv4{0x7f000001}, Ipv4{0x00000001},
                               Ipv4{0xf0000001}, Ipv4{0xa9fe0101},  // 169.254.1.1
                               Ipv4{0xc00000ab}};                   // 192.0.0.171 (RFC 7050)
    for (const Ipv4 address : local) {
      pingTo("local and reserved addresses", address);
      udpTo("local and reserved addresses", address, 9);
      tcpTo("local and reserved addresses", address, 80);
    }
    std::vector<Ipv4> upstream;
    for (const Ipv4 address : {at_.uplink.gateway, at_.uplink.address})
      if (address.value != 0) upstream.push_back(address);
    if (at_.tunnel) upstream.push_back(*at_.tunnel);
    if (at_.uplink.lan) {
      upstream.push_back({at_.uplink.lan->network().value + 3});
      upstream.push_back(at_.uplink.lan->broadcast());
    }
    for (const Ipv4 address : upstream) {
      udpTo("the network upstream", address, 9);
      tcpTo("the network upstream", address, 22);
      pingTo("the network upstream", address);
    }
  }

  void multicasts() {
    const auto group = [&](const char* name, Ipv4 address, std::uint16_t port) {
      add("multicast and broadcast", name,
          {ethernet(multicastMac(address), at_.client, frame::kIpv4,
                    udp(to(address), port, port, mark())),
           byRouter(udp(to(address), port, port, mark()))});
    };
    group("mDNS", Ipv4{0xe00000fb}, 5353);
    group("LLMNR", Ipv4{0xe00000fc}, 5355);
    group("SSDP", Ipv4{0xeffffffa}, 1900);
    for (const Ipv4 address : {kEverybody, at_.lan.address.broadcast()})
      for (const std::uint16_t port : kBroadcastPorts)
        add("multicast and broadcast", fmt::format("broadcast to {}:{}", toString(address), port),
            {ethernet(kBroadcast, at_.client, frame::kIpv4,
                      udp(to(address), port == 67 ? 68 : port, port, mark()))});
    add("multicast and broadcast", "unicast packet in a broadcast frame",
        {ethernet(kBroadcast, at_.client, frame::kIpv4, udp(to(kPublic), kSourcePort, 9, mark()))});
  }

  void fragments() {
    for (const Ipv4 destination : fragmentTargets()) {
      Ipv4Header header = to(destination);
      const Bytes datagram = udpDatagram(header, kSourcePort, 53, mark() + std::string(46, 'x'));
      Bytes first(datagram.begin(), datagram.begin() + 40),
          rest(datagram.begin() + 40, datagram.end());
      header.fragment = 0x2000;
      const Bytes head = byRouter(ipv4(header, first));
      const Bytes tiny = byRouter(ipv4(header, Bytes(datagram.begin(), datagram.begin() + 8)));
      header.fragment = 5;  // 40 bytes
      const Bytes tail = byRouter(ipv4(header, rest));
      const std::string name = toString(destination);
      add("fragments", "two fragments to " + name, {head, tail});
      add("fragments", "a later fragment alone to " + name, {tail});
      add("fragments", "a first fragment without its data to " + name, {tiny});
    }
  }
  std::vector<Ipv4> fragmentTargets() const {
    std::vector<Ipv4> targets = {kPublic};
    for (const Endpoint& server : at_.servers) targets.push_back(server.address);
    return targets;
  }

  void options() {
    const auto with = [&](const char* name, Bytes bytes) {
      Ipv4Header header = to(kPublic);
      header.options = std::move(bytes);
      add("IP options", name, {byRouter(udp(header, kSourcePort, 9, mark()))});
    };
    const std::uint32_t hop =
        at_.uplink.gateway.value != 0 ? at_.uplink.gateway.value : kResolver.value;
    const auto byte = [&](int shift) { return static_cast<std::uint8_t>(hop >> shift); };
    with("loose source route", {kNop, 0x83, 7, 4, byte(24), byte(16), byte(8), byte(0)});
    with("strict source route", {kNop, 0x89, 7, 4, byte(24), byte(16), byte(8), byte(0)});
    with("record route", {kNop, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0});
    with("timestamp", {0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    with("router alert", {0x94, 4, 0, 0});
  }

  void protocols() {
    const std::pair<int, const char*> list[] = {
        {2, "IGMP"},  {4, "IPIP"},  {41, "6in4"},  {47, "GRE"},   {50, "ESP"}, {51, "AH"},
        {89, "OSPF"}, {103, "PIM"}, {112, "VRRP"}, {132, "SCTP"}, {255, "raw"}};
    for (const auto& [number, name] : list) {
      Ipv4Header header = to(kPublic);
      header.protocol = static_cast<std::uint8_t>(number);
      const std::string text = std::string(8, '\0') + mark();
      add("other protocols", fmt::format("{} (protocol {})", name, number),
          {byRouter(ipv4(header, Bytes(text.begin(), text.end())))});
    }
  }

  void spoofed() {
    std::vector<Ipv4> sources = {at_.lan.address.address, kPublic, Ipv4{0x7f000001}, Ipv4{0},
                                 Ipv4{0x0a636363}};
    for (const Ipv4 address : {at_.uplink.address, at_.uplink.gateway})
      if (address.value != 0) sources.push_back(address);
    if (at_.tunnel) sources.push_back(*at_.tunnel);
    for (const Ipv4 source : sources)
      for (const Ipv4 destination : fragmentTargets()) {
        Ipv4Header header = to(destination);
        header.source = source;
        add("spoofed sources",
            fmt::format("from {} to {}", toString(source), toString(destination)),
            {byRouter(udp(header, kSourcePort, 443, mark()))});
      }
  }

  void ipv6Probes() {
    const frame::Ipv6 own = linkLocal(at_.client), router = linkLocal(at_.router);
    const auto send = [&](const char* name, const Mac& mac, const Bytes& packet) {
      add("IPv6", name, {ethernet(mac, at_.client, frame::kIpv6, packet)});
    };
    const std::string text = std::string(4, '\0') + mark();  // four reserved bytes come first
    const Bytes solicit(text.begin(), text.end());
    send("router solicitation", multicastMac(kAllRouters), icmp6(own, kAllRouters, 133, solicit));
    send("mDNS by IPv6", multicastMac(kMdns6), udp6(own, kMdns6, 5353, 5353, mark()));
    send("to the router's link-local address", at_.router,
         udp6(own, router, kSourcePort, 53, mark()));
    send("UDP to a global address", at_.router,
         udp6(kGlobalSource, kGlobal, kSourcePort, 443, mark()));
    const std::string again = mark();
    send("router advertisement", multicastMac(kAllRouters),
         icmp6(own, kAllRouters, 134, Bytes(again.begin(), again.end())));
  }

  void frames() {
    const Bytes packet = udp(to(kPublic), kSourcePort, 443, mark());
    add("frames", "VLAN tag", {tagged(at_.router, at_.client, 7, frame::kIpv4, packet)});
    const auto typed = [&](const char* name, std::uint16_t type, const Mac& destination) {
      std::string text = std::string(4, '\0') + mark();
      text.resize(46);
      add("frames", name, {ethernet(destination, at_.client, type, {text.begin(), text.end()})});
    };
    typed("LLDP", 0x88cc, {{1, 0x80, 0xc2, 0, 0, 0x0e}});
    typed("spanning tree (802.3)", 46, {{1, 0x80, 0xc2, 0, 0, 0}});
    typed("PPPoE", 0x8863, kBroadcast);
    typed("unknown EtherType", 0x88b6, at_.router);
    if (at_.uplink.gateway.value != 0)
      add("frames", "ARP for the gateway upstream",
          {ethernet(kBroadcast, at_.client, frame::kArp,
                    arp(1, at_.client, at_.address, Mac{}, at_.uplink.gateway))});
  }

  const ProbeGround& at_;
  const std::string& session_;
  std::vector<Probe> probes_;
};

Result<UniqueFd> senderOn(const IfName& link) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) return sysError(errno, "open a packet socket");
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_ifindex = static_cast<int>(::if_nametoindex(link.str().c_str()));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    return sysError(errno, "send by link '{}'", link.str());
  return fd;
}

Status sendOne(const UniqueFd& fd, const Bytes& frame) {
  if (::send(fd.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()))
    return {};
  if (errno == ENOBUFS) return {};  // the link is down or full: nothing got out by it
  return sysError(errno, "send a frame");
}

}  // namespace

std::vector<Endpoint> serversOf(const EgressSpec& egress) {
  std::vector<Endpoint> servers;
  if (const auto* openvpn = std::get_if<OpenVpnEgress>(&egress)) servers = openvpn->remotes;
  if (const auto* wireguard = std::get_if<WireGuardEgress>(&egress))
    for (const WireGuardPeer& peer : wireguard->peers) servers.push_back(peer.endpoint);
  if (const auto* socks5 = std::get_if<Socks5Egress>(&egress)) servers.push_back(socks5->server);
  return servers;
}

std::vector<Probe> probesFor(const ProbeGround& ground, const std::string& session) {
  return Maker(ground, session).make();
}

Status sendFrames(const NetnsFd& netns, const IfName& link, const std::vector<Probe>& probes) {
  return inNetns(netns, [&]() -> Status {
    ORRERY_TRY_ASSIGN(const UniqueFd fd, senderOn(link));
    for (const Probe& probe : probes)
      for (const Bytes& frame : probe.frames) ORRERY_TRY(sendOne(fd, frame));
    return {};
  });
}

Status sendMarker(const NetnsFd& netns, const IfName& link, const std::string& session,
                  std::uint8_t number) {
  return inNetns(netns, [&]() -> Status {
    ORRERY_TRY_ASSIGN(const UniqueFd fd, senderOn(link));
    return sendOne(fd, markerFrame(session, number));
  });
}

}  // namespace orrery::audit
