#include "routers/kinds/desired.h"

#include "routers/firewall/firewall.h"
#include "routers/kinds/sysctls.h"

namespace orrery {
namespace {

IfName fixedName(const char* name) {
  return IfName::parse(name).value();
}

class Builder {
 public:
  Builder(const RouterSpec& spec, const Placement& placement) : spec_(spec), at_(placement) {}

  std::vector<Resource> build() && {
    add(FileResource{idSlotPath(at_.idSlot), 0644, spec_.id.text() + "\n"});
    add(CgroupResource{spec_.id.network + "/" + spec_.id.name, spec_.limits});
    closedNamespaces();
    lanSide();
    uplinkSide();
    add(SupervisorResource{spec_.id});
    return std::move(out_);
  }

 private:
  void add(Resource resource) { out_.push_back(std::move(resource)); }
  std::string lan() const { return spec_.id.text(); }

  void closedNamespaces() {
    if (hasEgressNamespace(spec_)) {
      add(NetnsResource{spec_.id.egressText()});
      add(SysctlsResource{spec_.id.egressText(), endpointSysctls(at_.kernel)});
      add(RulesetResource{spec_.id.egressText(), egressRuleset(spec_, uplinkFacts())});
      add(LinkUpResource{spec_.id.egressText(), fixedName("lo")});
    }
    add(NetnsResource{lan()});
    add(SysctlsResource{lan(), isProxied(spec_.egress) ? endpointSysctls(at_.kernel)
                                                       : forwardingSysctls(at_.kernel)});
    add(RulesetResource{lan(), lanRuleset(spec_), !spec_.clientLimits.given});
    add(LinkUpResource{lan(), fixedName("lo")});
    // What no other route takes goes to a link that leads nowhere, by way of the rules that refuse
    // it. Without a route at all the kernel's answer would be an ICMP error, which ends no
    // connection.
    if (!isProxied(spec_.egress))
      add(RouteResource{lan(), Prefix4{Ipv4{0}, 0}, std::nullopt, fixedName("lo"), kLastTable,
                        false});
  }

  UplinkFacts uplinkFacts() const {
    UplinkFacts facts;
    if (at_.uplink) {
      facts.gateway = at_.uplink->lan.address.address;
      facts.lan = at_.uplink->lan.address;
    }
    if (at_.uplinkAddress) facts.address = *at_.uplinkAddress;
    return facts;
  }

  void lanSide() {
    add(BridgeResource{lan(), bridgeName(spec_), spec_.lan.mac, spec_.lan.mtu});
    // Nothing that leaves by the uplink may ever bear it, also while that has no address (a lease
    // that changes): masquerade would take any other one of the namespace.
    add(AddressResource{lan(), bridgeName(spec_), spec_.lan.address, true});
    add(LinkUpResource{lan(), bridgeName(spec_)});
    if (!isProxied(spec_.egress)) return;
    add(MarkRuleResource{lan(), kProxyMark, kTproxyTable});
    add(RouteResource{lan(), Prefix4{Ipv4{0}, 0}, std::nullopt, fixedName("lo"), kTproxyTable,
                      true});
  }

  void uplinkSide() {
    if (const auto* nic = std::get_if<NicUplink>(&spec_.uplink))
      nicSide(*nic);
    else
      routerSide();
  }

  void nicSide(const NicUplink& uplink) {
    if (!at_.nic) return;
    add(NicResource{at_.nic->hostName, at_.nic->hostMac, at_.nic->up, at_.nic->mtu,
                    at_.nic->permanentMac, lan(), nicName(),
                    uplink.mac.value_or(at_.nic->hostMac)});
    if (uplink.fixed) add(AddressResource{lan(), nicName(), uplink.fixed->address});
    add(LinkUpResource{lan(), nicName()});
    if (uplink.fixed)
      add(RouteResource{lan(), Prefix4{Ipv4{0}, 0}, uplink.fixed->gateway, nicName(), 254, false});
  }

  void routerSide() {
    if (!at_.uplink || !at_.uplinkAddress) return;
    const RouterSpec& above = *at_.uplink;
    const std::string inner = uplinkNetns(spec_);
    const Mac mac = uplinkMac(spec_, *at_.uplinkAddress);
    add(FileResource{reservationDirectory(above.id) + "/" + toString(*at_.uplinkAddress), 0644,
                     fmt::format("{},{}\n", toString(mac), toString(*at_.uplinkAddress))});
    add(VethResource{inner, uplinkName(), mac, above.lan.mtu, above.id.text(),
                     fixedName(spec_.id.name.c_str()), bridgeName(above), !above.lan.clientsTalk,
                     *at_.uplinkAddress});
    add(AddressResource{inner, uplinkName(),
                        Prefix4{*at_.uplinkAddress, above.lan.address.length}});
    add(LinkUpResource{inner, uplinkName()});
    add(RouteResource{inner, Prefix4{Ipv4{0}, 0}, above.lan.address.address, uplinkName(), 254,
                      false});
  }

  const RouterSpec& spec_;
  const Placement& at_;
  std::vector<Resource> out_;
};

}  // namespace

IfName nicName() {
  return fixedName("ens1");
}
IfName uplinkName() {
  return fixedName("uplink");
}
IfName bridgeName(const RouterSpec& spec) {
  return fixedName(spec.id.name.c_str());
}

std::optional<IfName> tunnelName(const RouterSpec& spec) {
  if (std::holds_alternative<OpenVpnEgress>(spec.egress)) return fixedName("tun0");
  if (std::holds_alternative<WireGuardEgress>(spec.egress)) return fixedName("wg0");
  return std::nullopt;
}

std::string uplinkNetns(const RouterSpec& spec) {
  return hasEgressNamespace(spec) ? spec.id.egressText() : spec.id.text();
}

Mac uplinkMac(const RouterSpec& spec, Ipv4 uplinkAddress) {
  return macFromAddress(uplinkAddress, networkNumber(spec.id.network));
}

Mac portMac(const Mac& inner) {
  // As libvirt does it: a first byte of fe keeps the port's address apart from the client's, and
  // above every other on the bridge.
  Mac mac = inner;
  mac.bytes[0] = 0xfe;
  return mac;
}

std::string runDirectory(const RouterId& router) {
  return "/run/orrery/" + router.network + "/" + router.name;
}

std::string reservationDirectory(const RouterId& router) {
  return runDirectory(router) + "/dnsmasq/hosts.d";
}

std::string idSlotPath(std::uint32_t slot) {
  return fmt::format("/run/orrery/ids/{}", slot);
}

std::vector<Resource> desiredState(const RouterSpec& spec, const Placement& placement) {
  return Builder(spec, placement).build();
}

}  // namespace orrery
