"""The internet in a box: up, down, status.

All that it makes is in the state directory and in namespaces named lab-*, each noted before it is made.
So `down` works from any state, and `up` refuses to start on top of anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, TextIO

from . import linux, openvpn, plan, resolvers, wireguard, wires
from .linux import LabError
from .processes import Ledger
from .tor import TorNetwork

DEFAULT_STATE = Path("/run/orrery-lab")
SCHEMA = "orrery-lab/1"
_MARKER = "this-is-an-orrery-lab"
_NO_REPORT: Callable[[str], None] = lambda line: None  # noqa: E731


class Internet:
    """The lab of one state directory. `facts` (lab.json) is what tests read in place of constants."""

    def __init__(self, state: Path = DEFAULT_STATE) -> None:
        self.state = state.resolve()
        self.ledger = Ledger(self.state)

    @property
    def facts(self) -> dict[str, Any]:
        try:
            return json.loads((self.state / "lab.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no lab is up in {self.state}: run `tests/lab/internet up`") from None

    # --- up -----------------------------------------------------------------------------------------

    def up(
        self, tor: bool = True, report: Callable[[str], None] = _NO_REPORT, keep_failed: bool = False
    ) -> dict[str, Any]:
        """lab.json's content. If anything fails nothing stays, unless `keep_failed`."""
        began = time.monotonic()
        timed = lambda line: report(f"{time.monotonic() - began:6.2f} s  {line}")  # noqa: E731
        lock = self._claim()
        try:
            self._build(tor, timed)
        except BaseException:
            lock.close()
            if not keep_failed:
                self.down()
            raise
        lock.close()
        return self.facts

    def _claim(self) -> TextIO:
        """The state directory is ours. The marker's lock makes a `down` wait for the end of this `up`."""
        if os.geteuid() != 0:
            raise LabError("the lab makes network namespaces: run it as root")
        there = [n for n in plan.NAMESPACES if linux.pin_of(n).exists()]
        if there:
            raise LabError(f"a lab is there already ({', '.join(there)}): run `tests/lab/internet down` first")
        self.state.mkdir(mode=0o755, parents=True, exist_ok=True)
        if any(self.state.iterdir()):
            raise LabError(f"{self.state} is not empty: run `tests/lab/internet down` first, or choose another")
        lock = open(self.state / _MARKER, "x")
        fcntl.flock(lock, fcntl.LOCK_EX)
        (self.state / "log").mkdir()
        if not linux.RUN_NETNS.exists():
            (self.state / "made-run-netns").touch()
            linux.RUN_NETNS.mkdir(mode=0o755)
        linux.share_netns_directory()
        return lock

    def _build(self, tor: bool, report: Callable[[str], None]) -> None:
        for netns in plan.NAMESPACES:
            self.add_namespace(netns)
        wires.lay_out()
        report("namespaces and wires")
        (self.state / "resolv.net").write_text(f"nameserver {plan.DNS}\n")
        network = TorNetwork(self.ledger, self.state) if tor else None
        errors: list[BaseException] = []
        tor_start = threading.Thread(target=_keeping(errors, network.start) if network else None)
        tor_start.start()
        try:
            self._start_world()
            openvpn.start(self.ledger, self.state)
            implementation = wireguard.start(self.ledger, self.state)
            resolvers.start(self.ledger, self.state)
            report(f"HTTP, DNS, DHCP, OpenVPN, WireGuard ({implementation}), SOCKS5")
        finally:
            tor_start.join()
        if errors:
            raise errors[0]
        onion = None
        if network is not None:
            report("Tor: nodes started")
            onion = network.wait(report)
            report(f"Tor: onion service {onion}")
        facts = _facts(self.state, implementation, network, onion)
        _write_atomically(self.state / "lab.json", json.dumps(facts, indent=2) + "\n")
        report(f"ready: {self.state}/lab.json")

    def _start_world(self) -> None:
        program = str(Path(__file__).parent / "world_server.py")
        where = [plan.HTTP, "80", plan.ECHO, "7", str(self.state / "log/seen.jsonl")]
        world = self.ledger.start("world", ["/usr/bin/python3", "-IB", program, *where], plan.NET)
        resolv = {"/etc/resolv.conf": self.state / "resolv.net"}
        listen = ["microsocks", "-i", plan.SOCKS, "-b", plan.SOCKS_EXIT]
        socks = self.ledger.start("socks", [*listen, "-p", "1080"], plan.NET, resolv)
        login = ["-u", plan.SOCKS_USER, "-P", plan.SOCKS_PASSWORD]
        socks_auth = self.ledger.start("socks-auth", [*listen, "-p", "1081", *login], plan.NET, resolv)
        password = self.state / "socks5.auth"
        password.touch(mode=0o600)
        password.write_text(f"{plan.SOCKS_USER}\n{plan.SOCKS_PASSWORD}\n")
        self.ledger.wait_for_log(world, "world", "ready")
        self.ledger.wait_for_port(socks, "socks", plan.NET, plan.SOCKS, 1080)
        self.ledger.wait_for_port(socks_auth, "socks-auth", plan.NET, plan.SOCKS, 1081)

    def add_namespace(self, netns: str) -> None:
        """Also for clients: `down` removes it."""
        if linux.pin_of(netns).exists():
            raise LabError(f"{linux.pin_of(netns)} is there already, and not ours")
        with open(self.state / "namespaces", "a") as noted:
            noted.write(netns + "\n")
        linux.make_netns(netns)

    def replug(self) -> list[str]:
        """New NICs for those that are not on the fake host, wherever they are now; the names of these."""
        away = [nic for nic in plan.NICS if not wires.is_home(nic)]
        for nic in away:
            wires.unplug(nic)
            wires.plug_in(nic)
        return [nic.name for nic in away]

    # --- down ---------------------------------------------------------------------------------------

    def down(self, report: Callable[[str], None] = _NO_REPORT) -> bool:
        """Removes whatever of the lab is there; False if nothing was."""
        if not (self.state / _MARKER).exists():
            if self.state.is_dir() and any(self.state.iterdir()):
                raise LabError(f"{self.state} is not a lab's state directory: nothing done")
            return False
        with open(self.state / _MARKER) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.state / _MARKER).exists():
                return False  # another `down` was quicker
            self.ledger.end_all()
            _remove_namespaces(self._namespaces(), report)
            self._remove_state()
        return True

    def force_down(self, report: Callable[[str], None] = _NO_REPORT) -> bool:
        """As down; and if the state directory was lost, the lab's namespaces with all that runs there."""
        removed = self.down(report)
        orphans = [netns for netns in plan.NAMESPACES if linux.pin_of(netns).exists()]
        _remove_namespaces(orphans, report)
        return removed or bool(orphans)

    def _namespaces(self) -> list[str]:
        noted = self.state / "namespaces"
        return noted.read_text().split() if noted.exists() else []

    def _remove_state(self) -> None:
        if (self.state / "made-run-netns").exists():
            linux.remove_netns_directory()
        # A tool that a killed `up` had started may still be writing its last file.
        linux.wait_until(f"{self.state} empty", self._remove_files, 10)
        (self.state / _MARKER).unlink(missing_ok=True)
        self.state.rmdir()

    def _remove_files(self) -> bool:
        """All but the marker, which goes last so that a crash here can be repeated."""
        for entry in self.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _MARKER:
                entry.unlink()
        return [entry.name for entry in self.state.iterdir()] == [_MARKER]

    # --- status -------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """{"up": …, "processes": {name: alive}, "namespaces": {name: there}, "nics": {name: wired}}"""
        namespaces = {n: linux.pin_of(n).exists() for n in plan.NAMESPACES}
        there = namespaces[plan.ISP]
        return {
            "schema": SCHEMA,
            "up": (self.state / "lab.json").exists(),
            "processes": {p.name: p.alive for p in self.ledger.processes()},
            "namespaces": namespaces,
            "nics": {nic.name: there and wires.wire_is_there(nic) for nic in plan.NICS},
        }

    # --- what the servers saw -----------------------------------------------------------------------

    def seen(self, kind: str = "http") -> list[dict[str, Any]]:
        """The world server's requests ("http") or datagrams ("udp"), oldest first."""
        lines = (self.state / "log/seen.jsonl").read_text().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["kind"] == kind]

    def queries(self, resolver: str) -> list[resolvers.Query]:
        return resolvers.queries(self.ledger, resolver)


def _keeping(errors: list[BaseException], work: Callable[[], None]) -> Callable[[], None]:
    def body() -> None:
        try:
            work()
        except BaseException as error:  # raised again by the thread that joins
            errors.append(error)

    return body


def _remove_namespaces(namespaces: Sequence[str], report: Callable[[str], None]) -> None:
    """First what tests left running inside: it would keep a namespace alive without a name."""
    for netns in namespaces:
        strays = linux.processes_in(netns) if linux.pin_of(netns).exists() else []
        for pid, _, name in strays:
            report(f"ending {name} ({pid}), left in {netns}")
        linux.end_processes((pid, started) for pid, started, _ in strays)
    for netns in namespaces:
        linux.remove_netns(netns)


def _write_atomically(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


def _facts(state: Path, wireguard_kind: str, network: Optional[TorNetwork], onion: Optional[str]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "state": str(state),
        "host": {"netns": plan.HOST, "pin": str(linux.pin_of(plan.HOST))},
        "nics": [_nic_facts(nic) for nic in plan.NICS],
        "http": {"address": plan.HTTP, "port": 80, "names": list(plan.PAGE_NAMES), "wildcard": plan.WILDCARD},
        "echo": {"address": plan.ECHO, "port": 7, "name": f"echo.{plan.ZONE}"},
        "seen": str(state / "log/seen.jsonl"),
        "dns": {
            "address": plan.DNS,
            "zone": plan.ZONE,
            "logs": {name: str(state / f"log/dns-{name}.log") for name in ("net", "isp", "openvpn", "wireguard")},
        },
        "openvpn": _openvpn_facts(state),
        "wireguard": _wireguard_facts(state, wireguard_kind),
        "socks5": {
            "address": plan.SOCKS,
            "port": 1080,
            "auth_port": 1081,
            "user": plan.SOCKS_USER,
            "password": plan.SOCKS_PASSWORD,
            "auth_file": str(state / "socks5.auth"),
            "exit": plan.SOCKS_EXIT,
        },
        "tor": None if network is None else _tor_facts(state, network, onion),
    }


def _nic_facts(nic: plan.Nic) -> dict[str, Any]:
    return {
        "name": nic.name,
        "mac": nic.mac,
        "wire": {"netns": plan.ISP, "interface": nic.wire},
        "network": f"{nic.network}.0/24",
        "gateway": nic.isp,
        "gateway_mac": nic.lan_mac,
        "pushed_route": plan.PUSHED_ROUTE,
        "dns": nic.isp,
        "lease": nic.lease,
        "exit": nic.lease,
    }


def _openvpn_facts(state: Path) -> dict[str, Any]:
    def server(port: int, inside: str, profile: str) -> dict[str, Any]:
        return {"port": port, "profile": str(state / profile), "network": f"{inside}.0/24", "dns": f"{inside}.1"}

    return {
        "address": plan.OPENVPN_SITE.address,
        "exit": plan.OPENVPN_SITE.exit,
        "pushed_route": plan.PUSHED_ROUTE,
        "udp": server(plan.OPENVPN_UDP_PORT, plan.OPENVPN_UDP_INSIDE, openvpn.PROFILE_UDP),
        "tcp": server(plan.OPENVPN_TCP_PORT, plan.OPENVPN_TCP_INSIDE, openvpn.PROFILE_TCP),
    }


def _wireguard_facts(state: Path, kind: str) -> dict[str, Any]:
    numbers = range(plan.WIREGUARD_PEERS)
    return {
        "address": plan.WIREGUARD_SITE.address,
        "port": plan.WIREGUARD_PORT,
        "exit": plan.WIREGUARD_SITE.exit,
        "dns": f"{plan.WIREGUARD_INSIDE}.1",
        "implementation": kind,
        "peers": [
            {"profile": str(state / wireguard.profile_name(n)), "address": wireguard.peer_address(n)} for n in numbers
        ],
    }


def _tor_facts(state: Path, network: TorNetwork, onion: Optional[str]) -> dict[str, Any]:
    return {
        "torrc": str(state / "client.torrc"),
        "exits": list(plan.TOR_EXITS),
        "onion": onion,
        "onion_exit": plan.TOR_ONION,
        # A client's first hop is one of these, at or_port.
        "first_hops": [*plan.TOR_AUTHORITIES, *plan.TOR_RELAYS, *plan.TOR_EXITS],
        "or_port": plan.TOR_OR_PORT,
        "dir_port": plan.TOR_DIR_PORT,
        "fingerprints": network.fingerprints,
    }
