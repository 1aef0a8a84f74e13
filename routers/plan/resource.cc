#include "routers/plan/resource.h"

namespace orrery {
namespace {

// A namespace's name in text: the host's has none.
std::string place(const std::string& netns) {
  return netns.empty() ? "the host" : netns;
}

struct KeyOf {
  std::string operator()(const FileResource& r) const { return "file " + r.path; }
  std::string operator()(const NetnsResource& r) const { return "netns " + r.name; }
  std::string operator()(const SysctlsResource& r) const { return "sysctls " + r.netns; }
  std::string operator()(const RulesetResource& r) const { return "ruleset " + r.netns; }
  std::string operator()(const BridgeResource& r) const { return link(r.netns, r.name); }
  std::string operator()(const VethResource& r) const { return link(r.netns, r.name); }
  std::string operator()(const NicResource& r) const { return link(r.netns, r.name); }
  std::string operator()(const LinkUpResource& r) const {
    return fmt::format("up {}/{}", r.netns, r.name.str());
  }
  std::string operator()(const AddressResource& r) const {
    return fmt::format("address {}/{} {}", r.netns, r.interface.str(), toString(r.address));
  }
  std::string operator()(const RouteResource& r) const {
    return fmt::format("route {} {} table {}", r.netns, toString(r.destination), r.table);
  }
  std::string operator()(const MarkRuleResource& r) const {
    return fmt::format("rule {} mark {}", r.netns, r.mark);
  }
  std::string operator()(const CgroupResource& r) const { return "cgroup " + r.path; }
  std::string operator()(const SupervisorResource& r) const {
    return "supervisor " + r.router.text();
  }

 private:
  static std::string link(const std::string& netns, const IfName& name) {
    return fmt::format("link {}/{}", netns, name.str());
  }
};

struct TextOf {
  std::string operator()(const FileResource& r) const {
    return fmt::format("file {} mode {:04o}, {} bytes", r.path, r.mode, r.text.size());
  }
  std::string operator()(const NetnsResource& r) const { return "network namespace " + r.name; }
  std::string operator()(const SysctlsResource& r) const {
    // One of them tells what the namespace is for; the rest would hide it.
    std::string text = fmt::format("{} sysctls in {}", r.values.size(), place(r.netns));
    for (const auto& [name, value] : r.values)
      if (name == "ipv4/ip_forward") text += ", ip_forward=" + value;
    return text;
  }
  std::string operator()(const RulesetResource& r) const {
    std::size_t chains = 0;
    std::size_t rules = 0;
    for (const auto& table : r.ruleset.tables) {
      chains += table.chains.size();
      for (const auto& chain : table.chains) rules += chain.rules.size();
    }
    return fmt::format("ruleset in {}: {} tables, {} chains, {} rules", place(r.netns),
                       r.ruleset.tables.size(), chains, rules);
  }
  std::string operator()(const BridgeResource& r) const {
    return fmt::format("bridge {} in {}, {}, mtu {}", r.name.str(), place(r.netns), toString(r.mac),
                       r.mtu);
  }
  std::string operator()(const VethResource& r) const {
    std::string text =
        fmt::format("veth {} in {}, {}, mtu {} to {} in {}", r.name.str(), place(r.netns),
                    toString(r.mac), r.mtu, r.portName.str(), place(r.portNetns));
    if (r.portBridge) text += " on bridge " + r.portBridge->str();
    if (r.portIsolated) text += ", isolated";
    if (r.address) text += ", guarded as " + toString(*r.address);
    return text;
  }
  std::string operator()(const NicResource& r) const {
    // A plan that is only shown may know no more of the NIC than what it is found by.
    const auto both = [](const std::string& name, const Mac& mac) {
      if (mac == Mac{}) return name;
      return name.empty() ? toString(mac) : fmt::format("{} ({})", name, toString(mac));
    };
    return fmt::format("NIC {} of the host as {} in {}", both(r.hostName, r.hostMac),
                       both(r.name.str(), r.mac), place(r.netns));
  }
  std::string operator()(const LinkUpResource& r) const {
    return fmt::format("link {} in {} up", r.name.str(), place(r.netns));
  }
  std::string operator()(const AddressResource& r) const {
    return fmt::format("address {}{} on {} in {}", toString(r.address),
                       r.ofLink ? " of scope link" : "", r.interface.str(), place(r.netns));
  }
  std::string operator()(const RouteResource& r) const {
    std::string text = fmt::format("{}route {}", r.local ? "local " : "", toString(r.destination));
    if (r.gateway) text += " via " + toString(*r.gateway);
    text += fmt::format(" dev {} in {}", r.interface.str(), place(r.netns));
    if (r.table != 254) text += fmt::format(" table {}", r.table);
    return text;
  }
  std::string operator()(const MarkRuleResource& r) const {
    return fmt::format("rule mark {} to table {} in {}", r.mark, r.table, place(r.netns));
  }
  std::string operator()(const CgroupResource& r) const {
    std::string text = fmt::format("cgroup {}: memory {}, pids {}, cpus {}", r.path,
                                   r.limits.memory, r.limits.pids, r.limits.cpus.value_or("any"));
    if (r.limits.cpuQuota != 0) text += fmt::format(", cpu quota {}%", r.limits.cpuQuota);
    return text;
  }
  std::string operator()(const SupervisorResource& r) const {
    return "supervisor of " + r.router.text();
  }
};

}  // namespace

Step inverse(const Step& step) {
  return Step{step.after, step.before};
}

std::string key(const Resource& resource) {
  return std::visit(KeyOf{}, resource);
}

std::string toText(const Resource& resource) {
  return std::visit(TextOf{}, resource);
}

std::string toText(const Step& step) {
  if (step.before && step.after) return "~ " + toText(*step.after);
  if (step.after) return "+ " + toText(*step.after);
  if (step.before) return "- " + toText(*step.before);
  return "= nothing";
}

}  // namespace orrery
