"""Who lives where in the box: every address, port, name and MAC, once.

The world is 198.18.0.0/15 (RFC 2544) and RFC 5737's three networks: none of them is private, so Tor
takes them for public addresses, and none of them is ever routed by anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

HOST = "lab-host"
ISP = "lab-isp"
NET = "lab-net"
OPENVPN = "lab-openvpn"
WIREGUARD = "lab-wireguard"
NAMESPACES = (HOST, ISP, NET, OPENVPN, WIREGUARD)

ZONE = "lab"
# What the ISP (DHCP option 121, to those who ask) and the VPN push beside the default route: the way
# by which a hostile network draws traffic out of a tunnel. No router may take it.
PUSHED_ROUTE = "198.51.100.0/24"
PAGE_NAMES = ("page.lab", "whoami.lab")
WILDCARD = "any.lab"  # every name below it is the page: for questions that no cache can answer

HTTP = "198.18.0.80"
ECHO = "198.18.0.7"
DNS = "198.18.0.53"
SOCKS = "198.18.0.30"
SOCKS_EXIT = "203.0.113.30"
SOCKS_USER = "orrery"
SOCKS_PASSWORD = "lab-only"


@dataclass(frozen=True)
class Nic:
    """One NIC of the fake host and the ISP's LAN at the other end of its wire."""

    name: str
    mac: str
    wire: str  # the other end, in lab-isp
    lan: str  # the ISP's switch in lab-isp, with the router's address
    lan_mac: str
    network: str  # of the LAN, first three bytes

    @property
    def isp(self) -> str:
        return f"{self.network}.1"

    @property
    def lease(self) -> str:
        """What the ISP gives to this MAC, and so the exit address of what leaves directly."""
        return f"{self.network}.10"


NICS = (
    Nic("eth1", "52:54:00:ab:cd:01", "wire", "lan", "52:54:00:15:b0:01", "198.18.100"),
    Nic("eth2", "52:54:00:ab:cd:02", "wire2", "lan2", "52:54:00:15:b0:02", "198.18.101"),
)


@dataclass(frozen=True)
class Tunnel:
    """A VPN provider in a namespace of its own."""

    netns: str
    address: str  # where clients connect to
    exit: str  # where their traffic comes out
    link: str  # first three bytes of the /30 towards lab-net: .1 there, .2 here


OPENVPN_SITE = Tunnel(OPENVPN, "198.18.0.94", "203.0.113.10", "198.18.201")
WIREGUARD_SITE = Tunnel(WIREGUARD, "198.18.0.95", "203.0.113.20", "198.18.202")

OPENVPN_UDP_PORT = 1194
OPENVPN_TCP_PORT = 1195
OPENVPN_UDP_INSIDE = "10.8.0"  # .1 is the server, and the provider's resolver
OPENVPN_TCP_INSIDE = "10.8.1"
WIREGUARD_PORT = 51820
WIREGUARD_INSIDE = "10.9.0"
WIREGUARD_PEERS = 10  # a key serves one router at a time

TOR_AUTHORITIES = ("198.18.0.111", "198.18.0.112", "198.18.0.113")
TOR_RELAYS = ("198.18.0.121", "198.18.0.122")
TOR_EXITS = ("203.0.113.41", "203.0.113.42")
TOR_ONION = "203.0.113.50"
TOR_OR_PORT = 5000
TOR_DIR_PORT = 7000

# Every address that lives on lab-net's lo (this kernel has no dummy device).
NET_ADDRESSES = (HTTP, ECHO, DNS, SOCKS, SOCKS_EXIT, *TOR_AUTHORITIES, *TOR_RELAYS, *TOR_EXITS, TOR_ONION)
