#include "runtime/routerctl/names.h"

#include "runtime/control/events.h"
#include "sandbox/base/strings.h"

namespace orrery {

Result<RouterId> resolveName(std::string_view name, const std::vector<RouterId>& known) {
  std::vector<RouterId> found;
  for (const RouterId& id : known)
    if (id.text() == name || id.name == name) found.push_back(id);
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    std::vector<std::string> names;
    for (const RouterId& id : found) names.push_back(id.text());
    return error("'{}' is a router of {} networks: say {}", printable(name), found.size(),
                 join(names, " or "));
  }
  std::vector<std::string> candidates;
  for (const RouterId& id : known) {
    candidates.push_back(id.name);
    candidates.push_back(id.text());
  }
  const auto meant = nearest(name, candidates);
  std::string remedy = "'routerctl list' shows what is there";
  if (meant) remedy = fmt::format("did you mean '{}'?", *meant);
  Error e;
  e.err = ENOENT;
  e.message = fmt::format("no router '{}': {}", printable(name), remedy);
  return tl::unexpected<Error>(std::move(e));
}

Result<NamespaceName> resolveNamespace(std::string_view name, const std::vector<RouterId>& known) {
  constexpr std::string_view kSuffix = ".egress";
  const bool egress = name.size() > kSuffix.size() && name.ends_with(kSuffix);
  if (egress) name.remove_suffix(kSuffix.size());
  ORRERY_TRY_ASSIGN(RouterId id, resolveName(name, known));
  return NamespaceName{std::move(id), egress};
}

bool looksLikeFile(std::string_view word) {
  return word.ends_with(".toml") || word.find('/') != std::string_view::npos || word == "." ||
         word == "..";
}

}  // namespace orrery
