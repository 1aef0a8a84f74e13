#include "runtime/engine/router_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <set>

#include "routers/kinds/desired.h"
#include "routers/services/service_spec.h"
#include "routers/spec/spec_json.h"
#include "runtime/control/paths.h"
#include "runtime/engine/placement.h"
#include "sandbox/base/file.h"
#include "sandbox/namespaces/tmpfs.h"

namespace orrery {
namespace {

// Directories of ours that are no network.
const std::set<std::string, std::less<>> kOwnNames{"ids", "lock"};

Status removeIfEmpty(const std::string& path) {
  Status removed = removeDirectory(path);
  if (removed) return removed;
  // The last two: the administrator has mounted or put something there, which is not ours to
  // remove.
  const int err = removed.error().err;
  if (err == ENOTEMPTY || err == EEXIST || err == EBUSY || err == ENOTDIR) return {};
  return removed;
}

}  // namespace

Result<StoreLock> StoreLock::acquire() {
  // Beside the directory and not in it: an empty /run/orrery goes, and with it a lock inside would.
  ORRERY_TRY_ASSIGN(UniqueFd fd, openFile("/run", O_RDONLY | O_DIRECTORY));
  while (::flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) return sysError(errno, "lock '/run'");
  return StoreLock(std::move(fd));
}

Result<std::vector<RouterId>> listRouters() {
  std::vector<RouterId> routers;
  const std::string root(kRunDirectory);
  ORRERY_TRY_ASSIGN(const auto networks, listDirectory(root));
  for (const std::string& network : networks) {
    if (kOwnNames.contains(network)) continue;
    ORRERY_TRY_ASSIGN(const auto names, listDirectory(root + "/" + network));
    for (const std::string& name : names) routers.push_back(RouterId{network, name});
  }
  return routers;
}

Result<std::vector<RouterId>> routersDownstream(const RouterId& router) {
  std::vector<RouterId> found;
  ORRERY_TRY_ASSIGN(const auto all, listRouters());
  for (const RouterId& other : all) {
    if (other.network != router.network || other == router) continue;
    const auto spec = readSpec(other);
    if (!spec) continue;  // half-made: its own destroy deals with it
    const auto* uplink = std::get_if<RouterUplink>(&spec->uplink);
    if (uplink != nullptr && uplink->router == router.name) found.push_back(other);
  }
  return found;
}

Status writeSpec(const RouterSpec& spec) {
  const RouterPaths paths(spec.id);
  ORRERY_TRY(makeDirectories(paths.runDir));
  return writeFileAtomic(paths.spec, specToJson(spec), 0600);
}

Status forgetRouter(const RouterId& router, bool state) {
  const RouterPaths paths(router);
  ORRERY_TRY(removeTree(paths.portalDir));
  ORRERY_TRY(removeIfEmpty(std::string(kPortalsDirectory)));
  ORRERY_TRY(removeIfEmpty("/run/multiverse"));
  if (state) {
    ORRERY_TRY(removeTree(paths.libDir));
    ORRERY_TRY(removeIfEmpty(std::string(kLibDirectory) + "/" + router.network));
    ORRERY_TRY(removeIfEmpty(std::string(kLibDirectory)));
  }
  ORRERY_TRY(unmount(torDataDirectory(router)));
  ORRERY_TRY(removeTree(paths.runDir));
  for (const std::string& name : {router.network, std::string("ids")})
    ORRERY_TRY(removeIfEmpty(std::string(kRunDirectory) + "/" + name));
  return removeIfEmpty(std::string(kRunDirectory));
}

Status removeEmptyStore() {
  const std::string root(kRunDirectory);
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(root));
  for (const std::string& name : names) ORRERY_TRY(removeIfEmpty(root + "/" + name));
  return removeIfEmpty(root);
}

std::vector<RouterSpec> inStartOrder(std::vector<RouterSpec> specs) {
  std::vector<RouterSpec> ordered;
  std::set<RouterId> waiting;
  for (const RouterSpec& spec : specs) waiting.insert(spec.id);
  while (!specs.empty()) {
    const std::size_t before = specs.size();
    std::erase_if(specs, [&](RouterSpec& spec) {
      const auto* uplink = std::get_if<RouterUplink>(&spec.uplink);
      if (uplink != nullptr && waiting.contains(RouterId{spec.id.network, uplink->router}))
        return false;
      ordered.push_back(spec);
      return true;
    });
    for (const RouterSpec& spec : ordered) waiting.erase(spec.id);
    if (specs.size() == before) {  // a cycle: the set checks refuse it, so none comes here
      std::ranges::move(specs, std::back_inserter(ordered));
      break;
    }
  }
  return ordered;
}

}  // namespace orrery
