#include "runtime/control/paths.h"

namespace orrery {

RouterPaths::RouterPaths(const RouterId& id, const std::string& root) {
  runDir = fmt::format("{}{}/{}/{}", root, kRunDirectory, id.network, id.name);
  journal = runDir + "/journal";
  spec = runDir + "/router.json";
  state = runDir + "/state.json";
  control = runDir + "/control";
  logDir = runDir + "/log";
  events = logDir + "/events";
  leases = runDir + "/dnsmasq/run/leases";
  attachments = runDir + "/attachments";
  departed = runDir + "/departed";
  libDir = fmt::format("{}{}/{}/{}", root, kLibDirectory, id.network, id.name);
  portalDir = fmt::format("{}{}/{}.router.{}", root, kPortalsDirectory, id.name, id.network);
  portalStatus = portalDir + "/status.out";
  portalSocket = portalDir + "/virtserial-sock";
  lanNetns = id.text();
  egressNetns = id.egressText();
  lanNetnsPath = fmt::format("{}{}/{}", root, kPinsDirectory, lanNetns);
  egressNetnsPath = fmt::format("{}{}/{}", root, kPinsDirectory, egressNetns);
}

std::string RouterPaths::log(std::string_view service) const {
  return fmt::format("{}/{}.log", logDir, service);
}

Status checkSocketPath(std::string_view path) {
  if (path.size() <= kMaxSocketPath) return {};
  return error(
      "socket path '{}' has {} bytes, at most {} are possible: choose a shorter network or "
      "router name",
      path, path.size(), kMaxSocketPath);
}

}  // namespace orrery
