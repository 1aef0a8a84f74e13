// Where a router keeps what on disk. Pure: computes names, touches nothing.
//
// `root` is put before every absolute path and is "" outside of tests.
#pragma once

#include <string>
#include <string_view>

#include "routers/spec/router_spec.h"
#include "sandbox/base/result.h"

namespace orrery {

inline constexpr std::string_view kDefinitionsDirectory = "/etc/orrery/routers";
inline constexpr std::string_view kRunDirectory = "/run/orrery";
inline constexpr std::string_view kLibDirectory = "/var/lib/orrery";
inline constexpr std::string_view kPortalsDirectory = "/run/multiverse/portals";
inline constexpr std::string_view kPinsDirectory = "/run/netns";  // of iproute2: ip-netns(8)

struct RouterPaths {
  RouterPaths() = default;
  explicit RouterPaths(const RouterId& id, const std::string& root = "");

  std::string runDir;        // /run/orrery/<network>/<router>, 0755 root
  std::string journal;       // <runDir>/journal
  std::string spec;          // <runDir>/router.json, 0600: specToJson, holds secrets
  std::string state;         // <runDir>/state.json, 0644: RouterState, replaced atomically
  std::string control;       // <runDir>/control, 0600: unix socket of the supervisor
  std::string logDir;        // <runDir>/log
  std::string events;        // <runDir>/log/events, one JSON event a line, bounded
  std::string leases;        // <runDir>/dnsmasq/run/leases, dnsmasq's own format
  std::string attachments;   // <runDir>/attachments, one JSON file for each attached client
  std::string departed;      // <runDir>/departed, one file for each port (engine/port_owners.h)
  std::string libDir;        // /var/lib/orrery/<network>/<router>: survives a reboot
  std::string portalDir;     // /run/multiverse/portals/<router>.router.<network>
  std::string portalStatus;  // <portalDir>/status.out
  std::string portalSocket;  // <portalDir>/virtserial-sock
  std::string lanNetns;      // pin's name: <network>.<router>
  std::string egressNetns;   // pin's name: <network>.<router>.egress
  std::string lanNetnsPath;  // /run/netns/<lanNetns>
  std::string egressNetnsPath;

  std::string log(std::string_view service) const;  // <runDir>/log/<service>.log
};

// sockaddr_un.sun_path holds 108 bytes with the final zero (unix(7)). A longer path is an error
// that names the path and the limit.
inline constexpr std::size_t kMaxSocketPath = 107;
Status checkSocketPath(std::string_view path);

}  // namespace orrery
