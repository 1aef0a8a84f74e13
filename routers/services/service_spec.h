// The programs that run for a router, each as a value: its configuration, its jail, what it is given.
// Pure: the supervisor makes the directories and files, then starts the sandbox.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "routers/kinds/desired.h"
#include "routers/spec/router_spec.h"
#include "sandbox/process/sandbox_spec.h"

namespace orrery {

enum class ServiceKind { dnsmasq, tor, openvpn, wireguardGo, udhcpc, tproxy };
const char* toString(ServiceKind kind);

struct ServiceDirectory {
  std::string path;
  std::uint32_t mode = 0700;
  bool ownedByService = true;  // else root's
  friend bool operator==(const ServiceDirectory&, const ServiceDirectory&) = default;
};
struct ServiceFile {  // readable by the service, never writable
  std::string path;
  std::string text;
  std::uint32_t mode = 0440;  // root's, the service's group
  friend bool operator==(const ServiceFile&, const ServiceFile&) = default;
};

struct ServiceSpec {
  ServiceKind kind = ServiceKind::dnsmasq;
  std::optional<std::string> netns;  // pin; none: an empty one of its own
  SandboxSpec sandbox;
  std::vector<ServiceDirectory> directories;
  std::vector<ServiceFile> files;
  bool listensForViolations = false;  // takes a seccomp notification listener
  friend bool operator==(const ServiceSpec&, const ServiceSpec&) = default;
};

// Where programs are on this host.
struct ProgramPaths {
  std::string dnsmasq = "/usr/sbin/dnsmasq";
  std::string tor = "/usr/bin/tor";
  std::string openvpn = "/usr/sbin/openvpn";
  std::string wireguardGo = "/usr/bin/wireguard-go";
  std::string busybox = "/bin/busybox";
  std::string libexec = "/usr/libexec/orrery";        // our own
  std::string libraries = "/usr/lib/x86_64-linux-gnu";  // multiarch directory
  std::string loader = "/lib64/ld-linux-x86-64.so.2";
};

// What a service needs to know of its router.
struct ServiceContext {
  const RouterSpec& spec;
  const ProgramPaths& programs;
  std::uint32_t idBase = 0;
};

// The service's own user on the host. Two services never share one, so that they cannot signal or
// trace each other or open each other's files.
std::uint32_t hostUser(std::uint32_t idBase, ServiceKind kind);

ServiceSpec dnsmasqService(const ServiceContext& at);
ServiceSpec torService(const ServiceContext& at);
ServiceSpec openvpnService(const ServiceContext& at, const OpenVpnEgress& egress);
ServiceSpec wireguardGoService(const ServiceContext& at);
ServiceSpec udhcpcService(const ServiceContext& at);
ServiceSpec tproxyService(const ServiceContext& at);

// Paths on the host that the supervisor shares with services. The first two are read at SIGHUP.
std::string dnsmasqServersPath(const RouterId& router);   // its upstream resolvers
std::string dnsmasqHostsPath(const RouterId& router);     // all reservations, a line each
std::string dnsmasqLeasesPath(const RouterId& router);
std::string torControlSocket(const RouterId& router);
std::string openvpnManagementSocket(const RouterId& router);
std::string udhcpcLeasePipe(const RouterId& router);      // a FIFO that the lease helper writes to
std::string torDataDirectory(const RouterId& router);     // a tmpfs, tor's own
std::string torStateDirectory(const RouterId& router);    // what of it survives a reboot: guards
// The size of that tmpfs. It counts as the router's memory, and must leave tor some.
std::uint64_t torDataBytes(const RouterSpec& spec);

// The text of dnsmasq's file of resolvers.
std::string serversText(const std::vector<Ipv4>& servers);

}  // namespace orrery
