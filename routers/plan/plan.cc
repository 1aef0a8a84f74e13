#include "routers/plan/plan.h"

#include <algorithm>
#include <map>
#include <set>

namespace orrery {
namespace {

// Links by which packets come in or go out. Loopback is none, and setting it down costs as much.
bool mustGoBeforeItsNamespace(const Resource& resource) {
  if (std::holds_alternative<NicResource>(resource)) return true;
  const auto* up = std::get_if<LinkUpResource>(&resource);
  return up != nullptr && up->name.str() != "lo";
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
std::set<std::pair<std::string, std::string>> replacedLinks(const Resources& wanted,
                                                            const std::vector<Resource>& have) {
  std::set<std::pair<std::string, std::string>> links;
  for (const Resource& resource : have) {
    const auto found = wanted.find(key(resource));
    if (isLink(resource) && found != wanted.end() && !(*found->second == resource))
      links.emplace(*netnsOf(resource), linkOf(resource)->str());
  }
  return links;
}

bool isOnOneOf(const std::set<std::pair<std::string, std::string>>& links,
               const Resource& resource) {
  const IfName* link = linkOf(resource);
  return link != nullptr && !isLink(resource) &&
         links.contains(std::pair(*netnsOf(resource), link->str()));
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
  const std::set<std::string> dying = removedNamespaces(removed);

  Plan plan;
  for (auto it = removed.rbegin(); it != removed.rend(); ++it) {
    const std::string* netns = netnsOf(**it);
    const bool goesWithItsNamespace = netns != nullptr && dying.contains(*netns) &&
                                      !std::holds_alternative<NetnsResource>(**it) &&
                                      !mustGoBeforeItsNamespace(**it);
    if (!goesWithItsNamespace) plan.push_back(Step{**it, std::nullopt});
  }
  for (const Resource& resource : want) {
    const auto found = present.find(key(resource));
    if (found == present.end())
      plan.push_back(Step{std::nullopt, resource});
    else if (!(*found->second == resource))
      plan.push_back(Step{*found->second, resource});
  }
  return plan;
}

}  // namespace orrery
