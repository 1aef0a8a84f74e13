"""An ISP's DHCP server that does what it is told: another address, refusal, any options.

It listens and answers by a packet socket on the ISP's LAN, while a rule keeps the lab's own server from hearing
anything. Formats: RFC 2131, RFC 2132.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from dataclasses import dataclass, field
from typing import Optional

from . import linux, plan
from .chorus import ipv4, udp

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
_MAGIC = b"\x63\x82\x53\x63"
_RULES = "table ip dhcp { chain i { type filter hook input priority 0; udp dport 67 drop; }; }"


@dataclass
class Offer:
    """What a MAC is given. `options` come last, and replace those of the same number."""

    address: str
    seconds: int = 3600
    refuse: bool = False  # requests are refused (NAK), discoveries not answered
    options: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A message of a client."""

    kind: int
    mac: str
    source: str  # of the packet
    options: dict[int, bytes]
    data: bytes  # the DHCP message whole


class Isp:
    """For all NICs of the lab; `offers` by MAC may be changed at any time."""

    def __init__(self) -> None:
        self.offers = {nic.mac: Offer(nic.lease) for nic in plan.NICS}
        self.asked: list[Asked] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Isp:
        linux.run(["nft", "-f", "-"], plan.ISP, _RULES)
        self._sockets: dict[socket.socket, plan.Nic] = {}
        for nic in plan.NICS:
            sock = linux.socket_in(plan.ISP, socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.bind((nic.lan, 0x0800))
            self._sockets[sock] = nic
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()
        for sock in self._sockets:
            sock.close()
        linux.run(["nft", "delete", "table", "ip", "dhcp"], plan.ISP)

    def _serve(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select(list(self._sockets), [], [], 0.1)
            for sock in ready:
                with contextlib.suppress(OSError):
                    data, address = sock.recvfrom(4096)
                    if address[2] != 4 and data[23] == 17 and data[36:38] == b"\0\x43":  # 4: our own
                        self._answer(sock, self._sockets[sock], data)

    def _answer(self, sock: socket.socket, nic: plan.Nic, frame: bytes) -> None:
        message = frame[14 + (frame[14] & 15) * 4 + 8 :]
        if len(message) < 241 or message[236:240] != _MAGIC:
            return
        options = parse_options(message[240:])
        kind = options.get(53, b"\0")[0]
        mac = message[28:34].hex(":")
        self.asked.append(Asked(kind, mac, socket.inet_ntoa(frame[26:30]), options, message))
        offer = self.offers.get(mac)
        if offer is None:
            return
        reply = self._reply_kind(kind, offer, message, options)
        if reply is not None:
            sock.send(self._frame(reply, nic, offer, message))

    @staticmethod
    def _reply_kind(kind: int, offer: Offer, message: bytes, options: dict[int, bytes]) -> Optional[int]:
        if kind == DISCOVER:
            return None if offer.refuse else OFFER
        if kind != REQUEST:
            return None
        wanted = options.get(50) or message[12:16]
        return ACK if not offer.refuse and wanted == socket.inet_aton(offer.address) else NAK

    @staticmethod
    def _frame(kind: int, nic: plan.Nic, offer: Offer, asked: bytes) -> bytes:
        current, mac = asked[12:16], asked[28:34]
        own = socket.inet_aton(nic.isp)
        given = b"\0\0\0\0" if kind == NAK else socket.inet_aton(offer.address)
        options = {53: bytes([kind]), 54: own}
        if kind != NAK:
            options.update({51: offer.seconds.to_bytes(4, "big"), 1: b"\xff\xff\xff\0", 3: own, 6: own})
            options.update(offer.options)
        head = b"\x02\x01\x06\0" + asked[4:8] + b"\0\0" + asked[10:12] + current + given + own + b"\0\0\0\0"
        body = head + mac + bytes(10 + 64 + 128) + _MAGIC
        body += b"".join(bytes([number, len(value)]) + value for number, value in options.items() if value) + b"\xff"
        unicast = current != b"\0\0\0\0" and kind != NAK
        to = socket.inet_ntoa(current) if unicast else "255.255.255.255"
        packet = ipv4(nic.isp, to, 17, udp(67, 68, body))
        return (mac if unicast else b"\xff" * 6) + bytes.fromhex(nic.lan_mac.replace(":", "")) + b"\x08\0" + packet


def parse_options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        found[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def route_option(network: str, gateway: str) -> bytes:
    """Option 121 and 249: RFC 3442."""
    address, _, prefix = network.partition("/")
    return bytes([int(prefix)]) + socket.inet_aton(address)[: -(-int(prefix) // 8)] + socket.inet_aton(gateway)


def static_route_option(address: str, gateway: str) -> bytes:
    """Option 33: to a class-full network or a host."""
    return socket.inet_aton(address) + socket.inet_aton(gateway)


