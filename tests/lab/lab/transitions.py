"""Everything that can happen to a router, many times, while its clients never stop sending.

One block is one kind of transition on one router, a number of times, under one capture of the router's
uplink: so each kind has its own count of frames that left by a wrong way. The capture sits at the far end
of the uplink, and is an error (never silence) if it lost a frame.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator

from . import capture, linux
from .capture import TCP, UDP, Capture, Frame, Rule
from .definitions import UNIVERSE_LAN
from .noise import Sender
from .product import Product

NETWORK = "network0"
DEFINITIONS = "network0.toml"
SERVICES = {
    "galaxy0": ("dnsmasq", "openvpn"),
    "galaxy1": ("dnsmasq", "wireguard-go"),
    "galaxy2": ("dnsmasq", "tproxy"),
    "galaxy3": ("dnsmasq",),
    "star0": ("dnsmasq", "tor", "tproxy"),
}
UPSTREAM = {name: "galaxy0" if name == "star0" else "universe0" for name in SERVICES}
OURS = ("supervisor", "keeper")
HEALS_WITHIN = 30.0  # seconds, on a loaded machine
_PAUSE = 0.05  # seconds of being stopped, down or unreachable: the transition itself, no wait for anything


def uplink_rules(facts: dict[str, Any], router: str) -> list[Rule]:
    """What the leak contract allows at the far end of that router's uplink; `outgoing` is towards the router."""
    near = "10.1.1.0/24" if router == "star0" else f"{UNIVERSE_LAN}.0/24"
    if router == "galaxy3":  # direct: anything, from its own address
        return [*capture.arp(), Rule(outgoing=False, source=near), Rule(outgoing=True, destination=near)]
    tor = facts["tor"] or {}
    protocol, port, addresses = {
        "galaxy0": (UDP, facts["openvpn"]["udp"]["port"], [facts["openvpn"]["address"]]),
        "galaxy1": (UDP, facts["wireguard"]["port"], [facts["wireguard"]["address"]]),
        "galaxy2": (TCP, facts["socks5"]["port"], [facts["socks5"]["address"]]),
        "star0": (TCP, tor.get("or_port"), tor.get("first_hops", [])),
    }[router]
    rules = capture.arp()
    for far in addresses:
        rules += capture.between(protocol, near, far, port)
    return rules


class Ipv6Noise(Sender):
    """Router solicitations, multicast and global UDP over IPv6, and frames of no known type, from a client."""

    def __init__(self, netns: str, interface: str = "eth0") -> None:
        super().__init__(netns)
        self._interface = interface

    def _send(self) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((self._interface, 0))
            source = sock.getsockname()[4]
            while not self._stop.wait(0.01):
                for frame in _ipv6_frames(source):
                    with contextlib.suppress(OSError):  # the port is gone for a moment
                        sock.send(frame)


def _ipv6_frames(source: bytes) -> Iterator[bytes]:
    own = bytes.fromhex("fe80000000000000") + bytes(8)
    groups = {"333300000002": "ff020000000000000000000000000002", "3333000000fb": "ff0200000000000000000000000000fb"}
    for mac, address in groups.items():
        body = b"\x85\0\0\0\0\0\0\0"
        head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + b"\x3a\xff"
        yield bytes.fromhex(mac) + source + b"\x86\xdd" + head + own + bytes.fromhex(address) + body
    datagram = (4000).to_bytes(2, "big") + (443).to_bytes(2, "big") + b"\0\x0c\0\0noise"[:8]
    head = b"\x60\0\0\0" + len(datagram).to_bytes(2, "big") + b"\x11\x40"
    to = bytes.fromhex("20010db8000000000000000000000001")
    yield b"\xff" * 6 + source + b"\x86\xdd" + head + own + to + datagram
    yield b"\xff" * 6 + source + b"\x88\xb6" + bytes(46)


@dataclass
class Block:
    """What one kind of transition let out of one router.

    `strays` came to the router and were not for it: its neighbours', flooded by the bridge upstream while it
    did not know their port. They did not leave by it, and are told apart.
    """

    router: str
    kind: str
    transitions: int
    frames: int
    leaked: list[Frame]
    strays: int
    seconds: float


class Transitions:
    def __init__(self, product: Product, facts: dict[str, Any]) -> None:
        self._product = product
        self._facts = facts

    def kinds(self, router: str) -> dict[str, Callable[[], None]]:
        """Each leaves the router ready."""
        found: dict[str, Callable[[], None]] = {}
        for process in (*SERVICES[router], *OURS):
            key = f"{router}/{process}"
            found[f"kill {process}"] = lambda key=key: self._kill(key)  # type: ignore[misc]
            found[f"stop {process}"] = lambda key=key: self._stop([key])  # type: ignore[misc]
        found["stop all"] = lambda: self._stop_all()
        found["restart"] = lambda: self._restart(router)
        found["uplink down, up"] = lambda: self._uplink(router)
        found["server gone, back"] = lambda: self._server(router)
        found["nobody left, spawn"] = lambda: self._nobody(router)
        found["destroy, spawn"] = lambda: self._destroy(router)
        return found

    def block(self, router: str, kind: str, count: int) -> Block:
        work = self.kinds(router)[kind]
        began = time.monotonic()
        frames: list[Frame] = []
        done = 0
        while done < count:
            # Where the link itself goes, one capture sees one of them.
            batch = 1 if kind == "destroy, spawn" else min(count - done, 50)
            watch = self._watch(router)
            watch.start()
            for _ in range(batch):
                work()
            frames += self._stopped(watch)
            done += batch
        found = capture.offenders(frames, uplink_rules(self._facts, router))
        leaked = [frame for frame in found if not frame.outgoing]
        seconds = time.monotonic() - began
        return Block(router, kind, count, len(frames), leaked, len(found) - len(leaked), seconds)

    def _watch(self, router: str) -> Capture:
        return Capture(f"{NETWORK}.{UPSTREAM[router]}", router, ring_bytes=8 << 20)

    @staticmethod
    def _stopped(watch: Capture) -> list[Frame]:
        # No marker: the link may be another one by now. Its frames are in the ring when they have passed.
        watch.__exit__(RuntimeError)
        if watch._error is not None:
            raise watch._error
        return watch.frames

    # --- what happens -------------------------------------------------------------------------------

    def _kill(self, key: str) -> None:
        before = self._product.processes()[key]
        if not before:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(before, signal.SIGKILL)
        linux.wait_until(f"another {key}", lambda: self._pid(key) not in (0, before), HEALS_WITHIN, every=0.02)
        self._ready(key.partition("/")[0])

    def _pid(self, key: str) -> int:
        with contextlib.suppress(OSError, linux.LabError, KeyError, ValueError):
            return self._product.processes().get(key, 0)
        return 0

    def _ready(self, router: str) -> None:
        self._product.wait_ready(router, HEALS_WITHIN)

    def _stop(self, keys: list[str]) -> None:
        processes = self._product.processes()
        pids = [processes[key] for key in keys if processes.get(key)]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(_PAUSE)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        self._ready(keys[0].partition("/")[0])

    def _stop_all(self) -> None:
        """A host that is suspended: every process of the network."""
        self._stop([key for key, pid in sorted(self._product.processes().items()) if pid])

    def _restart(self, router: str) -> None:
        self._product.must("restart", router)
        self._ready(router)

    def _uplink(self, router: str) -> None:
        above = f"{NETWORK}.{UPSTREAM[router]}"
        linux.ip_batch(above, [f"link set {router} down"])
        time.sleep(_PAUSE)
        linux.ip_batch(above, [f"link set {router} up"])
        wait_for_carrier(above, router)
        wait_for_carrier(f"{NETWORK}.{router}{'' if router == 'galaxy3' else '.egress'}", "uplink")
        self._ready(router)

    def _server(self, router: str) -> None:
        """Its server is not reached for a moment: a route in the middle of the internet leads nowhere."""
        facts = {"galaxy0": "openvpn", "galaxy1": "wireguard", "galaxy2": "socks5"}.get(router)
        if facts is None:
            return
        address = self._facts[facts]["address"]
        linux.ip_batch("lab-isp", [f"route add blackhole {address}/32"])
        time.sleep(_PAUSE)
        linux.ip_batch("lab-isp", [f"route del blackhole {address}/32"])
        self._ready(router)

    def _nobody(self, router: str) -> None:
        """Supervisor and keeper die at once; spawn brings them back."""
        processes = self._product.processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in OURS:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(processes[f"{router}/{process}"], number)
        down = lambda: self._product.ctl("status", router).returncode == 5  # noqa: E731
        linux.wait_until("nobody answers", down, HEALS_WITHIN, every=0.02)
        self._product.must("spawn", DEFINITIONS)
        self._ready(router)

    def _destroy(self, router: str) -> None:
        """Its clients are cut off: their port goes with the router's namespace."""
        self._product.must("destroy", router)
        self._product.must("spawn", DEFINITIONS)
        self._ready(router)


def wait_for_carrier(netns: str, link: str) -> None:
    """The kernel carries nothing before it has looked at the carrier, once a second at most (link_watch.c)."""
    carrier = lambda: "state UP" in linux.run(["ip", "-o", "link", "show", link], netns)  # noqa: E731
    linux.wait_until(f"carrier of {link}", carrier, HEALS_WITHIN, every=0.02)


def report(blocks: list[Block]) -> str:
    lines = [f"{'router':10} {'transition':20} {'times':>7} {'frames':>9} {'leaked':>7} {'strays':>7} {'each':>9}"]
    for b in blocks:
        each = f"{b.seconds / b.transitions * 1000:.0f} ms"
        counts = f"{b.transitions:7} {b.frames:9} {len(b.leaked):7} {b.strays:7}"
        lines.append(f"{b.router:10} {b.kind:20} {counts} {each:>9}")
    total = sum(b.transitions for b in blocks)
    leaked = sum(len(b.leaked) for b in blocks)
    strays = sum(b.strays for b in blocks)
    lines.append(f"{'all':10} {'':20} {total:7} {sum(b.frames for b in blocks):9} {leaked:7} {strays:7}")
    return "\n".join(lines)


