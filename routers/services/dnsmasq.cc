// dnsmasq: DHCP for the LAN's clients, and DNS that forwards to what the egress supplies. On a
// proxied LAN (Tor, SOCKS5) tproxy answers DNS, and dnsmasq serves DHCP alone.
//
// What changes while it runs (resolvers, reservations) is in two files that it reads at its start
// and at each SIGHUP. It could watch a directory instead, but the end of a process with an inotify
// instance waits for an SRCU grace period (inotify_release(), 8 to 17 ms), which is longer than all
// the rest of a router's end.
#include <algorithm>

#include "routers/services/common.h"

namespace orrery {
namespace {

constexpr int kCapNetAdmin = 12;  // linux/capability.h: CAP_NET_ADMIN

std::string directory(const RouterId& router) { return runDirectory(router) + "/dnsmasq"; }

bool answersDns(const RouterSpec& spec) {
  return !std::holds_alternative<TorEgress>(spec.egress) &&
         !std::holds_alternative<Socks5Egress>(spec.egress);
}

std::string dhcpLines(const RouterSpec& spec) {
  const DhcpSpec& dhcp = *spec.lan.dhcp;
  return fmt::format(
      "dhcp-range={},{},{},{}\n"
      "dhcp-option=option:router,{}\n"
      "dhcp-option=option:dns-server,{}\n"
      "dhcp-option=option:mtu,{}\n"
      "dhcp-hostsfile=/run/told/hosts\n"
      "dhcp-leasefile=/run/dnsmasq/leases\n"
      "dhcp-authoritative\n"
      // No raw socket, no ARP entry by ioctl: the jail has no power over the namespace.
      "dhcp-broadcast\n"
      "no-ping\n",
      toString(dhcp.first), toString(dhcp.last), toString(spec.lan.address.mask()),
      dhcp.lease.count(), toString(spec.lan.address.address), toString(spec.lan.address.address),
      spec.lan.mtu);
}

// Queries that wait for an answer from outside. dnsmasq gives up after 10 s (TIMEOUT, its config.h),
// so one client whose names nobody answers holds those of 10 s and a burst, and several clients can
// do that before the others are refused. Each is some 300 bytes.
std::uint32_t forwardMax(const ClientLimits& limits) {
  constexpr std::uint32_t kTimeout = 10, kClients = 4, kLeast = 150, kMost = 10000;
  const std::uint32_t held = std::min(limits.dnsQueries, kMost) * (kTimeout + kBurstSeconds);
  return limits.dnsQueries == 0 ? kMost : std::clamp(held * kClients, kLeast, kMost);
}

std::string dnsLines(const RouterSpec& spec) {
  if (!answersDns(spec)) return "port=0\n";
  return
      fmt::format("dns-forward-max={}\n", forwardMax(spec.clientLimits)) +
      "no-resolv\n"
      "servers-file=/run/told/servers\n"
      "no-hosts\n"
      "domain-needed\n"
      "bogus-priv\n"
      "all-servers\n"
      "cache-size=400\n";
}

std::string config(const RouterSpec& spec) {
  std::string text = fmt::format(
      "interface={}\n"
      "except-interface=lo\n"
      "bind-interfaces\n"
      "log-facility=-\n"
      // Itself: it wants to know the user even where it has none to change to.
      "user=service\n",
      spec.id.name);
  text += dnsLines(spec);
  if (spec.lan.dhcp) text += dhcpLines(spec);
  return text;
}

}  // namespace

std::string dnsmasqServersPath(const RouterId& router) {
  return directory(router) + "/told/servers";
}
std::string dnsmasqHostsPath(const RouterId& router) { return directory(router) + "/told/hosts"; }
std::string dnsmasqLeasesPath(const RouterId& router) { return directory(router) + "/run/leases"; }

std::string serversText(const std::vector<Ipv4>& servers) {
  std::string text;
  for (const Ipv4 server : servers) text += "server=" + toString(server) + "\n";
  return text;
}

ServiceSpec dnsmasqService(const ServiceContext& at) {
  const RouterId& id = at.spec.id;
  ServiceSpec service;
  service.kind = ServiceKind::dnsmasq;
  service.netns = id.text();
  service.sandbox = serviceSandbox(at, ServiceKind::dnsmasq, at.programs.dnsmasq);
  service.sandbox.argv = {at.programs.dnsmasq, "--keep-in-foreground", "--pid-file",
                          "--conf-file=/etc/dnsmasq/dnsmasq.conf"};
  service.directories = {{directory(id), 0755, false},
                         {directory(id) + "/conf", 0755, false},
                         {reservationDirectory(id), 0755, false},
                         {directory(id) + "/told", 0755, false},
                         {directory(id) + "/run", 0700, true}};
  service.files = {{directory(id) + "/conf/dnsmasq.conf", config(at.spec), 0444}};
  service.sandbox.root.binds.push_back(
      {directory(id) + "/conf/dnsmasq.conf", "/etc/dnsmasq/dnsmasq.conf", false, false});
  service.sandbox.root.binds.push_back({directory(id) + "/told", "/run/told", false, false});
  service.sandbox.root.binds.push_back({directory(id) + "/run", "/run/dnsmasq", true, false});
  // It refuses to serve DHCP without this in its permitted set. It counts in its own user namespace,
  // which owns nothing: over the network namespace it has no power (tests/system/sandbox_process).
  if (at.spec.lan.dhcp) service.sandbox.capabilities = {kCapNetAdmin};
  service.sandbox.limits.openFiles = 512;
  service.sandbox.limits.fileBytes = 16 << 20;  // the leases of the largest LAN
  return service;
}

}  // namespace orrery
