"""Namespaces and cables of the box. Nothing here, or anywhere in the lab, touches the machine's own
links, addresses, routes or sysctls: every command runs in a lab namespace.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from . import linux, plan
from .linux import LabError
from .plan import Nic, Tunnel

# A new namespace inherits these from the machine's: 0 is written as well as 1.
_DEVICE_SYSCTLS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}
BRIDGE_NETFILTER = Path("/proc/sys/net/bridge")
BRIDGE_SYSCTLS = tuple(f"bridge/bridge-nf-call-{table}" for table in ("iptables", "ip6tables", "arptables"))


def prepare_namespace(netns: str, forwards: bool) -> None:
    # Where there is bridge netfilter, it is on in every new namespace.
    linux.write_sysctls(netns, {k: "0" for k in BRIDGE_SYSCTLS if BRIDGE_NETFILTER.exists()})
    linux.write_sysctls(netns, {**_DEVICE_SYSCTLS, "ipv4/ip_forward": "1" if forwards else "0"})
    linux.ip_batch(netns, ["link set lo up"])


def lay_out() -> None:
    """All links, addresses and routes, in namespaces that are there."""
    for netns in plan.NAMESPACES:
        prepare_namespace(netns, forwards=netns != plan.HOST)
    linux.ip_batch(plan.NET, [f"address add {address}/32 dev lo" for address in plan.NET_ADDRESSES])
    _join("isp", "198.18.200", plan.ISP)
    linux.ip_batch(plan.NET, [f"route add {nic.network}.0/24 via 198.18.200.2" for nic in plan.NICS])
    for tunnel in (plan.OPENVPN_SITE, plan.WIREGUARD_SITE):
        _connect_tunnel_site(tunnel)
    for nic in plan.NICS:
        _build_lan(nic)
        plug_in(nic)


def _build_lan(nic: Nic) -> None:
    """A switch, so that the ISP's address outlives the wires that are plugged in and pulled out."""
    linux.ip_batch(
        plan.ISP,
        [
            f"link add {nic.lan} address {nic.lan_mac} type bridge mcast_snooping 0",
            f"address add {nic.isp}/24 dev {nic.lan}",
            f"link set {nic.lan} up",
        ],
    )


def _join(link: str, network: str, netns: str) -> None:
    """A /30 from lab-net (.1, on `link`) to `netns` (.2, on `net`), its default route."""
    linux.ip_batch(
        plan.NET,
        [
            f"link add {link} type veth peer name net netns {netns}",
            f"address add {network}.1/30 dev {link}",
            f"link set {link} up",
        ],
    )
    linux.ip_batch(
        netns,
        [
            f"address add {network}.2/30 dev net",
            "link set net up",
            f"route add default via {network}.1",
        ],
    )


def _connect_tunnel_site(tunnel: Tunnel) -> None:
    _join(tunnel.netns.removeprefix("lab-"), tunnel.link, tunnel.netns)
    own = (tunnel.address, tunnel.exit)
    linux.ip_batch(tunnel.netns, [f"address add {address}/32 dev lo" for address in own])
    linux.ip_batch(plan.NET, [f"route add {address}/32 via {tunnel.link}.2" for address in own])
    ruleset = f"""table ip site {{
        chain post {{
            type nat hook postrouting priority srcnat; policy accept;
            ip saddr 10.0.0.0/8 oifname "net" snat to {tunnel.exit}
        }}
    }}"""
    linux.run(["nft", "-f", "-"], tunnel.netns, ruleset)


def plug_in(nic: Nic) -> None:
    """The NIC on the fake host, down and without IPv6; its wire's other end up on the ISP's side."""
    linux.ip_batch(
        plan.ISP,
        [
            f"link add {nic.wire} type veth peer name {nic.name} address {nic.mac} netns {plan.HOST}",
            f"link set {nic.wire} master {nic.lan} up",
        ],
    )
    with contextlib.suppress(FileNotFoundError):  # taken already, by a universe that has waited for it
        linux.write_sysctls(plan.HOST, {f"ipv6/conf/{nic.name}/disable_ipv6": "1"})


def wire_is_there(nic: Nic) -> bool:
    """False once the NIC died with a namespace that it was in: a veth does not come home."""
    return _has(plan.ISP, nic.wire)


def is_home(nic: Nic) -> bool:
    return _has(plan.HOST, nic.name)


def unplug(nic: Nic) -> None:
    """Ends the NIC wherever it is, in a namespace that is just ending too: that takes the kernel a
    moment, during which the wire still seems to be there."""
    try:
        linux.ip_batch(plan.ISP, [f"link delete {nic.wire}"])
    except LabError:
        if wire_is_there(nic):
            raise


def _has(netns: str, interface: str) -> bool:
    def look() -> bool:
        try:
            return socket.if_nametoindex(interface) > 0
        except OSError:
            return False

    return linux.in_netns(netns, look)
