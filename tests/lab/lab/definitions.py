"""Router definitions for the lab: two whole networks with the same subnets, one for each NIC."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

NETWORK = "network0"
DEFINITIONS = "network0.toml"
UNIVERSE_LAN = "10.0.0"

# What the definitions give each router on its own LAN; the same in both networks.
LAN_ADDRESSES = {
    "universe0": f"{UNIVERSE_LAN}.1",
    "galaxy0": "10.1.1.254",
    "galaxy1": "10.1.2.254",
    "galaxy2": "10.1.3.254",
    "galaxy3": "10.1.4.254",
    "star0": "10.2.2.254",
}
LEASE_SECONDS = 9000

_ROUTER = """
[router.{name}]
kind   = "{kind}"
uplink = {uplink}

[router.{name}.lan]
address = "{network}.{own}/24"
dhcp    = {{ range = ["{network}.2", "{network}.{last}"], lease = "9000s" }}
"""


def _router(name: str, kind: str, uplink: str, network: str, own: int = 254, last: int = 253, egress: str = "") -> str:
    text = _ROUTER.format(name=name, kind=kind, uplink=uplink, network=network, own=own, last=last)
    return text + (f"\n[router.{name}.egress]\n{egress}" if egress else "")


def write_definitions(directory: Path, facts: dict[str, Any]) -> list[Path]:
    """network0.toml and network1.toml, with copies (0600) of the profiles that they name.

    In each: universe0 has the NIC; galaxy0 openvpn, galaxy1 wireguard, galaxy2 socks5, galaxy3 direct,
    all on universe0; and, if the lab has Tor, star0 over galaxy0.
    """
    directory.mkdir(parents=True, exist_ok=True)
    return [_write_network(directory, facts, number) for number in range(len(facts["nics"]))]


def _write_network(directory: Path, facts: dict[str, Any], number: int) -> Path:
    openvpn = _copy(directory, facts["openvpn"]["udp"]["profile"], "galaxy0.ovpn")
    # One key, one router: each network's galaxy1 is a peer of its own.
    wireguard_profile = facts["wireguard"]["peers"][1 + number]["profile"]
    wireguard = _copy(directory, wireguard_profile, Path(wireguard_profile).name)
    socks = facts["socks5"]
    nic = facts["nics"][number]
    on_universe = '"universe0"'
    routers = [
        _router("universe0", "universe", f'{{ nic = {{ mac = "{nic["mac"]}" }} }}', UNIVERSE_LAN, 1, 254),
        _router("galaxy0", "galaxy", on_universe, "10.1.1", egress=f'type    = "openvpn"\nprofile = "{openvpn}"\n'),
        _router("galaxy1", "galaxy", on_universe, "10.1.2", egress=f'type    = "wireguard"\nprofile = "{wireguard}"\n'),
        _router("galaxy2", "galaxy", on_universe, "10.1.3", egress=_socks(socks["address"], socks["port"])),
        _router("galaxy3", "galaxy", on_universe, "10.1.4", egress='type = "direct"\n'),
    ]
    if facts["tor"] is not None:
        torrc = _copy(directory, facts["tor"]["torrc"], "client.torrc")
        routers.append(_router("star0", "star", '"galaxy0"', "10.2.2", egress=f'type  = "tor"\ntorrc = "{torrc}"\n'))
    file = directory / f"network{number}.toml"
    file.write_text(f'version = 1\nnetwork = "network{number}"\n' + "".join(routers))
    return file


def _socks(address: str, port: int) -> str:
    return f'type   = "socks5"\nserver = "{address}:{port}"\n'


def _copy(directory: Path, source: str, name: str) -> str:
    target = directory / name
    shutil.copyfile(source, target)
    target.chmod(0o600)
    return name
