#include "routers/plan/plan.h"

#include <algorithm>
#include <map>
#include <set>

namespace orrery {
namespace {

bool mustGoBeforeItsNamespace(const Resource& resource) {
  return std::holds_alternative<NicResource>(resource) ||
         std::holds_alternative<LinkUpResource>(resource);
}

std::set<std::string> removedNamespaces(const std::vector<const Resource*>& removed) {
  std::set<std::string> names;
  for (const Resource* resource : removed)
    if (const auto* netns = std::get_if<NetnsResource>(resource)) names.insert(netns->name);
  return names;
}

}  // namespace

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
  std::map<std::string, const Resource*> wanted;
  for (const Resource& resource : want) wanted.emplace(key(resource), &resource);
  std::map<std::string, const Resource*> present;
  std::vector<const Resource*> removed;
  for (const Resource& resource : have) {
    present.insert_or_assign(key(resource), &resource);
    if (!wanted.contains(key(resource))) removed.push_back(&resource);
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
