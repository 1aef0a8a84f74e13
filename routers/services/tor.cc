// tor: a client whose only door is a SOCKS port on a unix socket. It sits in the egress namespace.
#include <algorithm>

#include "routers/services/common.h"

namespace orrery {
namespace {

std::string directory(const RouterId& router) { return runDirectory(router) + "/tor"; }

std::string torrc(const TorEgress& egress) {
  std::string text =
      "DataDirectory /var/lib/tor\n"
      // Each client has a circuit of its own: tproxy logs in with the client's address.
      "SocksPort unix:/run/tor/socks/socks WorldWritable IsolateSOCKSAuth\n"
      "ControlPort unix:/run/tor/control/control WorldWritable\n"
      "CookieAuthentication 0\n"
      "ClientOnly 1\n"
      "ClientUseIPv6 0\n"
      "SafeLogging 1\n"
      "NoExec 1\n"
      "DormantCanceledByStartup 1\n"
      // Idle routers stay ready: sleeping would cost the first client a bootstrap.
      "DormantClientTimeout 24 hours\n"
      "Log notice stdout\n"
      "RunAsDaemon 0\n";
  return text + egress.extra;
}

}  // namespace

std::string torDataDirectory(const RouterId& router) {
  return directory(router) + "/data";
}
std::string torStateDirectory(const RouterId& router) {
  return "/var/lib/orrery/" + router.network + "/" + router.name + "/tor";
}
std::uint64_t torDataBytes(const RouterSpec& spec) {
  constexpr std::uint64_t kEnough = 128
                                    << 20;  // three times what the descriptors of all relays take
  return std::min(kEnough, spec.limits.memory / 2);
}
std::string torControlSocket(const RouterId& router) {
  return directory(router) + "/control/control";
}

ServiceSpec torService(const ServiceContext& at) {
  const RouterId& id = at.spec.id;
  ServiceSpec service;
  service.kind = ServiceKind::tor;
  service.netns = id.egressText();
  service.sandbox = serviceSandbox(at, ServiceKind::tor, at.programs.tor);
  service.sandbox.argv = {at.programs.tor, "--defaults-torrc", "/dev/null", "-f",
                          "/etc/tor/torrc"};
  service.sandbox.environment.push_back("HOME=/var/lib/tor");
  service.directories = {
      {directory(id), 0755, false},
      {directory(id) + "/conf", 0755, false},
      // tproxy connects through its own mount of this one; control is ours alone.
      {directory(id) + "/socks", 0755, true},
      {directory(id) + "/control", 0700, true},
      {torDataDirectory(id), 0700, true},
      {torStateDirectory(id), 0700, false}};
  const auto* egress = std::get_if<TorEgress>(&at.spec.egress);
  service.files = {
      {directory(id) + "/conf/torrc", torrc(egress != nullptr ? *egress : TorEgress{}), 0444}};
  service.sandbox.root.binds.push_back(
      {directory(id) + "/conf/torrc", "/etc/tor/torrc", false, false});
  service.sandbox.root.binds.push_back({directory(id) + "/socks", "/run/tor/socks", true, false});
  service.sandbox.root.binds.push_back(
      {directory(id) + "/control", "/run/tor/control", true, false});
  service.sandbox.root.binds.push_back({torDataDirectory(id), "/var/lib/tor", true, false});
  service.sandbox.limits.openFiles = 16384;
  service.sandbox.limits.fileBytes = 64 << 20;  // the cached descriptors of all relays
  return service;
}

}  // namespace orrery
