// openvpn: in the egress namespace, on a tun device that the supervisor made for it and moves away
// once the tunnel is up. What the server pushes reaches the supervisor over the management socket.
#include "routers/services/common.h"

namespace orrery {
namespace {

std::string directory(const RouterId& router) { return runDirectory(router) + "/openvpn"; }

const DeviceNode kTun{"net/tun", 10, 200};

}  // namespace

std::string openvpnManagementSocket(const RouterId& router) {
  return directory(router) + "/management/socket";
}

ServiceSpec openvpnService(const ServiceContext& at, const OpenVpnEgress& egress) {
  const RouterId& id = at.spec.id;
  ServiceSpec service;
  service.kind = ServiceKind::openvpn;
  service.netns = id.egressText();
  service.sandbox = serviceSandbox(at, ServiceKind::openvpn, at.programs.openvpn);
  service.sandbox.argv = {
      at.programs.openvpn, "--config", "/etc/openvpn/profile.ovpn",
      "--dev", "tun0", "--dev-type", "tun",
      // The device is ours, and so is what is done with the server's wishes.
      "--ifconfig-noexec", "--route-noexec", "--persist-tun", "--script-security", "1",
      "--nobind", "--auth-nocache", "--verb", "3", "--suppress-timestamps",
      "--connect-retry", "1", "60", "--resolv-retry", "0",
      // A server that says nothing at all (openvpn(8): for UDP, too) is given up, and told to whoever
      // waits, long before the 60 s that a handshake may take.
      "--connect-timeout", "10",
      "--management", "/run/openvpn/socket", "unix", "--management-client",
      // It waits for us to listen before it connects, so that no push is missed.
      "--management-hold"};
  if (egress.auth) {
    // Without a file: asked for over the management socket.
    service.sandbox.argv.push_back("--auth-user-pass");
    service.sandbox.argv.push_back("--management-query-passwords");
  }
  service.directories = {{directory(id), 0755, false},
                         {directory(id) + "/conf", 0755, false},
                         {directory(id) + "/management", 0755, false}};
  // Keys are in the profile: readable by the service's group alone.
  service.files = {{directory(id) + "/conf/profile.ovpn", egress.text, 0440}};
  service.sandbox.root.binds.push_back(
      {directory(id) + "/conf/profile.ovpn", "/etc/openvpn/profile.ovpn", false, false});
  service.sandbox.root.binds.push_back(
      {directory(id) + "/management", "/run/openvpn", false, false});
  service.sandbox.root.tmpfs.push_back({"/tmp", 1 << 20, 0700});
  service.sandbox.root.devices.push_back(kTun);
  service.sandbox.limits.openFiles = 64;
  return service;
}

}  // namespace orrery
