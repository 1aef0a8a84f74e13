#include "runtime/routerctl/target.h"

#include "runtime/routerctl/registry.h"

namespace orrery {

InspectTarget inspectTarget(const std::string& root, const RouterId& id) {
  InspectTarget target;
  target.id = id;
  target.paths = RouterPaths(id, root);
  RouterView view = viewRouter(root, id);
  target.running = view.running;
  target.state = std::move(view.state);
  if (auto spec = spawnedSpec(root, id)) target.spec = std::move(spec).value();
  return target;
}

}  // namespace orrery
