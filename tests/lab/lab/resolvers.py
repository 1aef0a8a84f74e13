"""dnsmasq in four places, each with a log of the questions it got: the internet's own resolver, which
knows the zone; the ISP's, which gives leases too; and one inside each VPN, reachable only through it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import plan
from .processes import Ledger

# bind-interfaces, not bind-dynamic: the latter turns away TCP that came in by another interface than
# the one that has the address (2.90), and lab-net's addresses are on lo.
_COMMON = """no-resolv
no-hosts
keep-in-foreground
log-facility=-
pid-file
user=root
cache-size=0
bind-interfaces
log-queries=extra
"""

READY = "started, version"  # dnsmasq's first line, said when its sockets are open


@dataclass(frozen=True)
class Query:
    kind: str  # "A", "AAAA", …
    name: str
    client: str


def _zone() -> str:
    lines = ["listen-address=" + plan.DNS, f"local=/{plan.ZONE}/"]
    lines += [f"host-record={name},{plan.HTTP}" for name in plan.PAGE_NAMES]
    lines += [f"address=/{plan.WILDCARD}/{plan.HTTP}", f"host-record=dns.{plan.ZONE},{plan.DNS}"]
    lines += [f"host-record=echo.{plan.ZONE},{plan.ECHO}", f'txt-record=text.{plan.ZONE},"orrery lab"']
    return "\n".join(lines) + "\n"


def _isp(state: Path) -> str:
    lines = [f"server={plan.DNS}", "dhcp-authoritative", "no-ping", "log-dhcp"]
    lines += [f"dhcp-leasefile={state}/dhcp.leases"]
    for nic in plan.NICS:
        lines += [
            f"interface={nic.lan}",
            f"dhcp-range=set:{nic.lan},{nic.network}.50,{nic.network}.150,255.255.255.0,1h",
            f"dhcp-host={nic.mac},{nic.lease}",
            f"dhcp-option=tag:{nic.lan},option:router,{nic.isp}",
            f"dhcp-option=tag:{nic.lan},option:dns-server,{nic.isp}",
            f"dhcp-option=tag:{nic.lan},121,{plan.PUSHED_ROUTE},{nic.isp},0.0.0.0/0,{nic.isp}",
        ]
    return "\n".join(lines) + "\n"


def _inside(*gateways: str) -> str:
    return "".join(f"listen-address={g}\n" for g in gateways) + f"server={plan.DNS}\n"


def start(ledger: Ledger, state: Path) -> None:
    texts = {
        "dns-net": (plan.NET, _zone()),
        "dns-isp": (plan.ISP, _isp(state)),
        "dns-openvpn": (plan.OPENVPN, _inside(f"{plan.OPENVPN_UDP_INSIDE}.1", f"{plan.OPENVPN_TCP_INSIDE}.1")),
        "dns-wireguard": (plan.WIREGUARD, _inside(f"{plan.WIREGUARD_INSIDE}.1")),
    }
    started: list[tuple[str, subprocess.Popen[bytes]]] = []
    for name, (netns, text) in texts.items():
        config = state / f"{name}.conf"
        config.write_text(_COMMON + text)
        started.append((name, ledger.start(name, ["dnsmasq", f"--conf-file={config}"], netns)))
    for name, process in started:
        ledger.wait_for_log(process, name, READY)


# "dnsmasq: 7 198.18.100.10/4242 query[A] page.lab from 198.18.100.10"
_QUERY = re.compile(r"query\[(\S+)\] (\S+) from (\S+)")


def queries(ledger: Ledger, resolver: str) -> list[Query]:
    """What "dns-net", "dns-isp", "dns-openvpn" or "dns-wireguard" was asked, oldest first."""
    return [Query(*found) for found in _QUERY.findall(ledger.log_of(resolver).read_text())]
