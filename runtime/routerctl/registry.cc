#include "runtime/routerctl/registry.h"

#include <sys/stat.h>

#include "routers/spec/spec_json.h"
#include "runtime/control/client.h"
#include "runtime/control/paths.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr std::chrono::milliseconds kPatience{2000};

bool isDirectory(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Result<RouterState> askSupervisor(const RouterPaths& paths) {
  ORRERY_TRY_ASSIGN(ControlClient client, ControlClient::connect(paths.control));
  ORRERY_TRY_ASSIGN(const Json state,
                    client.request({.verb = std::string(verb::kStatus)}, after(kPatience)));
  return stateFromJson(state);
}

template <class T>
Result<T> found(Result<T> resolved) {
  if (!resolved && resolved.error().err == ENOENT) resolved.error().err = ESRCH;
  return resolved;
}

}  // namespace

namespace {

bool isKnown(const std::string& root, const RouterId& id) {
  return pathExists(RouterPaths(id, root).spec);
}

// Without a look at every router; none if it is not just one. Who gives a path in place of a name
// must not lead us out of the run directory.
Result<std::optional<RouterId>> findQuickly(const std::string& root, std::string_view name) {
  if (name.empty() || name.find('/') != std::string_view::npos) return std::nullopt;
  const std::size_t point = name.find('.');
  if (point != std::string_view::npos) {
    RouterId id{std::string(name.substr(0, point)), std::string(name.substr(point + 1))};
    if (id.network.empty() || id.name.find('.') != std::string::npos || !isKnown(root, id))
      return std::nullopt;
    return id;
  }
  ORRERY_TRY_ASSIGN(const auto networks, listDirectory(root + std::string(kRunDirectory)));
  std::optional<RouterId> found;
  for (const std::string& network : networks) {
    RouterId id{network, std::string(name)};
    if (!isKnown(root, id)) continue;
    if (found) return std::nullopt;
    found = std::move(id);
  }
  return found;
}

}  // namespace

Result<std::vector<RouterId>> knownRoutersOf(const std::string& root, const std::string& network) {
  const std::string directory = root + std::string(kRunDirectory) + "/" + network;
  std::vector<RouterId> routers;
  if (!isDirectory(directory)) return routers;
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory));
  // The run directory also has folders that are no network (ids): a router has a definition.
  for (const std::string& name : names)
    if (isKnown(root, RouterId{network, name})) routers.push_back({network, name});
  return routers;
}

Result<std::vector<RouterId>> knownRouters(const std::string& root) {
  std::vector<RouterId> routers;
  ORRERY_TRY_ASSIGN(const auto networks, listDirectory(root + std::string(kRunDirectory)));
  for (const std::string& network : networks) {
    ORRERY_TRY_ASSIGN(const auto its, knownRoutersOf(root, network));
    routers.insert(routers.end(), its.begin(), its.end());
  }
  return routers;
}

Result<std::vector<RouterId>> begunRouters(const std::string& root) {
  std::vector<RouterId> routers;
  const std::string top = root + std::string(kRunDirectory);
  ORRERY_TRY_ASSIGN(const auto networks, listDirectory(top));
  for (const std::string& network : networks) {
    const std::string directory = top + "/" + network;
    if (network == "ids" || !isDirectory(directory)) continue;
    ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory));
    for (const std::string& name : names) routers.push_back({network, name});
  }
  return routers;
}

Result<RouterId> findRouter(const std::string& root, std::string_view name) {
  ORRERY_TRY_ASSIGN(auto only, findQuickly(root, name));
  if (only) return *std::move(only);
  ORRERY_TRY_ASSIGN(const auto known, knownRouters(root));
  return found(resolveName(name, known));
}

Result<NamespaceName> findNamespace(const std::string& root, std::string_view name) {
  ORRERY_TRY_ASSIGN(const auto known, knownRouters(root));
  return found(resolveNamespace(name, known));
}

RouterView viewRouter(const std::string& root, const RouterId& id) {
  RouterView view;
  view.id = id;
  const RouterPaths paths(id, root);
  auto answer = askSupervisor(paths);
  if (answer) {
    view.running = true;
    view.state = std::move(answer).value();
    return view;
  }
  const int err = answer.error().err;
  // Not permitted to ask, or no answer in time: it runs all the same.
  view.running = err == EACCES || err == EPERM || err == ETIMEDOUT || err == EBUSY;
  view.problem = view.running ? answer.error().message : "no supervisor runs";
  const auto text = readFile(paths.state);
  if (!text) return view;
  if (auto state = parseState(*text))
    view.state = view.running ? std::move(state).value() : afterDeath(std::move(state).value());
  else
    view.problem = state.error().message;
  return view;
}

RouterState afterDeath(RouterState state) {
  state.supervisorPid = 0;
  state.progress.reset();
  for (Rung& rung : state.ladder)
    if (rung.state == RungState::ok) rung = {rung.rung, RungState::pending, ""};
  for (ServiceState& service : state.services) {
    service.pid = 0;
    service.phase = ServicePhase::stopped;
  }
  return state;
}

std::string phaseText(const RouterView& view) {
  if (!view.running) return "down";
  return view.state ? toString(view.state->phase) : "unknown";
}

Result<RouterSpec> spawnedSpec(const std::string& root, const RouterId& id) {
  const RouterPaths paths(id, root);
  ORRERY_TRY_ASSIGN(const std::string text, readFile(paths.spec));
  return specFromJson(text);
}

}  // namespace orrery
