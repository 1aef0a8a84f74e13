#include "routers/spec/router_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "netns/addr/special.h"
#include "routers/spec/client_limits.h"
#include "routers/spec/egress_reader.h"
#include "routers/spec/filter_reader.h"
#include "routers/spec/seccomp_reader.h"
#include "routers/spec/values.h"

namespace orrery {
namespace {

constexpr const char* kPrefixWanted = "an address with its prefix length: \"10.1.1.254/24\"";
constexpr const char* kMacWanted = "six hex pairs: \"52:54:00:ab:cd:01\"";
constexpr const char* kNicWanted =
    "{ nic = { mac = \"52:54:00:ab:cd:01\" } }, or nic = { pci = \"0000:02:01.0\" }, or nic = { "
    "name "
    "= \"eth1\" }";
constexpr const char* kRouterUplinkWanted =
    "the name of a router (\"universe0\") or { router = \"universe0\", address = \"10.0.0.2\" }";

class RouterReader {
 public:
  RouterReader(const RouterInstance& instance, const std::string& network,
               const AuxiliaryFiles& auxiliary, const FilterCompiler* filters, Reporter& reporter)
      : instance_(instance),
        auxiliary_(auxiliary),
        filters_(filters),
        reporter_(reporter),
        title_(fmt::format("[router.{}]", instance.name)),
        fields_(instance.table, instance.nameSpan, title_,
                KeyList{{"kind", "uplink", "lan", "dns", "egress", "limits", "client_limits",
                         "seccomp"}},
                reporter) {
    placed_.spec.id.network = network;
    placed_.source = &reporter.source();
    placed_.spans.name = instance.nameSpan;
  }

  std::optional<PlacedRouter> read() {
    const std::size_t before = errorCount();
    readName();
    const auto kind = readKind();
    readUplink(kind);
    readLan();
    readDns();
    readLimits();
    if (const Node* node = fields_.table("client_limits", "a table with 'connections' and others"))
      placed_.spec.clientLimits = readClientLimits(
          *node, fmt::format("[router.{}.client_limits]", instance_.name), reporter_);
    if (const Node* node = fields_.table("seccomp", "a table with 'learn', 'profiles'"))
      placed_.spec.seccomp = readSeccompSpec(
          *node, fmt::format("[router.{}.seccomp]", instance_.name), kind, auxiliary_, reporter_);
    if (kind) {
      placed_.spec.kind = *kind;
      const Node* egress = fields_.table("egress", "a table [router.NAME.egress]");
      if (fields_.optional("egress") == nullptr || egress != nullptr) {
        if (auto value = readEgress(EgressContext{*kind, title_, instance_.nameSpan, egress},
                                    auxiliary_, reporter_)) {
          placed_.spec.egress = *std::move(value);
        }
      }
    }
    if (errorCount() != before) return std::nullopt;
    return placed_;
  }

 private:
  std::size_t errorCount() const {
    const Diagnostics& all = reporter_.list();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [](const Diagnostic& d) { return !d.warning; }));
  }

  void readName() {
    auto name = parseRouterName(instance_.name);
    if (name) {
      placed_.spec.id.name = *std::move(name);
    } else {
      reporter_.error(instance_.nameSpan, name.error().message);
    }
  }

  std::optional<Kind> readKind() {
    return fields_.requiredText(
        "kind",
        [](std::string_view text) -> Result<Kind> {
          for (const Kind kind : {Kind::universe, Kind::galaxy, Kind::star}) {
            if (text == toString(kind)) return kind;
          }
          return error("'{}' is not a kind of router", text);
        },
        "\"universe\" (owns a NIC), \"galaxy\" (VPN) or \"star\" (Tor)");
  }

  // --- uplink -----------------------------------------------------------------------------------

  void readUplink(const std::optional<Kind>& kind) {
    const bool wantsNic = kind == Kind::universe;
    const std::string expected = wantsNic ? kNicWanted : kRouterUplinkWanted;
    const Node* node = fields_.required("uplink", expected);
    if (node == nullptr) return;
    placed_.spans.uplink = node->span;
    placed_.spans.uplinkAddress = node->span;
    const bool hasNic = node->type == NodeType::table && find(*node, "nic") != nullptr;
    if (kind && (wantsNic != hasNic) &&
        (node->type == NodeType::string || node->type == NodeType::table)) {
      Diagnostic& d = reporter_.error(
          node->span, wantsNic ? "a universe's uplink is a NIC"
                               : fmt::format("a {}'s uplink is another router", toString(*kind)));
      d.expected = expected;
      d.got = hasNic ? "a NIC" : describe(*node);
      return;
    }
    if (node->type == NodeType::table) {
      hasNic ? readNicUplink(*node) : readRouterUplink(*node);
    } else if (auto router = fields_.text("uplink", parseRouterName, expected)) {
      placed_.spec.uplink = RouterUplink{*std::move(router), std::nullopt};
    }
  }

  void readRouterUplink(const Node& node) {
    FieldReader fields(node, placed_.spans.uplink, fmt::format("the uplink of {}", title_),
                       KeyList{{"router", "address"}}, reporter_);
    RouterUplink uplink;
    uplink.router = fields.requiredText("router", parseRouterName, "the name of a router")
                        .value_or(std::string());
    uplink.address = fields.text("address", parseHostAddress,
                                 "an address on the uplink's LAN, without a prefix length");
    if (const Node* address = fields.optional("address")) {
      placed_.spans.uplinkAddress = address->span;
    }
    placed_.spec.uplink = std::move(uplink);
  }

  void readNicUplink(const Node& node) {
    FieldReader fields(node, placed_.spans.uplink, fmt::format("the uplink of {}", title_),
                       KeyList{{"nic", "address", "gateway", "dns", "mac"}}, reporter_);
    NicUplink uplink;
    if (const Node* nic = fields.table("nic", kNicWanted)) {
      if (auto selector = readNic(*nic)) uplink.nic = *std::move(selector);
    }
    uplink.mac = fields.text("mac", parseUnicastMac, kMacWanted);
    readStaticUplink(fields, uplink);
    placed_.spec.uplink = std::move(uplink);
  }

  std::optional<NicSelector> readNic(const Node& node) {
    FieldReader fields(node, node.span, fmt::format("the NIC of {}", title_),
                       KeyList{{"mac", "pci", "name"}}, reporter_);
    const std::size_t given = std::size_t{fields.optional("mac") != nullptr} +
                              std::size_t{fields.optional("pci") != nullptr} +
                              std::size_t{fields.optional("name") != nullptr};
    if (given != 1) {
      Diagnostic& d = reporter_.error(
          node.span, given == 0 ? "the NIC is not named" : "the NIC is named more than once");
      d.expected = "exactly one of mac, pci, name";
      return std::nullopt;
    }
    if (const auto mac = fields.text("mac", parseUnicastMac, kMacWanted)) return NicByMac{*mac};
    if (auto pci = fields.text("pci", parsePciSlot,
                               "domain:bus:device.function: "
                               "\"0000:02:01.0\"")) {
      return NicByPci{*std::move(pci)};
    }
    if (auto name = fields.text("name", IfName::parse, "an interface of the host: \"eth1\"")) {
      return NicByName{*std::move(name)};
    }
    return std::nullopt;
  }

  void readStaticUplink(FieldReader& fields, NicUplink& uplink) {
    const Node* address = fields.optional("address");
    if (address == nullptr) {
      for (const char* key : {"gateway", "dns"}) {
        if (const Node* lone = fields.optional(key)) {
          Diagnostic& d =
              reporter_.error(lone->span, fmt::format("'{}' without 'address' in the uplink", key));
          d.hint = "give the address too, or none of them for DHCP";
        }
      }
      return;
    }
    placed_.spans.uplinkAddress = address->span;
    const auto own = fields.text("address", parsePrefix4, kPrefixWanted);
    const auto gateway =
        fields.requiredText("gateway", parseHostAddress, "the address of the gateway");
    StaticUplink fixed;
    fixed.dns = fields.texts("dns", parseHostAddress, "the address of a DNS server");
    if (!own || !gateway) return;
    fixed.address = *own;
    fixed.gateway = *gateway;
    checkInterfaceAddress(fixed.address, *address);
    if (!own->contains(*gateway) || own->address == *gateway) {
      Diagnostic& d = reporter_.error(fields.optional("gateway")->span,
                                      "the gateway is not a neighbour on the uplink");
      d.expected =
          fmt::format("another address in {}", toString(Prefix4{own->network(), own->length}));
      d.got = toString(*gateway);
    }
    uplink.fixed = std::move(fixed);
  }

  // --- lan --------------------------------------------------------------------------------------

  void readLan() {
    const Node* node = fields_.required("lan", "a table with at least 'address'");
    if (node == nullptr || fields_.table("lan", "a table with at least 'address'") == nullptr) {
      return;
    }
    FieldReader fields(
        *node, node->span, fmt::format("[router.{}.lan]", instance_.name),
        KeyList{{"address", "mac", "mac_local", "dhcp", "clients_talk", "mtu", "filter"}},
        reporter_);
    LanSpec& lan = placed_.spec.lan;
    lan.clientsTalk = fields.boolean("clients_talk").value_or(false);
    // 576: what every IPv4 host must take (RFC 791); 65535: the kernel's ETH_MAX_MTU.
    lan.mtu = static_cast<std::uint16_t>(fields.integer("mtu", 576, 65535).value_or(1500));
    const auto address = fields.requiredText("address", parsePrefix4, kPrefixWanted);
    if (!address) {
      readDhcp(fields, std::nullopt);
      readMac(fields);
      return;
    }
    placed_.spans.lanAddress = fields.optional("address")->span;
    lan.address = *address;
    const bool good = checkInterfaceAddress(*address, *fields.optional("address"));
    readMac(fields);
    readDhcp(fields, good ? address : std::nullopt);
    if (const Node* filters = fields.array("filter", "tables [[router.NAME.lan.filter]]"))
      lan.filters = readFilters(*filters, instance_.name, lan.address, filters_, reporter_);
  }

  void readMac(FieldReader& fields) {
    const auto local = fields.boolean("mac_local");
    const auto given = fields.text("mac", parseUnicastMac, kMacWanted);
    if (local && fields.optional("mac") != nullptr) {
      reporter_
          .error(fields.optional("mac_local")->span, "'mac_local' and 'mac' exclude each other")
          .hint = "'mac_local' is about the MAC that is derived from the address: drop one of them";
    }
    placed_.spec.lan.mac = given.value_or(macFromAddress(placed_.spec.lan.address.address,
                                                         networkNumber(placed_.spec.id.network),
                                                         local.value_or(false)));
  }

  void readDhcp(FieldReader& lanFields, const std::optional<Prefix4>& subnet) {
    constexpr const char* kWanted =
        "false, or { range = [\"10.1.1.2\", \"10.1.1.253\"], lease = \"9000s\" }";
    const Node* node = lanFields.optional("dhcp");
    if (node == nullptr || (node->type == NodeType::boolean && !node->boolean)) return;
    if (node->type != NodeType::table) {
      Diagnostic& d =
          reporter_.error(node->span, "'dhcp' does not say which addresses to give out");
      d.expected = kWanted;
      d.got = describe(*node);
      return;
    }
    FieldReader fields(*node, node->span, fmt::format("the DHCP of {}", title_),
                       KeyList{{"range", "lease"}}, reporter_);
    DhcpSpec dhcp;
    if (const auto lease = fields.text(
            "lease", parseDuration, "a number with a unit: \"9000s\", \"15m\", \"2h\", \"1d\"")) {
      // dnsmasq(8): the least lease time is two minutes.
      if (*lease < std::chrono::minutes(2) || *lease > std::chrono::hours(24 * 365)) {
        Diagnostic& d = reporter_.error(fields.optional("lease")->span, "'lease' is out of range");
        d.expected = "from \"2m\" to \"365d\"";
        d.got = describe(*fields.optional("lease"));
      }
      dhcp.lease = *lease;
    }
    if (fields.required("range", "[\"FIRST\", \"LAST\"]") == nullptr) return;
    const std::size_t before = errorCount();
    const auto range = fields.texts("range", parseHostAddress, "an address");
    if (errorCount() != before) return;
    checkRange(*fields.optional("range"), range, subnet, dhcp);
    placed_.spec.lan.dhcp = dhcp;
  }

  void checkRange(const Node& node, const std::vector<Ipv4>& range,
                  const std::optional<Prefix4>& subnet, DhcpSpec& dhcp) {
    const auto complain = [&](const std::string& message, const std::string& expected) {
      Diagnostic& d = reporter_.error(node.span, message);
      d.expected = expected;
      for (const Ipv4 address : range) d.got += (d.got.empty() ? "" : ", ") + toString(address);
    };
    if (range.size() != 2) return complain("'range' is not a pair", "[\"FIRST\", \"LAST\"]");
    dhcp.first = range[0];
    dhcp.last = range[1];
    if (dhcp.first > dhcp.last) return complain("'range' ends before it begins", "the lower first");
    if (!subnet) return;
    const Ipv4 lowest{subnet->network().value + 1};
    const Ipv4 highest{subnet->broadcast().value - 1};
    const std::string hosts =
        fmt::format("addresses from {} to {}", toString(lowest), toString(highest));
    if (dhcp.first < lowest || dhcp.last > highest) {
      return complain("'range' reaches out of the LAN's subnet", hosts);
    }
    if (dhcp.first <= subnet->address && subnet->address <= dhcp.last) {
      complain(fmt::format("'range' holds the router's own address {}", toString(subnet->address)),
               hosts + ", without the router's own");
    }
  }

  // True if an interface can have it and a neighbour beside it.
  bool checkInterfaceAddress(const Prefix4& prefix, const Node& node) {
    std::string message;
    if (prefix.length < 8 || prefix.length > 30) {
      message = fmt::format("a subnet of /{} cannot be used", prefix.length);
    } else if (kLinkLocal.contains(prefix.address)) {
      message =
          fmt::format("'{}' is link-local: no router forwards it (RFC 3927)", toString(prefix));
    } else if (!isHostAddress(prefix.address)) {
      message =
          fmt::format("'{}' is no host's address: it is zero, loopback, multicast or reserved",
                      toString(prefix.address));
    } else if (prefix.address == prefix.network()) {
      message = fmt::format("'{}' is the subnet's own address", toString(prefix));
    } else if (prefix.address == prefix.broadcast()) {
      message = fmt::format("'{}' is the subnet's broadcast address", toString(prefix));
    } else {
      return true;
    }
    Diagnostic& d = reporter_.error(node.span, message);
    const bool plausible = prefix.length >= 8 && prefix.length <= 30 &&
                           isHostAddress(prefix.address) && !kLinkLocal.contains(prefix.address);
    d.expected = plausible ? fmt::format("an address from {} to {}",
                                         toString(Ipv4{prefix.network().value + 1}),
                                         toString(Ipv4{prefix.broadcast().value - 1}))
                           : "a host's address with a prefix length from 8 to 30";
    return false;
  }

  // --- dns, limits ------------------------------------------------------------------------------

  void readDns() {
    placed_.spans.dnsNames = placed_.spans.lanAddress;
    const Node* node = fields_.table("dns", "a table with 'servers', 'names'");
    if (node == nullptr) return;
    FieldReader fields(*node, node->span, fmt::format("[router.{}.dns]", instance_.name),
                       KeyList{{"servers", "names"}}, reporter_);
    DnsSpec& dns = placed_.spec.dns;
    dns.servers = fields.texts("servers", parseHostAddress, "the address of a DNS server");
    const auto names = fields.text("names", parsePrefix4, "a subnet: \"10.192.0.0/10\"");
    if (!names) return;
    const Node& value = *fields.optional("names");
    placed_.spans.dnsNames = value.span;
    if (names->address != names->network() || names->length < 8 || names->length > 24 ||
        !isHostAddress(names->address)) {
      Diagnostic& d = reporter_.error(value.span, "'names' is not a usable range of addresses");
      d.expected = "a subnet of /8 to /24 without host bits: \"10.192.0.0/10\"";
      d.got = describe(value);
    }
    dns.names = *names;
  }

  void readLimits() {
    const Node* node =
        fields_.table("limits", "a table with 'cpus', 'cpu_quota', 'memory', 'pids'");
    if (node == nullptr) return;
    FieldReader fields(*node, node->span, fmt::format("[router.{}.limits]", instance_.name),
                       KeyList{{"cpus", "cpu_quota", "memory", "pids"}}, reporter_);
    LimitsSpec& limits = placed_.spec.limits;
    limits.cpus = fields.text("cpus", parseCpuList, "CPU numbers: \"0\" or \"0-1,3\"");
    limits.pids = static_cast<std::uint32_t>(
        fields.integer("pids", kLeastPids, 1 << 22).value_or(limits.pids));
    const char* wanted = "a number with a unit, from \"8M\" up: \"64M\", \"1G\"";
    if (const auto memory = fields.text("memory", parseMemory, wanted)) {
      limits.memory = *memory;
      if (*memory < kLeastMemory) {
        Diagnostic& d = reporter_.error(fields.optional("memory")->span,
                                        "'memory' is too little for any service");
        d.expected = wanted;
        d.got = describe(*fields.optional("memory"));
      }
    }
    readCpuQuota(fields);
  }

  void readCpuQuota(FieldReader& fields) {
    constexpr const char* kWanted =
        "a percentage of one CPU's time, from \"1%\" up: \"50%\", or \"200%\" for two CPUs";
    const auto percent = fields.text("cpu_quota", parsePercent, kWanted);
    if (!percent) return;
    placed_.spec.limits.cpuQuota = *percent;
    if (*percent >= 1 && *percent <= kMostCpuQuota) return;
    Diagnostic& d =
        reporter_.error(fields.optional("cpu_quota")->span, "'cpu_quota' is out of range");
    d.expected = fmt::format("from \"1%\" to \"{}%\"", kMostCpuQuota);
    d.got = describe(*fields.optional("cpu_quota"));
  }

  static constexpr std::int64_t kLeastPids = 8;  // the services of one router, and their threads
  static constexpr std::uint64_t kLeastMemory = 8u << 20;
  static constexpr std::uint32_t kMostCpuQuota = 8192 * 100;  // NR_CPUS is 8192 at most

  const RouterInstance& instance_;
  const AuxiliaryFiles& auxiliary_;
  const FilterCompiler* filters_;  // may be null
  Reporter& reporter_;
  std::string title_;
  FieldReader fields_;
  PlacedRouter placed_;
};

}  // namespace

std::optional<PlacedRouter> readRouter(const RouterInstance& instance, const std::string& network,
                                       const AuxiliaryFiles& auxiliary,
                                       const FilterCompiler* filters, Reporter& reporter) {
  return RouterReader(instance, network, auxiliary, filters, reporter).read();
}

}  // namespace orrery
