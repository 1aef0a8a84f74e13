#include "routers/plan/plan.h"

#include <algorithm>
#include <map>
#include <set>

namespace orrery {
namespace {

using LinkAt = std::pair<std::string, std::string>;  // namespace and name

// Links by which packets come in or go out. Loopback is none, and setting it down costs as much; a
// veth end is down to all purposes once its port is shut.
bool mustGoBeforeItsNamespace(const Resource& resource, const std::set<LinkAt>& shut) {
  if (std::holds_alternative<NicResource>(resource)) return true;
  if (const auto* veth = std::get_if<VethResource>(&resource))
    return shut.contains({veth->netns, veth->name.str()});
  const auto* up = std::get_if<LinkUpResource>(&resource);
  return up != nullptr && up->name.str() != "lo" && !shut.contains({up->netns, up->name.str()});
}

std::set<LinkAt> removedVeths(const std::vector<const Resource*>& removed) {
  std::set<LinkAt> links;
  for (const Resource* resource : removed)
    if (const auto* veth = std::get_if<VethResource>(resource))
      links.emplace(veth->netns, veth->name.str());
  return links;
}

std::set<std::string> removedNamespaces(const std::vector<const Resource*>& removed) {
  std::set<std::string> names;
  for (const Resource* resource : removed)
    if (const auto* netns = std::get_if<NetnsResource>(resource)) names.insert(netns->name);
  return names;
}

bool isLink(const Resource& resource) {
  return std::holds_alternative<BridgeResource>(resource) ||
         std::holds_alternative<VethResource>(resource) ||
         std::holds_alternative<NicResource>(resource);
}

using Resources = std::map<std::string, const Resource*>;  // by key

// Namespace and name of links that are wanted otherwise than they are.
std::set<LinkAt> replacedLinks(const Resources& wanted, const std::vector<Resource>& have) {
  std::set<LinkAt> links;
  for (const Resource& resource : have) {
    const auto found = wanted.find(key(resource));
    if (isLink(resource) && found != wanted.end() && !(*found->second == resource))
      links.emplace(*netnsOf(resource), linkOf(resource)->str());
  }
  return links;
}

bool isOnOneOf(const std::set<LinkAt>& links, const Resource& resource) {
  const IfName* link = linkOf(resource);
  return link != nullptr && !isLink(resource) &&
         links.contains(std::pair(*netnsOf(resource), link->str()));
}

// Newest first. Of a router that is to live on otherwise (`forGood` is false) no port is shut: the
// undo could not open it again.
Plan removalOf(const std::vector<const Resource*>& removed, bool forGood) {
  const std::set<std::string> dying = removedNamespaces(removed);
  const std::set<LinkAt> shut = forGood ? removedVeths(removed) : std::set<LinkAt>{};
  Plan plan;
  for (auto it = removed.rbegin(); it != removed.rend(); ++it) {
    const std::string* netns = netnsOf(**it);
    const bool goesAlong = netns != nullptr && dying.contains(*netns);
    if (goesAlong && !mustGoBeforeItsNamespace(**it, shut)) continue;
    plan.push_back(Step{**it, std::nullopt, goesAlong});
  }
  return plan;
}

enum class Stage { supervisors, links, namespaces, rest };

// Never back: what comes after something in a router's own plan comes after it in the set's.
Stage stageOf(const Step& step, Stage reached) {
  if (std::holds_alternative<SupervisorResource>(*step.before)) return reached;
  if (std::holds_alternative<NetnsResource>(*step.before))
    return std::max(reached, Stage::namespaces);
  return reached >= Stage::namespaces ? Stage::rest : Stage::links;
}

}  // namespace

const IfName* linkOf(const Resource& resource) {
  return std::visit(
      [](const auto& r) -> const IfName* {
        if constexpr (requires { r.interface; })
          return &r.interface;
        else if constexpr (requires {
                             r.netns;
                             r.name;
                           })
          return &r.name;
        else
          return nullptr;
      },
      resource);
}

const std::string* netnsOf(const Resource& resource) {
  return std::visit(
      [](const auto& r) -> const std::string* {
        if constexpr (requires { r.netns; })
          return &r.netns;
        else
          return nullptr;
      },
      resource);
}

Plan makePlan(const std::vector<Resource>& want, const std::vector<Resource>& have) {
  Resources wanted;
  for (const Resource& resource : want) wanted.emplace(key(resource), &resource);
  const auto replaced = replacedLinks(wanted, have);
  Resources present;
  std::vector<const Resource*> removed;
  for (const Resource& resource : have) {
    if (!wanted.contains(key(resource)) || isOnOneOf(replaced, resource))
      removed.push_back(&resource);
    else
      present.insert_or_assign(key(resource), &resource);
  }

  Plan plan = removalOf(removed, want.empty());
  for (const Resource& resource : want) {
    const auto found = present.find(key(resource));
    if (found == present.end())
      plan.push_back(Step{std::nullopt, resource});
    else if (!(*found->second == resource))
      plan.push_back(Step{*found->second, resource});
  }
  return plan;
}

std::vector<SetStep> makeRemoval(const std::vector<std::vector<Resource>>& have) {
  std::map<Stage, std::vector<SetStep>> stages;
  for (std::size_t router = 0; router < have.size(); ++router) {
    Stage reached = Stage::supervisors;
    for (Step& step : makePlan({}, have[router])) {
      reached = stageOf(step, reached);
      stages[reached].push_back(SetStep{router, std::move(step)});
    }
  }
  std::vector<SetStep> removal;
  for (auto& [stage, steps] : stages) std::ranges::move(steps, std::back_inserter(removal));
  return removal;
}

}  // namespace orrery
