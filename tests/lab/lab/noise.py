"""A client that never stops sending: whatever a leak would let out is sent while something is broken."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any, Sequence, TypeVar

from . import linux

S = TypeVar("S", bound="Sender")

_PAUSE = 0.005  # seconds between rounds
_CONNECT_EVERY = 32  # rounds: each is a circuit's stream where the egress is Tor


class Sender:
    """A thread in a namespace that sends until the block is left."""

    def __init__(self, netns: str) -> None:
        self._netns = netns
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: linux.in_netns(netns, self._send))

    def __enter__(self: S) -> S:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        """Until `_stop` is set."""
        raise NotImplementedError


class Noise(Sender):
    """TCP, UDP, ICMP and DNS from a namespace to the lab's servers, to the ISP and to the routers' LANs."""

    def __init__(self, netns: str, facts: dict[str, Any], resolver: str) -> None:
        super().__init__(netns)
        nic = facts["nics"][0]
        page, echo, dns = facts["http"]["address"], facts["echo"]["address"], facts["dns"]["address"]
        self._udp = [(echo, facts["echo"]["port"]), (page, 9), (nic["gateway"], 9), ("203.0.113.253", 123)]
        self._resolvers = [(resolver, 53), (dns, 53), (nic["dns"], 53)]
        self._tcp = [(page, 80), (page, 443), (dns, 53)]
        self._ping = [echo, nic["gateway"]]
        self.rounds = 0

    def _send(self) -> None:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        connecting: list[socket.socket] = []
        with udp, raw:
            while not self._stop.wait(_PAUSE):
                for to in self._udp:
                    _try_send(udp, b"noise", to)
                for to in self._resolvers:
                    _try_send(udp, _query(self.rounds), to)
                for address in self._ping:
                    _try_send(raw, _echo_request(self.rounds), (address, 0))
                if self.rounds % _CONNECT_EVERY == 0:
                    _close(connecting)
                    connecting = [_connecting(to) for to in self._tcp]
                self.rounds += 1
        _close(connecting)


def _try_send(sock: socket.socket, data: bytes, to: tuple[str, int]) -> None:
    try:
        sock.sendto(data, socket.MSG_DONTWAIT, to)
    except OSError:
        pass  # refused by an ICMP error to an earlier one, or no room: the next is sent all the same


def _connecting(to: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.connect_ex(to)
    return sock


def _close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _query(number: int) -> bytes:
    head = struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0)
    return head + b"\x05noise\x03any\x03lab\0" + struct.pack("!HH", 1, 1)


def _echo_request(number: int) -> bytes:
    head = struct.pack("!BBHHH", 8, 0, 0, 77, number & 0xFFFF)
    total = sum(struct.unpack("!4H", head))
    total = (total >> 16) + (total & 0xFFFF)
    return head[:2] + struct.pack("!H", ~total & 0xFFFF) + head[4:]
