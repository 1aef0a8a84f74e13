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

Result<std::vector<RouterId>> knownRouters(const std::string& root) {
  const std::string top = root + std::string(kRunDirectory);
  std::vector<RouterId> routers;
  ORRERY_TRY_ASSIGN(const auto networks, listDirectory(top));
  for (const std::string& network : networks) {
    const std::string directory = top + "/" + network;
    if (!isDirectory(directory)) continue;
    ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory));
    // The run directory also has folders that are no network (ids): a router has a definition.
    for (const std::string& name : names)
      if (pathExists(directory + "/" + name + "/router.json")) routers.push_back({network, name});
  }
  return routers;
}

Result<RouterId> findRouter(const std::string& root, std::string_view name) {
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
