"""A client through universe, galaxy and galaxy (direct: three NATs) to a server, beside the same chain
by hand: three namespaces of `ip` and `nft`, with bridges like ours and without.

The hand-made rulesets have 20 rules that each packet walks, conntrack and masquerade (three NAT routers
of 20 rules are the peer that peers-measured.md names), IPv6 off and no netfilter on bridged frames, as
ours. All three chains stand at once and take turns in each round.
"""

from __future__ import annotations

import json
import socket

from lab import linux

from .host import NET, SERVER, Host
from .report import Report, Target, median, spread
from .settings import Settings

_PORT = 5201
_SINK = 9  # discard
_SIZE = 22  # bytes of payload: 64 on the wire with Ethernet, IPv4 and UDP

_GALAXY = """
[router.galaxy{n}]
kind   = "galaxy"
uplink = "{uplink}"
lan    = {{ address = "10.1.{n}.254/24", dhcp = {{ range = ["10.1.{n}.128", "10.1.{n}.253"], lease = "9000s" }} }}
egress = {{ type = "direct" }}
"""


def _ruleset(uplink: str) -> str:
    never = "\n".join(f"    ip saddr 192.0.2.{n} tcp dport {1000 + n} drop" for n in range(18))
    return f"""
table ip bench {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
{never}
    ct state established,related accept
    oifname "{uplink}" accept
  }}
  chain nat {{ type nat hook postrouting priority srcnat; oifname "{uplink}" masquerade; }}
}}"""


class HandMade:
    """bench-TAG1 (the one at the server) to bench-TAG3, and bench-TAG-client."""

    def __init__(self, tag: str, number: int, bridges: bool) -> None:
        self.link = f"w{tag}"  # on the server's side
        self.client = f"bench-{tag}-client"
        self._bridges = bridges
        self._names = [f"bench-{tag}{n}" for n in (1, 2, 3)]
        quiet = {f"ipv6/conf/{scope}/disable_ipv6": "1" for scope in ("all", "default")}
        for name in (*self._names, self.client):
            linux.make_netns(name)
            linux.write_sysctls(name, {**quiet, "ipv4/ip_forward": "1"})
            linux.ip_batch(name, ["link set lo up"])
        self._wire(NET, self.link, f"198.18.{number}.254/24", self._names[0], f"198.18.{number}.1/24", False)
        for n, above in enumerate(self._names):
            below = self._names[n + 1] if n < 2 else self.client
            self._wire(above, "port0", f"10.{50 + n}.0.254/24", below, f"10.{50 + n}.0.2/24", bridges)
            linux.run(["nft", "-f", "-"], above, _ruleset("uplink"))

    def _wire(self, above: str, port: str, above_address: str, below: str, below_address: str, bridge: bool) -> None:
        gateway = above_address.split("/")[0]
        lines = [f"link add {port} type veth peer name uplink netns {below}", f"link set {port} up"]
        if bridge:
            lines += ["link add lan type bridge", "link set lan up", f"link set {port} master lan"]
        linux.ip_batch(above, [*lines, f"address add {above_address} dev {'lan' if bridge else port}"])
        if bridge:
            linux.write_sysctls(above, {f"bridge/bridge-nf-call-{what}tables": "0" for what in ("ip", "ip6", "arp")})
        linux.ip_batch(below, ["link set uplink up", f"address add {below_address} dev uplink", f"route add default via {gateway}"])

    def remove(self) -> None:
        for name in (*self._names, self.client):
            linux.remove_netns(name)


class Ours:
    link = "w0"
    client = "bench-client"

    def __init__(self, host: Host) -> None:
        linux.make_netns(self.client)
        linux.write_sysctls(self.client, {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"})
        host.spawn_universe()
        text = 'version = 1\nnetwork = "bench0"\n'
        text += _GALAXY.format(n=0, uplink="universe0") + _GALAXY.format(n=1, uplink="galaxy0")
        host.routerctl("spawn", host.define("galaxies", text))
        host.routerctl("attach", "galaxy1", "--netns", self.client)

    def remove(self) -> None:
        linux.remove_netns(self.client)


def _tcp(client: str, backwards: bool, seconds: float) -> float:
    """Gbit/s that the receiver got."""
    argv = ["iperf3", "-c", SERVER, "-p", str(_PORT), "-t", f"{seconds:g}", "-J", *(["-R"] if backwards else [])]
    found = json.loads(linux.run(argv, client))
    return found["end"]["sum_received"]["bits_per_second"] / 1e9


def _received(link: str) -> int:
    found = json.loads(linux.run(["ip", "-s", "-j", "link", "show", link], NET))
    return found[0]["stats64"]["rx"]["packets"]


def _packets(settings: Settings, client: str, link: str, seconds: float) -> float:
    """Thousand packets a second that reached the server's link."""
    before = _received(link)
    argv = [settings.helper("bench_packets"), SERVER, str(_SINK), f"{seconds:g}", str(_SIZE)]
    elapsed = float(linux.run(argv, client).split()[1])
    return (_received(link) - before) / elapsed / 1e3


def run(settings: Settings) -> Report:
    rounds = settings.rounds(quick=5, full=11)
    seconds = 2.0 if settings.full else 1.0
    figures: dict[str, dict[str, list[float]]] = {}
    with Host(settings) as host:
        chains = {"ours": Ours(host), "bridges": HandMade("b", 201, True), "plain": HandMade("p", 202, False)}
        server = host.start(["iperf3", "-s", "-p", str(_PORT)], NET)
        # Nobody reads it: what does not fit is dropped, and no ICMP error goes back.
        sink = linux.socket_in(NET, socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind((SERVER, _SINK))
        try:
            linux.wait_until("iperf3", lambda: _answers(), 5)
            for turn in range(rounds + 1):
                for name, chain in chains.items():
                    found = {
                        "tcp_up": _tcp(chain.client, False, seconds),
                        "tcp_down": _tcp(chain.client, True, seconds),
                        "kpps": _packets(settings, chain.client, chain.link, seconds / 2),
                    }
                    if turn == 0:
                        continue
                    for what, value in found.items():
                        figures.setdefault(what, {}).setdefault(name, []).append(value)
        finally:
            sink.close()
            server.kill()
            server.wait()
            for chain in chains.values():
                chain.remove()
    return _report(figures)


def _answers() -> bool:
    listening = linux.run(["ss", "-Hltn", f"sport = :{_PORT}"], NET)
    return bool(listening.strip())


def _report(figures: dict[str, dict[str, list[float]]]) -> Report:
    report = Report("forwarding", ("three NAT routers", "TCP up Gbit/s", "TCP down Gbit/s", "64-byte UDP kpps"))
    names = {"ours": "universe + galaxy + galaxy", "bridges": "by hand, bridges", "plain": "by hand, no bridges"}
    for key, name in names.items():
        cells = [f"{median(figures[what][key]):.1f} ({spread(figures[what][key])})" for what in ("tcp_up", "tcp_down", "kpps")]
        report.rows.append((name, *cells))
    words = {"tcp_up": "TCP up", "tcp_down": "TCP down", "kpps": "packets/s"}
    for peer in ("bridges", "plain"):
        for what, word in words.items():
            ratios = [ours / theirs for ours, theirs in zip(figures[what]["ours"], figures[what][peer])]
            report.targets.append(Target(f"{word} / {names[peer]}", median(ratios), least=0.95))
    report.facts = {"unit": "Gbit/s, kpps", "figures": figures}
    return report
