"""Many routers of every kind, each with a definition file of its own, for runs that change them all the time.

Every router has a fixed address on its uplink, so that what leaves it can be told by its source; each server
has a second address that leads to it too (`moved`), so that a server can be seen to move.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from . import linux, plan, wireguard
from .capture import TCP, UDP
from .definitions import UNIVERSE_LAN

SERVICES = {
    "universe": ("dnsmasq", "udhcpc"),
    "openvpn": ("dnsmasq", "openvpn"),
    "wireguard": ("dnsmasq", *wireguard.services()),
    "socks5": ("dnsmasq", "tproxy"),
    "direct": ("dnsmasq",),
    "star": ("dnsmasq", "tor", "tproxy"),
}
OURS = ("supervisor", "keeper")
# What a client's traffic is marked with: may it be read on the uplink, and where?
TUNNELLED, PROXIED, PLAIN = b"orrery-t-", b"orrery-p-", b"orrery-d-"
MARKS = {"openvpn": TUNNELLED, "wireguard": TUNNELLED, "star": TUNNELLED, "socks5": PROXIED}
_GALAXIES = ("openvpn", "wireguard", "socks5", "direct")
FIRST_ADDRESS = 200  # on the universe's LAN; clients of the universe take the lowest
MOVED = {
    plan.OPENVPN_SITE.address: "198.18.0.96",
    plan.WIREGUARD_SITE.address: "198.18.0.97",
    plan.SOCKS: "198.18.0.31",
}

Server = tuple[int, str, int]  # protocol, address, port


@dataclass
class Router:
    network: str
    name: str
    form: str  # a key of SERVICES
    upstream: Optional[str]
    address: str  # on its uplink; of a universe what the ISP leases
    mac: str  # there
    lan: str  # first three bytes
    own: int = 254
    # Where it may send: none for those that send everywhere.
    servers: set[Server] = field(default_factory=set)
    definition: str = "NAME.toml"
    others: dict[str, str] = field(default_factory=dict)  # what else can be applied to it, to file names

    @property
    def key(self) -> str:
        return f"{self.network}.{self.name}"

    @property
    def mark(self) -> bytes:
        return MARKS.get(self.form, PLAIN) + self.key.replace(".", "-").encode()

    @property
    def upstream_netns(self) -> str:
        return plan.ISP if self.upstream is None else f"{self.network}.{self.upstream}"

    @property
    def gateway(self) -> str:
        return f"{self.lan}.{self.own}"


def router_mac(network: int, address: str) -> str:
    """As the product derives it from an address (orrery.toml(5), lan.mac) whose parts are not from 100 to 153."""
    parts = [int(part) for part in address.split(".")]
    return ":".join(["00", f"{network:02x}", *(f"{part:02d}" if part < 100 else f"{part:02x}" for part in parts)])


class Fleet:
    """`each` routers of each kind of galaxy in each of the first `networks` networks, and a star over the first
    OpenVPN galaxy where the lab has Tor. `write` makes the files."""

    def __init__(self, facts: dict[str, Any], directory: Path, networks: int = 1, each: int = 1) -> None:
        self._facts = facts
        self._directory = directory
        self._peer = 1  # of WireGuard's: one key, one router
        self.routers: list[Router] = []
        for network in range(networks):
            self._add_network(network, each)

    def of(self, form: str) -> list[Router]:
        return [router for router in self.routers if router.form == form]

    def network(self, network: str) -> list[Router]:
        return [router for router in self.routers if router.network == network]

    def stages(self, network: str) -> list[tuple[tuple[str, ...], str]]:
        """Kinds of routers, and the file that has them and all above: what must be there before the next."""
        found = [(("universe",), f"{network}-universe0.toml"), (_GALAXIES, f"{network}-galaxies.toml")]
        return found + ([(("star",), f"{network}-star0.toml")] if self.of("star") else [])

    def write_set(self, network: str, file: str, routers: list[Router]) -> str:
        """A file with the universe and these, which are no part of the fleet."""
        universe = self._universe(self._facts["nics"][int(network.removeprefix("network"))])
        texts = [self._galaxy(router, self._egress(router.form, "")[0]) for router in routers]
        return self._write(network, file, [universe, *texts])

    # --- definitions --------------------------------------------------------------------------------

    def _add_network(self, number: int, each: int) -> None:
        network = f"network{number}"
        nic = self._facts["nics"][number]
        universe = Router(network, "universe0", "universe", None, nic["lease"], nic["mac"], UNIVERSE_LAN, 1)
        text = {"universe0": self._universe(nic)}
        made = [universe]
        for form in _GALAXIES:
            for copy in range(each):
                made.append(self._add_galaxy(network, number, form, copy, len(made), text))
        if self._facts["tor"] is not None:
            made.append(self._add_star(network, number, made, text))
        for router in made:
            chain = ["universe0"] + ([router.upstream] if router.form == "star" else []) + [router.name]
            names = list(dict.fromkeys(name for name in chain if name))
            router.definition = self._write(network, f"{network}-{router.name}.toml", [text[n] for n in names])
            for what in [key for key in text if key.startswith(f"{router.name} ")]:
                label = what.partition(" ")[2]
                parts = [text[n] for n in names[:-1]] + [text[what]]
                file = f"{network}-{router.name}-{len(router.others)}.toml"
                router.others[label] = self._write(network, file, parts)
        galaxies = [text[router.name] for router in made if router.form != "star"]
        self._write(network, f"{network}-galaxies.toml", galaxies)
        self.routers += made

    def _write(self, network: str, file: str, parts: list[str]) -> str:
        (self._directory / file).write_text(f'version = 1\nnetwork = "{network}"\n' + "".join(parts))
        return file

    @staticmethod
    def _universe(nic: dict[str, Any]) -> str:
        return (
            f'\n[router.universe0]\nkind   = "universe"\nuplink = {{ nic = {{ mac = "{nic["mac"]}" }} }}\n'
            f'lan    = {{ address = "{UNIVERSE_LAN}.1/24", dhcp = {{ range = ["{UNIVERSE_LAN}.2", '
            f'"{UNIVERSE_LAN}.254"] }} }}\n'
        )

    def _add_galaxy(
        self, network: str, number: int, form: str, copy: int, index: int, text: dict[str, str]
    ) -> Router:
        name = f"{form}{copy}"
        address = f"{UNIVERSE_LAN}.{FIRST_ADDRESS + index}"
        mac = router_mac(number, address)
        router = Router(network, name, form, "universe0", address, mac, f"10.1.{index}", servers=self.server(form))
        egress, others = self._egress(form, f"{network}-{name}")
        text[name] = self._galaxy(router, egress)
        text[f"{name} other limits"] = self._galaxy(router, egress, 'memory = "200M"\npids = 60')
        for what, other in others.items():
            text[f"{name} {what}"] = self._galaxy(router, other)
        return router

    @staticmethod
    def _galaxy(router: Router, egress: str, limits: str = "") -> str:
        return (
            f'\n[router.{router.name}]\nkind   = "galaxy"\n'
            f'uplink = {{ router = "{router.upstream}", address = "{router.address}" }}\n'
            f'lan    = {{ address = "{router.gateway}/24", '
            f'dhcp = {{ range = ["{router.lan}.2", "{router.lan}.250"] }} }}\n'
            f"\n[router.{router.name}.egress]\n{egress}"
        ) + (f"\n[router.{router.name}.limits]\n{limits}\n" if limits else "")

    def _add_star(self, network: str, number: int, made: list[Router], text: dict[str, str]) -> Router:
        over = made[1].name  # the first galaxy: OpenVPN
        address = f"{made[1].lan}.99"
        tor = self._facts["tor"]
        servers = {(TCP, hop, tor["or_port"]) for hop in tor["first_hops"]}
        router = Router(network, "star0", "star", over, address, router_mac(number, address), "10.2.0", servers=servers)
        torrc = self._copy(tor["torrc"], f"{network}-star0.torrc")
        text["star0"] = (
            f'\n[router.star0]\nkind   = "star"\nuplink = {{ router = "{over}", address = "{address}" }}\n'
            f'lan    = {{ address = "10.2.0.254/24", dhcp = {{ range = ["10.2.0.2", "10.2.0.250"] }} }}\n'
            f'egress = {{ type = "tor", torrc = "{torrc}" }}\n'
        )
        return router

    def server(self, form: str, moved: bool = False, other: bool = False) -> set[Server]:
        """`other`: OpenVPN's over TCP."""
        vpn, wireguard, socks = self._facts["openvpn"], self._facts["wireguard"], self._facts["socks5"]
        over = "tcp" if other else "udp"
        found = {
            "openvpn": (TCP if other else UDP, vpn["address"], vpn[over]["port"]),
            "wireguard": (UDP, wireguard["address"], wireguard["port"]),
            "socks5": (TCP, socks["address"], socks["port"]),
        }.get(form)
        if found is None:
            return set()
        protocol, address, port = found
        return {(protocol, MOVED[address] if moved else address, port)}

    def _egress(self, form: str, name: str) -> tuple[str, dict[str, str]]:
        """Its egress, and others by what has changed in them."""
        vpn, wireguard = self._facts["openvpn"], self._facts["wireguard"]
        if form == "direct":
            return 'type = "direct"\n', {}
        if form == "socks5":
            socks = self._facts["socks5"]
            at = lambda address: f'type   = "socks5"\nserver = "{address}:{socks["port"]}"\n'  # noqa: E731
            return at(socks["address"]), {"server moved": at(MOVED[socks["address"]])}
        if form == "wireguard":
            source = wireguard["peers"][self._peer]["profile"]
            self._peer += 1
            files = {"": self._copy(source, f"{name}.conf")}
            files["server moved"] = self._copy(source, f"{name}-moved.conf", wireguard["address"])
        else:
            files = {"": self._copy(vpn["udp"]["profile"], f"{name}.ovpn")}
            files["server moved"] = self._copy(vpn["udp"]["profile"], f"{name}-moved.ovpn", vpn["address"])
            files["other egress"] = self._copy(vpn["tcp"]["profile"], f"{name}-tcp.ovpn")
        texts = {what: f'type    = "{form}"\nprofile = "{file}"\n' for what, file in files.items()}
        return texts.pop(""), texts

    def _copy(self, source: str, name: str, move: str = "") -> str:
        target = self._directory / name
        text = Path(source).read_text()
        target.write_text(text.replace(move, MOVED[move]) if move else text)
        target.chmod(0o600)
        return name


def add_second_addresses() -> None:
    """Of the servers: in the lab until it is down."""
    sites = [(tunnel.netns, tunnel.address, tunnel.link) for tunnel in (plan.OPENVPN_SITE, plan.WIREGUARD_SITE)]
    for netns, address, link in (*sites, (plan.NET, plan.SOCKS, "")):
        moved = MOVED[address]
        linux.ip_batch(netns, [f"address add {moved}/32 dev lo"])
        if link:
            linux.ip_batch(plan.NET, [f"route add {moved}/32 via {link}.2"])
        rules = "table ip moved { chain d { type nat hook prerouting priority dstnat; "
        linux.run(["nft", "-f", "-"], netns, rules + f"ip daddr {moved} dnat to {address}; }}; }}")
