// tproxy: our own proxy. Before Tor it sits in an empty network namespace and dials a unix socket;
// before a SOCKS5 server it sits in the egress namespace. Its listeners are made for it in the LAN
// namespace and handed over.
#include "routers/services/common.h"

namespace orrery {

ServiceSpec tproxyService(const ServiceContext& at) {
  const RouterId& id = at.spec.id;
  const bool tor = std::holds_alternative<TorEgress>(at.spec.egress);
  const std::string program = at.programs.libexec + "/orrery-tproxy";
  const std::string inside = "/usr/libexec/orrery-tproxy";
  ServiceSpec service;
  service.kind = ServiceKind::tproxy;
  if (!tor) service.netns = id.egressText();
  service.sandbox = serviceSandbox(at, ServiceKind::tproxy, inside);
  // It is static: nothing but itself is in its root.
  service.sandbox.root.binds = {{program, inside, false, true}};
  service.sandbox.root.symlinks.clear();
  service.sandbox.argv = {inside,      "--listen-tcp", "3", "--dns-udp", "4", "--dns-tcp", "5",
                          "--control", "6",            "--config", "7",    "--dns-reply", "8"};
  if (tor)
    service.sandbox.root.binds.push_back(
        {runDirectory(id) + "/tor/socks", "/tor", false, false});
  service.sandbox.limits.openFiles = 65536;
  return service;
}

}  // namespace orrery
