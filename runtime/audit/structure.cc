#include "runtime/audit/structure.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "routers/kinds/desired.h"
#include "sandbox/base/strings.h"

namespace orrery::audit {
namespace {

constexpr std::uint32_t kMainTable = 254, kLocalTable = 255, kDefaultTable = 253;
constexpr std::uint8_t kByKernel = 2;  // RTPROT_KERNEL
constexpr std::uint8_t kToTable = 1;   // FR_ACT_TO_TBL
constexpr std::uint32_t kWholeMark = 0xffffffff;
const Prefix4 kDefaultRoute{Ipv4{0}, 0};
const Prefix4 kLoopback{Ipv4{0x7f000001}, 8};

// --- the model -----------------------------------------------------------------------------------

class ModelMaker {
 public:
  ModelMaker(const RouterSpec& spec, const Surroundings& around) : spec_(spec), around_(around) {}

  std::vector<NamespaceModel> make(const std::vector<Resource>& plan) && {
    for (const Resource& resource : plan) std::visit([&](const auto& r) { take(r); }, resource);
    for (NamespaceModel& model : models_) finish(model);
    return std::move(models_);
  }

 private:
  NamespaceModel* at(const std::string& netns) {
    for (NamespaceModel& model : models_)
      if (model.name == netns) return &model;
    return nullptr;
  }

  void take(const NetnsResource& r) {
    NamespaceModel model;
    model.name = r.name;
    model.links.push_back({.name = "lo"});
    model.addresses.push_back({"lo", kLoopback});
    models_.push_back(std::move(model));
  }
  void take(const SysctlsResource& r) {
    if (auto* model = at(r.netns)) model->sysctls = r.values;
  }
  void take(const RulesetResource& r) {
    if (auto* model = at(r.netns)) {
      model->ruleset = nft::canonical(r.ruleset);
      model->countsIfPossible = r.countsIfPossible;
    }
  }
  void take(const BridgeResource& r) {
    if (auto* model = at(r.netns))
      model->links.push_back({.name = r.name.str(), .kind = "bridge", .mac = r.mac});
  }
  void take(const VethResource& r) {
    if (auto* model = at(r.netns))
      model->links.push_back({.name = r.name.str(), .kind = "veth", .mac = r.mac});
  }
  void take(const NicResource& r) {
    if (auto* model = at(r.netns)) model->links.push_back({.name = r.name.str(), .mac = r.mac});
  }
  void take(const AddressResource& r) {
    if (auto* model = at(r.netns))
      model->addresses.push_back({r.interface.str(), r.address, r.ofLink});
  }
  void take(const RouteResource& r) {
    if (auto* model = at(r.netns))
      model->routes.push_back(
          {r.destination, r.gateway, false, r.interface.str(), r.table, r.local});
  }
  void take(const MarkRuleResource& r) {
    if (auto* model = at(r.netns)) model->markRules.emplace_back(r.mark, r.table);
  }
  template <class Other>
  void take(const Other&) {}  // no part of a namespace

  void finish(NamespaceModel& model) const {
    const auto tunnel = tunnelName(spec_);
    // It is born in the egress namespace, without address or route, and moved.
    if (tunnel) model.links.push_back({.name = tunnel->str()});
    model.socketUsers = around_.users;
    model.mayHoldRootsSockets = std::holds_alternative<WireGuardEgress>(spec_.egress);
    if (model.name != spec_.id.text()) return;
    model.mayHoldRootsSockets = true;  // tproxy's, made for it
    model.owners = around_.ports;
    for (const PortOwner& port : around_.ports)
      model.links.push_back(
          {.name = port.port.str(), .bridge = spec_.id.name, .isolated = !spec_.lan.clientsTalk});
    if (tunnel) wayOut(model, tunnel->str(), false);
    const auto* nic = std::get_if<NicUplink>(&spec_.uplink);
    if (nic != nullptr && !nic->fixed) {
      wayOut(model, nicName().str(), true);
      model.mayHoldPacketSocket = true;
    }
  }
  void wayOut(NamespaceModel& model, const std::string& link, bool gateway) const {
    model.addresses.push_back({link, around_.wayOut});
    model.routes.push_back({kDefaultRoute, std::nullopt, gateway, link, kMainTable, false});
  }

  const RouterSpec& spec_;
  const Surroundings& around_;
  std::vector<NamespaceModel> models_;
};

// --- the comparison ------------------------------------------------------------------------------

class Comparison {
 public:
  Comparison(const NamespaceModel& model, const NamespaceSeen& seen) : model_(model), seen_(seen) {}

  std::vector<std::string> run() && {
    if (!seen_.ours) say("it is not owned by this user namespace: whoever owns it can change it");
    links();
    addresses();
    for (const Route& route : seen_.snapshot.routes) checkRoute(route);
    for (const Rule& rule : seen_.snapshot.rules) checkRule(rule);
    sysctls();
    rules();
    for (const std::string& each : seen_.ipv6) say("it has an IPv6 address: " + each);
    processes();
    for (std::string& each : compareAttached(model_, seen_)) say(std::move(each));
    return std::move(out_);
  }

 private:
  void say(std::string text) { out_.push_back(model_.name + ": " + std::move(text)); }

  std::string linkName(int index) const {
    const Link* link = seen_.snapshot.link(index);
    return link != nullptr ? link->name : fmt::format("if{}", index);
  }
  const ModelLink* modelLink(const std::string& name) const {
    const auto at = std::find_if(model_.links.begin(), model_.links.end(),
                                 [&](const ModelLink& link) { return link.name == name; });
    return at == model_.links.end() ? nullptr : &*at;
  }

  void links() {
    for (const Link& link : seen_.snapshot.links) {
      const ModelLink* model = modelLink(link.name);
      if (model == nullptr) {
        say(fmt::format("link '{}'{} is no part of the router", link.name,
                        link.kind.empty() ? "" : " (" + link.kind + ")"));
        continue;
      }
      if (!model->kind.empty() && link.kind != model->kind)
        say(fmt::format("link '{}' is a {}, not a {}", link.name, link.kind, model->kind));
      if (model->mac && link.mac != *model->mac)
        say(fmt::format("link '{}' has MAC {}, not {}", link.name, toString(link.mac),
                        toString(*model->mac)));
      checkPort(link, *model);
    }
  }
  void checkPort(const Link& link, const ModelLink& model) {
    const std::string bridge = link.master ? linkName(*link.master) : "";
    if (bridge != model.bridge)
      say(bridge.empty() ? fmt::format("port '{}' is not on bridge '{}'", link.name, model.bridge)
                         : fmt::format("link '{}' is a port of '{}'", link.name, bridge));
    else if (model.isolated && link.isolated != model.isolated)
      say(fmt::format("port '{}' is {}isolated", link.name, *model.isolated ? "not " : ""));
  }

  void addresses() {
    for (const Address& address : seen_.snapshot.addresses) {
      const std::string link = linkName(address.index);
      const auto known = std::ranges::find_if(model_.addresses, [&](const ModelAddress& model) {
        return model.link == link && (!model.address || *model.address == address.address);
      });
      if (known == model_.addresses.end())
        say(fmt::format("address {} on '{}' is no part of the router", toString(address.address),
                        link));
      else if (known->ofLink && address.scope < RT_SCOPE_LINK)
        say(fmt::format(
            "address {} on '{}' is not of scope link: what leaves by another link may bear it",
            toString(address.address), link));
    }
  }

  // Routes that come with an address, and no other, may be the kernel's.
  bool comesWithAnAddress(const Route& route) const {
    if (route.protocol != kByKernel || route.gateway) return false;
    for (const Address& address : seen_.snapshot.addresses) {
      const Prefix4& own = address.address;
      if (address.index != route.index) continue;
      const bool host = route.destination.length == 32;
      const Ipv4 to = route.destination.address;
      const bool network = to == own.network() && route.destination.length == own.length;
      if (route.table == kMainTable && network) return true;
      if (route.table != kLocalTable) continue;
      if (network && own.network() == kLoopback.network()) return true;  // 127.0.0.0/8 is local
      if (host && (to == own.address || to == own.network() || to == own.broadcast())) return true;
    }
    return false;
  }
  void checkRoute(const Route& route) {
    if (comesWithAnAddress(route)) return;
    const std::string link = route.index != 0 ? linkName(route.index) : "";
    for (const ModelRoute& model : model_.routes) {
      const bool gateway = model.anyGateway || model.gateway == route.gateway;
      const RouteType type = model.local ? RouteType::local : RouteType::unicast;
      if (model.destination == route.destination && gateway && model.link == link &&
          model.table == route.table && type == route.type)
        return;
    }
    say(fmt::format("route {}{} by '{}' in table {} is no part of the router",
                    route.destination.length == 0 ? "default" : toString(route.destination),
                    route.gateway ? " via " + toString(*route.gateway) : "", link, route.table));
  }

  // The kernel's three (ip-rule(8)): local first, main, default.
  void checkRule(const Rule& rule) {
    const bool simple = !rule.narrowed && rule.action == kToTable;
    const bool kernels = simple && rule.mask == 0 &&
                         ((rule.priority == 0 && rule.table == kLocalTable) ||
                          (rule.priority == 32766 && rule.table == kMainTable) ||
                          (rule.priority == 32767 && rule.table == kDefaultTable));
    if (kernels) return;
    for (const auto& [mark, table] : model_.markRules)
      if (simple && rule.priority == kMarkRulePriority && rule.mark == mark &&
          rule.mask == kWholeMark && rule.table == table)
        return;
    say(fmt::format("rule {} (mark {:#x}, table {}{}) is no part of the router", rule.priority,
                    rule.mark, rule.table, simple ? "" : ", with other conditions or actions"));
  }

  void sysctls() {
    for (std::size_t i = 0; i < seen_.sysctls.size() && i < model_.sysctls.size(); ++i)
      if (seen_.sysctls[i] != model_.sysctls[i])
        say(fmt::format("{} is {}, not {}", seen_.sysctls[i].first, seen_.sysctls[i].second,
                        model_.sysctls[i].second));
    const std::string forward = wanted("ipv4/ip_forward");
    for (const auto& [key, value] : seen_.linkSysctls) {
      const bool forwarding = key.ends_with("/forwarding");
      const std::string want = key.ends_with("/disable_ipv6") ? "1" : forwarding ? forward : "0";
      if (value != want) say(fmt::format("{} is {}, not {}", key, value, want));
    }
  }
  std::string wanted(std::string_view key) const {
    for (const auto& [name, value] : model_.sysctls)
      if (name == key) return value;
    return "0";
  }

  void rules() {
    for (const std::string& table : seen_.rules.foreign)
      say(fmt::format("nftables has a table '{}' that is no part of the router", table));
    if (seen_.rules.ruleset == model_.ruleset) return;
    if (model_.countsIfPossible && seen_.rules.ruleset == nft::withoutCounts(model_.ruleset))
      return;
    const std::string want = nft::toText(model_.ruleset), have = nft::toText(seen_.rules.ruleset);
    const auto wantLines = split(want, '\n'), haveLines = split(have, '\n');
    say("the ruleset is not the router's: " + firstDifference(wantLines, haveLines));
  }
  static std::string firstDifference(const std::vector<std::string_view>& want,
                                     const std::vector<std::string_view>& have) {
    std::size_t i = 0;
    while (i < want.size() && i < have.size() && want[i] == have[i]) ++i;
    const auto lineAt = [](const std::vector<std::string_view>& lines, std::size_t n) {
      return n < lines.size() ? std::string(trim(lines[n])) : std::string("nothing");
    };
    return fmt::format("'{}' where '{}' should be", lineAt(have, i), lineAt(want, i));
  }

  void processes() {
    for (const ProcessSeen& process : seen_.processes) {
      if (process.sealed) continue;
      const bool nothing = process.capabilities.find_first_not_of('0') == std::string::npos;
      if (nothing) continue;
      const bool udhcpc = model_.mayHoldPacketSocket && process.capabilities == kPacketSocketOnly;
      if (!udhcpc)
        say(fmt::format("process {} ({}) in it has power over it (capabilities {})", process.pid,
                        process.name, process.capabilities));
    }
  }

  static constexpr const char* kPacketSocketOnly = "0000000000002000";  // CAP_NET_RAW
  const NamespaceModel& model_;
  const NamespaceSeen& seen_;
  std::vector<std::string> out_;
};

}  // namespace

std::vector<NamespaceModel> modelOf(const RouterSpec& spec, const std::vector<Resource>& plan,
                                    const Surroundings& around) {
  return ModelMaker(spec, around).make(plan);
}

std::vector<std::string> compare(const NamespaceModel& model, const NamespaceSeen& seen) {
  return Comparison(model, seen).run();
}

StructureCount countOf(const NamespaceSeen& seen) {
  StructureCount count;
  count.links = seen.snapshot.links.size();
  count.addresses = seen.snapshot.addresses.size();
  count.routes = seen.snapshot.routes.size();
  count.rules = seen.snapshot.rules.size();
  count.sysctls = seen.sysctls.size() + seen.linkSysctls.size();
  count.processes = seen.processes.size();
  const AttachedSeen& attached = seen.attached;
  count.attached = seen.rules.elements.size() + seen.snapshot.neighbours.size() +
                   attached.traffic.qdiscs.size() + attached.forwarding.size() +
                   attached.sockets.size() + attached.memberships.size();
  for (const nft::Table& table : seen.rules.ruleset.tables)
    for (const nft::Chain& chain : table.chains) count.nftRules += chain.rules.size();
  return count;
}

}  // namespace orrery::audit
