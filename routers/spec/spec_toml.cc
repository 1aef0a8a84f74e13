#include "routers/spec/spec_toml.h"

#include <fmt/format.h>

#include "routers/spec/client_limits.h"
#include "routers/spec/values.h"

namespace orrery {
namespace {

// A basic string of TOML (1.0, "String").
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string addressList(const std::vector<Ipv4>& addresses) {
  std::string out;
  for (const Ipv4 address : addresses) {
    out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", toString(address));
  }
  return "[" + out + "]";
}

std::string nicText(const NicSelector& nic) {
  struct Text {
    std::string operator()(const NicByMac& n) const { return "mac = " + quoted(toString(n.mac)); }
    std::string operator()(const NicByPci& n) const { return "pci = " + quoted(n.slot); }
    std::string operator()(const NicByName& n) const { return "name = " + quoted(n.name.str()); }
  };
  return std::visit(Text{}, nic);
}

std::string uplinkText(const Uplink& uplink) {
  if (const auto* router = std::get_if<RouterUplink>(&uplink)) {
    if (!router->address) return quoted(router->router);
    return fmt::format("{{ router = {}, address = \"{}\" }}", quoted(router->router),
                       toString(*router->address));
  }
  const auto& nic = std::get<NicUplink>(uplink);
  std::string out = fmt::format("{{ nic = {{ {} }}", nicText(nic.nic));
  if (nic.fixed) {
    out += fmt::format(", address = \"{}\", gateway = \"{}\"", toString(nic.fixed->address),
                       toString(nic.fixed->gateway));
    if (!nic.fixed->dns.empty()) out += ", dns = " + addressList(nic.fixed->dns);
  }
  if (nic.mac) out += fmt::format(", mac = \"{}\"", toString(*nic.mac));
  return out + " }";
}

std::string lanText(const LanSpec& lan) {
  std::string out =
      fmt::format("address = \"{}\"\nmac = \"{}\"\n", toString(lan.address), toString(lan.mac));
  if (lan.dhcp) {
    out +=
        fmt::format("dhcp = {{ range = [\"{}\", \"{}\"], lease = \"{}s\" }}\n",
                    toString(lan.dhcp->first), toString(lan.dhcp->last), lan.dhcp->lease.count());
  } else {
    out += "dhcp = false\n";
  }
  return out + fmt::format("clients_talk = {}\nmtu = {}\n", lan.clientsTalk, lan.mtu);
}

std::string filtersText(const std::string& router, const std::vector<FilterSpec>& filters) {
  std::string out;
  for (const FilterSpec& filter : filters) {
    out += fmt::format("\n[[router.{}.lan.filter]]\ndirection = \"{}\"\n{} = {}\n", router,
                       toString(filter.direction), filter.pass ? "pass" : "drop",
                       quoted(filter.expression));
    if (!filter.why.empty()) out += fmt::format("why = {}\n", quoted(filter.why));
  }
  return out;
}

std::string authLine(const std::optional<std::string>& auth) {
  return auth ? fmt::format("auth = {}\n", quoted(*auth)) : std::string();
}

std::string egressText(const EgressSpec& egress) {
  struct Text {
    std::string operator()(const DirectEgress&) const { return {}; }
    std::string operator()(const OpenVpnEgress& e) const {
      return fmt::format("profile = {}\n", quoted(e.profile)) + authLine(e.auth);
    }
    std::string operator()(const WireGuardEgress& e) const {
      return fmt::format("profile = {}\n", quoted(e.profile));
    }
    std::string operator()(const TorEgress& e) const {
      return e.torrc ? fmt::format("torrc = {}\n", quoted(*e.torrc)) : std::string();
    }
    std::string operator()(const Socks5Egress& e) const {
      return fmt::format("server = \"{}:{}\"\n", toString(e.server.address), e.server.port) +
             authLine(e.auth);
    }
  };
  return fmt::format("type = \"{}\"\n", egressName(egress)) + std::visit(Text{}, egress);
}

std::string seccompText(const std::string& router, const SeccompSpec& seccomp) {
  if (seccomp == SeccompSpec{}) return {};
  std::string out = fmt::format("\n[router.{}.seccomp]\nlearn = {}\n", router, seccomp.learn);
  if (seccomp.profiles.empty()) return out;
  out += fmt::format("\n[router.{}.seccomp.profiles]\n", router);
  for (const OwnSeccompProfile& p : seccomp.profiles)
    out += fmt::format("{} = {}\n", p.service, quoted(p.path));
  return out;
}

}  // namespace

std::string toToml(const RouterSpec& spec) {
  const std::string& name = spec.id.name;
  std::string out = fmt::format("version = 1\nnetwork = {}\n", quoted(spec.id.network));
  out += fmt::format("\n[router.{}]\nkind = \"{}\"\nuplink = {}\n", name, toString(spec.kind),
                     uplinkText(spec.uplink));
  out += fmt::format("\n[router.{}.lan]\n{}", name, lanText(spec.lan));
  out += filtersText(name, spec.lan.filters);
  out += fmt::format("\n[router.{}.dns]\nservers = {}\nnames = \"{}\"\n", name,
                     addressList(spec.dns.servers), toString(spec.dns.names));
  out += fmt::format("\n[router.{}.egress]\n{}", name, egressText(spec.egress));
  out += fmt::format("\n[router.{}.limits]\n", name);
  if (spec.limits.cpus) out += fmt::format("cpus = {}\n", quoted(*spec.limits.cpus));
  out +=
      fmt::format("memory = \"{}\"\npids = {}\n", memoryText(spec.limits.memory), spec.limits.pids);
  if (spec.limits.cpuQuota != 0) out += fmt::format("cpu_quota = \"{}%\"\n", spec.limits.cpuQuota);
  out += clientLimitsText(name, spec.clientLimits);
  return out + seccompText(name, spec.seccomp);
}

}  // namespace orrery
