#include "routers/services/common.h"

namespace orrery {
namespace {

// Inside its user namespace a service is user 1: programs that find themselves user 0 try to change
// users and groups, which the jail refuses.
constexpr std::uint32_t kInsideUser = 1;
constexpr std::uint32_t kIdsPerService = 2;

// A taken-over service is to fill no file system: configuration, pid and lease files are small.
constexpr std::uint64_t kLargestFile = 1 << 20;  // bytes

const DeviceNode kNull{"null", 1, 3};
const DeviceNode kUrandom{"urandom", 1, 9};

// /usr merge: /bin, /lib … are links into /usr on Debian 12; a program may be asked for by either.
std::string merged(const std::string& path) {
  return path.starts_with("/usr/") ? path : "/usr" + path;
}

}  // namespace

const char* toString(ServiceKind kind) {
  switch (kind) {
    case ServiceKind::dnsmasq: return "dnsmasq";
    case ServiceKind::tor: return "tor";
    case ServiceKind::openvpn: return "openvpn";
    case ServiceKind::wireguardGo: return "wireguard-go";
    case ServiceKind::udhcpc: return "udhcpc";
    case ServiceKind::tproxy: return "tproxy";
  }
  return "?";
}

std::uint32_t hostUser(std::uint32_t idBase, ServiceKind kind) {
  return idBase + static_cast<std::uint32_t>(kind) * kIdsPerService + kInsideUser;
}

SandboxSpec serviceSandbox(const ServiceContext& at, ServiceKind kind, const std::string& program) {
  SandboxSpec sandbox;
  sandbox.name = toString(kind);
  sandbox.seccomp = toString(kind);
  sandbox.hostname = "router";  // nothing that tells one router from another
  sandbox.uid = kInsideUser;
  sandbox.gid = kInsideUser;
  sandbox.ids = IdRange{hostUser(at.idBase, kind) - kInsideUser, kIdsPerService};
  sandbox.environment = {"PATH=/usr/bin", "LC_ALL=C"};
  sandbox.limits.fileBytes = kLargestFile;
  sandbox.cgroup = at.spec.id.network + "/" + at.spec.id.name;
  const std::string libraries = at.programs.libraries;
  sandbox.root.binds = {
      BindMount{merged(program), merged(program), false, true},
      BindMount{libraries, libraries, false, true},
      BindMount{"/etc/ld.so.cache", "/etc/ld.so.cache", false, false},
  };
  sandbox.root.symlinks = {
      {"usr/bin", "/bin"},
      {"usr/sbin", "/sbin"},
      {"usr/lib", "/lib"},
      {libraries + at.programs.loader.substr(at.programs.loader.rfind('/')), at.programs.loader},
  };
  sandbox.root.devices = {kNull, kUrandom};
  sandbox.root.files = {
      {"/etc/passwd", "root:x:0:0::/:/\nservice:x:1:1::/:/\n"},
      {"/etc/group", "root:x:0:\nservice:x:1:\n"},
      {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
  };
  return sandbox;
}

}  // namespace orrery
