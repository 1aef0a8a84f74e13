// wireguard-go, where the kernel has no WireGuard: in the egress namespace, with the tun device and
// its control socket as inherited descriptors.
#include "routers/services/common.h"

namespace orrery {

ServiceSpec wireguardGoService(const ServiceContext& at) {
  ServiceSpec service;
  service.kind = ServiceKind::wireguardGo;
  service.netns = at.spec.id.egressText();
  service.sandbox = serviceSandbox(at, ServiceKind::wireguardGo, at.programs.wireguardGo);
  service.sandbox.argv = {at.programs.wireguardGo, "-f", "wg0"};
  service.sandbox.environment.insert(
      service.sandbox.environment.end(),
      {"WG_TUN_FD=3", "WG_UAPI_FD=4", "WG_PROCESS_FOREGROUND=1", "LOG_LEVEL=error",
       // One core, and memory given back: the heap would otherwise grow with traffic.
       "GOMAXPROCS=1", "GOGC=40", "GODEBUG=madvdontneed=1"});
  // It watches its socket's usual path by inotify, and must find something there.
  service.sandbox.root.files.push_back({"/var/run/wireguard/wg0.sock", ""});
  service.sandbox.limits.openFiles = 128;
  service.listensForViolations = true;  // its ioctl(SIOCSIFMTU) is answered by the supervisor
  return service;
}

}  // namespace orrery
