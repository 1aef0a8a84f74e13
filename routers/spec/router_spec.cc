#include "routers/spec/router_spec.h"

#include "sandbox/base/strings.h"

namespace orrery {

std::uint8_t networkNumber(const std::string& network) {
  const std::size_t last = network.find_last_not_of("0123456789");
  const std::size_t digits = last == std::string::npos ? 0 : last + 1;
  return parseNumber<std::uint8_t>(std::string_view(network).substr(digits)).value_or(0);
}

const char* toString(Kind kind) {
  switch (kind) {
    case Kind::universe:
      return "universe";
    case Kind::galaxy:
      return "galaxy";
    case Kind::star:
      return "star";
  }
  return "unknown";
}

const char* toString(FilterDirection direction) {
  return direction == FilterDirection::fromClient ? "from-client" : "to-client";
}

const char* egressName(const EgressSpec& egress) {
  struct Names {
    const char* operator()(const DirectEgress&) const { return "direct"; }
    const char* operator()(const OpenVpnEgress&) const { return "openvpn"; }
    const char* operator()(const WireGuardEgress&) const { return "wireguard"; }
    const char* operator()(const TorEgress&) const { return "tor"; }
    const char* operator()(const Socks5Egress&) const { return "socks5"; }
  };
  return std::visit(Names{}, egress);
}

bool isProxied(const EgressSpec& egress) {
  return std::holds_alternative<TorEgress>(egress) || std::holds_alternative<Socks5Egress>(egress);
}

bool hasEgressNamespace(const RouterSpec& spec) {
  return !std::holds_alternative<DirectEgress>(spec.egress);
}

const OwnSeccompProfile* ownProfile(const SeccompSpec* spec, std::string_view service) {
  if (spec == nullptr) return nullptr;
  for (const OwnSeccompProfile& profile : spec->profiles)
    if (profile.service == service) return &profile;
  return nullptr;
}

}  // namespace orrery
