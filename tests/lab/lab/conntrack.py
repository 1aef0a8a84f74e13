"""The flows that connection tracking of a namespace remembers, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Iterator

from . import linux
from .linux import LabError

_NETLINK_NETFILTER = 12
_CT_GET = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_IP, _TUPLE_PROTO = 1, 1, 2


@dataclass(frozen=True)
class Flow:
    """As its first packet had it."""

    protocol: int
    source: str
    destination: str
    source_port: int = 0
    destination_port: int = 0


def flows(netns: str) -> list[Flow]:
    """Those of IPv4."""
    found: list[Flow] = []
    with linux.socket_in(netns, socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as sock:
        sock.settimeout(10)
        body = struct.pack("BBH", socket.AF_INET, 0, 0)
        sock.send(struct.pack("=IHHII", 16 + len(body), _CT_GET, _REQUEST_DUMP, 1, 0) + body)
        while True:
            data = sock.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise LabError(f"conntrack of {netns}: {data[16:length].hex()}")
                found.append(_flow(data[20:length]))
                data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def _flow(data: bytes) -> Flow:
    parts = dict(_attributes(dict(_attributes(data))[_TUPLE_ORIG]))
    addresses, ports = dict(_attributes(parts[_TUPLE_IP])), dict(_attributes(parts[_TUPLE_PROTO]))
    port = lambda number: int.from_bytes(ports.get(number, b"\0"), "big")  # noqa: E731
    source, destination = (socket.inet_ntoa(addresses[number]) for number in (1, 2))
    return Flow(ports[1][0], source, destination, port(2), port(3))
