// udhcpc on the NIC. The one declared exception to sealed namespaces: it needs a packet socket, so
// it stays in the namespace owner's user namespace with CAP_NET_RAW alone. It hands the lease to the
// supervisor as data and applies nothing.
#include "routers/services/common.h"

namespace orrery {
namespace {

constexpr int kCapNetRaw = 13;  // linux/capability.h; CAP_NET_RAW

std::string directory(const RouterId& router) { return runDirectory(router) + "/udhcpc"; }

}  // namespace

std::string udhcpcLeasePipe(const RouterId& router) { return directory(router) + "/run/lease"; }

ServiceSpec udhcpcService(const ServiceContext& at) {
  const RouterId& id = at.spec.id;
  ServiceSpec service;
  service.kind = ServiceKind::udhcpc;
  service.netns = id.text();
  service.sandbox = serviceSandbox(at, ServiceKind::udhcpc, at.programs.busybox);
  service.sandbox.ids.reset();
  service.sandbox.uid = hostUser(at.idBase, ServiceKind::udhcpc);
  service.sandbox.gid = service.sandbox.uid;
  service.sandbox.capabilities = {kCapNetRaw};
  // No host name, no vendor class, no client id: nothing that a LAN could know us by but the MAC.
  // Options asked for: mask, router, DNS, lease time; 33, 121 and 249 (routes) are not.
  service.sandbox.argv = {at.programs.busybox, "udhcpc", "-i", nicName().str(), "-f",
                          "-s", "/usr/libexec/orrery-lease", "-C", "-V", "", "-o",
                          "-O", "subnet", "-O", "router", "-O", "dns", "-O", "lease",
                          "-t", "3", "-T", "1", "-A", "5"};
  service.directories = {{directory(id), 0755, false}, {directory(id) + "/run", 0755, false}};
  service.sandbox.root.binds.push_back({at.programs.libexec + "/orrery-lease",
                                        "/usr/libexec/orrery-lease", false, true});
  service.sandbox.root.binds.push_back({directory(id) + "/run", "/run/udhcpc", true, false});
  service.sandbox.limits.openFiles = 32;
  return service;
}

}  // namespace orrery
