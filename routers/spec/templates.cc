#include "routers/spec/templates.h"

namespace orrery {
namespace {

constexpr const char* kUniverse =
    R"toml(# The root of a network: it owns a physical NIC and leaves through the LAN that the NIC is on.
version = 1
network = "network0"        # two networks share nothing and may use the same subnets

[router.universe0]
kind   = "universe"

# The NIC, by its MAC address, its PCI address or its name on the host. It disappears from the host
# while the router runs, and comes back as it was.
uplink = { nic = { mac = "52:54:00:ab:cd:01" } }
# uplink = { nic = { pci = "0000:02:01.0" } }
# uplink = { nic = { name = "eth1" } }
# Without DHCP on that side:
# uplink = { nic = { name = "eth1" }, address = "192.0.2.10/24", gateway = "192.0.2.1", dns = ["192.0.2.1"] }

[router.universe0.lan]
address = "10.0.0.1/24"     # of the bridge that the routers behind it attach to
dhcp    = { range = ["10.0.0.2", "10.0.0.254"], lease = "9000s" }   # false: clients are set up by hand
# mac = "00:00:10:00:00:01" # derived from the address unless given
# mac_local = true          # 02:… in place of 00:…, whose prefix is registered to a vendor
# clients_talk = true       # clients may reach each other; they may not, by default
# mtu = 1500

# [[router.universe0.lan.filter]] # what clients' ports let pass, in tcpdump's language, without names
# direction = "from-client" # or "to-client"
# drop = "udp port 123 or ip multicast"   # or pass = "…": all else is dropped
# why  = "no clock, no announcements"

# [router.universe0.dns]
# servers = ["9.9.9.9"]     # in place of those that the lease names

# [router.universe0.limits] # of all the router's services together
# cpus   = "0"
# cpu_quota = "50%"         # of one CPU's time; unlimited unless given
# memory = "64M"
# pids   = 32

# [router.universe0.client_limits]   # of each client; beyond them its packets are dropped; 0: no limit
# connections     = 4096    # at once
# new_connections = 200     # a second, with bursts of ten seconds' worth, as all rates
# dns_queries     = 100     # a second
)toml";

constexpr const char* kGalaxy =
    R"toml(# A VPN: what its clients send leaves through a tunnel, or not at all.
version = 1
network = "network0"

[router.galaxy0]
kind   = "galaxy"
uplink = "universe0"        # the router whose LAN carries the tunnel
# uplink = { router = "universe0", address = "10.0.0.2" }   # with an address of one's own choice

[router.galaxy0.lan]
address = "10.1.1.254/24"
dhcp    = { range = ["10.1.1.2", "10.1.1.253"], lease = "9000s" }   # false: clients are set up by hand
# clients_talk = true       # clients may reach each other; they may not, by default

# [[router.galaxy0.lan.filter]] # what clients' ports let pass, in tcpdump's language, without names
# direction = "from-client" # or "to-client"
# drop = "udp port 123 or ip multicast"   # or pass = "…": all else is dropped
# why  = "no clock, no announcements"

[router.galaxy0.egress]
type    = "wireguard"
profile = "galaxy0.conf"    # the provider's own file, beside this one; mode 0600
# With OpenVPN:
# type    = "openvpn"
# profile = "galaxy0.ovpn"
# auth    = "galaxy0.auth"  # two lines, user and password; mode 0600
# Through a SOCKS5 proxy:
# type    = "socks5"
# server  = "192.0.2.1:1080"
# Without a tunnel, by the uplink:
# type    = "direct"

# [router.galaxy0.dns]
# servers = ["10.64.0.1"]   # in place of those that the tunnel names

# [router.galaxy0.limits]   # of all the router's services together
# cpus   = "0"
# cpu_quota = "50%"         # of one CPU's time; unlimited unless given
# memory = "128M"
# pids   = 32

# [router.galaxy0.client_limits]   # of each client; beyond them its packets are dropped; 0: no limit
# connections     = 4096    # at once
# new_connections = 200     # a second, with bursts of ten seconds' worth, as all rates
# dns_queries     = 100     # a second
)toml";

constexpr const char* kStar =
    R"toml(# Tor: connections of its clients leave through Tor; nothing else leaves.
version = 1
network = "network0"

[router.star0]
kind   = "star"
uplink = "galaxy0"          # Tor over the VPN; "universe0" for Tor alone

[router.star0.lan]
address = "10.2.2.254/24"
dhcp    = { range = ["10.2.2.2", "10.2.2.253"], lease = "9000s" }   # false: clients are set up by hand
# clients_talk = true       # clients may reach each other; they may not, by default

# [[router.star0.lan.filter]] # what clients' ports let pass, in tcpdump's language, without names
# direction = "from-client" # or "to-client"
# drop = "udp port 123 or ip multicast"   # or pass = "…": all else is dropped
# why  = "no clock, no announcements"

# [router.star0.dns]
# names = "10.192.0.0/10"   # addresses that stand for names, so that the exit resolves them

# [router.star0.egress]
# type  = "tor"             # which is the default of a star
# torrc = "star0.torrc"     # extra lines: EntryNodes, ExitNodes, Bridge and the like

# [router.star0.limits]     # of all the router's services together
# cpus   = "0"
# cpu_quota = "50%"         # of one CPU's time; unlimited unless given
# memory = "256M"
# pids   = 64

# [router.star0.client_limits]       # of each client; beyond them its packets are dropped; 0: no limit
# proxied_connections = 256          # at once through Tor
# proxied_buffers     = "16M"        # bytes in flight in the proxy
# dns_queries         = 100          # a second, with bursts of ten seconds' worth
)toml";

}  // namespace

Result<std::string> exampleDefinition(Kind kind) {
  switch (kind) {
    case Kind::universe:
      return std::string(kUniverse);
    case Kind::galaxy:
      return std::string(kGalaxy);
    case Kind::star:
      return std::string(kStar);
  }
  return error("there is no example for this kind of router");
}

}  // namespace orrery
