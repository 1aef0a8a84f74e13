#include "routers/kinds/sysctls.h"

namespace orrery {
namespace {

SysctlValues namespaceSysctls(const KernelFacts& kernel, const char* forward) {
  SysctlValues values;
  if (kernel.ipv6) {
    // Before any link exists: a link that comes up with IPv6 on sends router solicitations and MLD
    // reports before anyone asked for an address.
    values.emplace_back("ipv6/conf/all/disable_ipv6", "1");
    values.emplace_back("ipv6/conf/default/disable_ipv6", "1");
  }
  // Writing ip_forward resets other settings of the same directory, so it comes first.
  // Documentation/networking/ip-sysctl.rst.
  values.emplace_back("ipv4/ip_forward", forward);
  for (const char* scope : {"all", "default"}) {
    const std::string at = std::string("ipv4/conf/") + scope + "/";
    values.emplace_back(at + "rp_filter", "1");       // strict: a source must route back
    values.emplace_back(at + "accept_redirects", "0");
    values.emplace_back(at + "secure_redirects", "0");
    values.emplace_back(at + "send_redirects", "0");
    values.emplace_back(at + "accept_source_route", "0");
    values.emplace_back(at + "arp_ignore", "2");    // no ARP answer for another link's address
    values.emplace_back(at + "arp_announce", "2");
    values.emplace_back(at + "route_localnet", "0");
    values.emplace_back(at + "proxy_arp", "0");
    values.emplace_back(at + "log_martians", "0");
  }
  values.emplace_back("ipv4/icmp_echo_ignore_broadcasts", "1");
  values.emplace_back("ipv4/icmp_errors_use_inbound_ifaddr", "1");
  // Services hold no capability, and still bind 53 and 67.
  values.emplace_back("ipv4/ip_unprivileged_port_start", "0");
  values.emplace_back("ipv4/ping_group_range", "1\t0");  // nobody
  // A connection whose process and peer are both gone (dnsmasq's to a resolver behind a tunnel that
  // was destroyed) would keep the namespace, and so its clients' links, for minutes: one try in
  // place of 8 (tcp(7)).
  values.emplace_back("ipv4/tcp_orphan_retries", "1");
  if (kernel.bridgeNetfilter) {
    // Else bridged frames pass through the ip hooks too.
    values.emplace_back("bridge/bridge-nf-call-iptables", "0");
    values.emplace_back("bridge/bridge-nf-call-ip6tables", "0");
    values.emplace_back("bridge/bridge-nf-call-arptables", "0");
  }
  return values;
}

}  // namespace

SysctlValues forwardingSysctls(const KernelFacts& kernel) {
  SysctlValues values = namespaceSysctls(kernel, "1");
  // A way out without carrier is none: the next route is taken, at last the one that refuses.
  values.emplace_back("ipv4/conf/all/ignore_routes_with_linkdown", "1");
  return values;
}

SysctlValues endpointSysctls(const KernelFacts& kernel) { return namespaceSysctls(kernel, "0"); }

}  // namespace orrery
