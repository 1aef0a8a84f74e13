"""Every frame that leaves a fleet's routers, judged by what the leak contract lets that router send.

One packet socket for each upstream namespace, bound to no interface: it sees a router's port from the moment
that the kernel makes it, so that no spawn has a blind spot. A frame's interface index is turned into a name by
the namespace's own link messages, which come before any frame of the link can. A frame that the kernel had no
room for is an error. What comes towards a router is not looked at.

Two judgements on each frame: its header must be one of those that the router may send (its own address and MAC,
its servers and ports), and it must not carry the mark of a client whose traffic is tunnelled.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Callable, Optional

from . import linux
from .capture import TCP, UDP, Frame
from .fleet import PROXIED, TUNNELLED, Router, Server
from .linux import LabError
from .ways_past import EXTRA

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_PACKET_IGNORE_OUTGOING = 23
_TPACKET_V2 = 1
_ETH_P_ALL = 3
_TP_STATUS_USER = 1
_TP_STATUS_VLAN_VALID = 1 << 4
_HEADER = struct.Struct("=IIIHHIIH")
_INDEX = struct.Struct("=iH")
_ETHER = 1  # ARPHRD_ETHER; a tunnel's device is none
_SLL_INDEX = 32 + 4  # sockaddr_ll follows the header, aligned to 16: its sll_ifindex, and sll_hatype
_SLOT = 512
_RING = 16 << 20
_BLOCK = 1 << 20

_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_RTMGRP_LINK = 1
_IFLA_IFNAME = 3

_SOCKS_PORT = (1080).to_bytes(2, "big")
_NOBODY = b"\0\0\0\0"
_ALL = b"\xff\xff\xff\xff"


class Names:
    """Index to name of a namespace's links, kept for links that have gone."""

    def __init__(self, netns: str) -> None:
        self.names: dict[int, str] = {}
        self._socket = linux.socket_in(netns, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        self._socket.bind((0, _RTMGRP_LINK))
        dump = _NLM_F_REQUEST | _NLM_F_DUMP
        self._socket.send(struct.pack("=IHHII16x", 32, _RTM_GETLINK, dump, 1, 0))
        self._socket.setblocking(False)

    def of(self, index: int) -> str:
        if index not in self.names:
            self.update()
        return self.names.get(index, f"#{index}")

    def update(self) -> None:
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except BlockingIOError:
                return
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _RTM_NEWLINK:
                    self._note(data[at + 16 : at + length])
                at += (length + 3) & ~3

    def _note(self, message: bytes) -> None:
        index = struct.unpack_from("=i", message, 4)[0]
        at = 16
        while at + 4 <= len(message):
            length, kind = struct.unpack_from("=HH", message, at)
            if kind & 0x3FFF == _IFLA_IFNAME:
                self.names[index] = message[at + 4 : at + length].rstrip(b"\0").decode()
            at += max(4, (length + 3) & ~3)

    def close(self) -> None:
        self._socket.close()


class Ring:
    """Frames that come in by any interface of a namespace."""

    def __init__(self, netns: str) -> None:
        self.netns = netns
        self.lost = 0
        self._names = Names(netns)
        self._socket = linux.socket_in(netns, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        request = struct.pack("=IIII", _BLOCK, _RING // _BLOCK, _SLOT, _RING // _SLOT)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        self._ring = mmap.mmap(self._socket.fileno(), _RING, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # Of the kernel's two ways to bind to all interfaces Python's has none: protocol alone, index 0.
        address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
        if ctypes.CDLL(None, use_errno=True).bind(self._socket.fileno(), address, len(address)) != 0:
            raise OSError(ctypes.get_errno(), "bind to all interfaces")
        self._at = 0

    def drain(self, judge: Callable[[str, float, bytes, Optional[int], int], None]) -> None:
        # An index may be another link's by now: a device that is moved here keeps its own where that is free.
        self._names.update()
        ring, slots = self._ring, _RING // _SLOT
        of, unpack, index_at = self._names.of, _HEADER.unpack_from, _INDEX.unpack_from
        for _ in range(slots):
            base = self._at * _SLOT
            status, length, snapped, mac, _net, seconds, nanoseconds, tci = unpack(ring, base)
            if not status & _TP_STATUS_USER:
                break
            index, kind = index_at(ring, base + _SLL_INDEX)
            start = base + mac
            data = ring[start : start + min(snapped, _SLOT - mac)]
            ring[base : base + 4] = b"\0\0\0\0"  # back to the kernel
            self._at = (self._at + 1) % slots
            if kind == _ETHER:
                vlan = tci if status & _TP_STATUS_VLAN_VALID else None
                judge(of(index), seconds + nanoseconds / 1e9, data, vlan, length)
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self.lost += dropped

    def close(self) -> None:
        self._names.close()
        self._ring.close()
        self._socket.close()


@dataclass
class Seen:
    """Of one router, until it is asked for."""

    frames: int = 0
    wrong: list[tuple[str, Frame]] = field(default_factory=list)  # and why


class Allowed:
    """What one router may send now; the sets are changed by whoever changes the router."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self._mac = bytes.fromhex(router.mac.replace(":", ""))
        own = 1 if router.upstream == "universe0" else 254  # of the router upstream, on its LAN
        self._gateway = socket.inet_aton(f"{router.address.rpartition('.')[0]}.{own}")
        self._any = not router.servers
        self.set_addresses({router.address})
        self.set_servers(set(router.servers))

    def set_addresses(self, addresses: set[str]) -> None:
        self._own = {socket.inet_aton(address) for address in addresses}

    def set_servers(self, servers: set[Server]) -> None:
        self._servers = {(protocol, socket.inet_aton(a) + port.to_bytes(2, "big")) for protocol, a, port in servers}
        self._hosts = {(protocol, socket.inet_aton(a)) for protocol, a, _ in servers}

    def breach(self, data: bytes, vlan: Optional[int]) -> str:
        """What is wrong with it; empty if nothing is."""
        if vlan is not None:
            return "a VLAN tag"
        if data[6:12] != self._mac:
            return "another MAC"
        kind = data[12:14]
        if kind == b"\x08\x06":
            return self._arp(data)
        if kind != b"\x08\x00":
            return "an EtherType that it has not"
        if data[26:30] not in self._own and not self._asks_for_a_lease(data):
            return "another source address"
        if data[14] != 0x45:
            return "IP options"
        found = self._marked(data)
        if found or self._any:
            return found
        protocol = data[23]
        if data[20] & 0x1F or data[21]:  # a later fragment has no ports
            return "" if (protocol, data[30:34]) in self._hosts else "a fragment for no server"
        return "" if (protocol, data[30:34] + data[36:38]) in self._servers else "for no server of its own"

    def _arp(self, data: bytes) -> str:
        sender, target = data[28:32], data[38:42]
        if sender not in self._own and not (self.router.form == "universe" and sender == _NOBODY):
            return "ARP from another address"
        if data[22:28] != self._mac:
            return "ARP from another MAC"
        if data[21] == 1 and not self._any and target != self._gateway:
            return "ARP for another than the gateway"
        return ""

    def _asks_for_a_lease(self, data: bytes) -> bool:
        dhcp = data[23] == UDP and data[34:38] == b"\0\x44\0\x43"
        return self.router.form == "universe" and dhcp and data[26:34] == _NOBODY + _ALL

    def _marked(self, data: bytes) -> str:
        if TUNNELLED in data:
            return "traffic of a tunnel's client in the clear"
        if PROXIED not in data:
            return ""
        if self.router.form == "socks5":
            return "" if data[23] == TCP else "traffic of a proxy's client past the proxy"
        to_the_proxy = data[23] == TCP and data[36:38] == _SOCKS_PORT
        return "" if self.router.form == "universe" and to_the_proxy else "traffic of a proxy's client in the clear"


class Watch:
    """All uplinks of a fleet. `take` is what a router has sent since it was last asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: dict[str, Ring] = {}
        self._ports: dict[tuple[str, str], Allowed] = {}
        self._seen: dict[str, Seen] = {}
        self._extra: dict[str, Router] = {}  # namespace of a control's way past to the router meant
        self._stop = threading.Event()
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()
        for ring in self._rings.values():
            ring.close()

    def look_at(self, netns: str) -> None:
        """From now on; also when a namespace of that name was made anew."""
        ring = Ring(netns)
        with self._lock:
            old = self._rings.pop(netns, None)
            if old is not None:
                old.drain(self._judging(netns))
                self._check(old)
                old.close()
            self._rings[netns] = ring

    def add(self, router: Router, port: Optional[str] = None) -> Allowed:
        with self._lock:
            allowed = self._ports[(router.upstream_netns, port or router.name)] = Allowed(router)
            self._seen.setdefault(router.key, Seen())
        return allowed

    def expect_extra(self, router: Router, netns: str) -> None:
        """A control's link `leak` in that namespace belongs to this router."""
        with self._lock:
            self._extra[netns] = router

    def take(self, router: Router) -> Seen:
        with self._lock:
            self._drain()
            found = self._seen[router.key]
            self._seen[router.key] = Seen()
        if self._error is not None:
            raise self._error
        return found

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.02):
                with self._lock:
                    self._drain()
        except BaseException as error:  # raised by take()
            self._error = error

    def _drain(self) -> None:
        for netns, ring in self._rings.items():
            ring.drain(self._judging(netns))
            self._check(ring)

    @staticmethod
    def _check(ring: Ring) -> None:
        if ring.lost:
            raise LabError(f"the capture in {ring.netns} lost {ring.lost} frames: nothing can be said")

    def _judging(self, netns: str) -> Callable[[str, float, bytes, Optional[int], int], None]:
        ports, seen = self._ports, self._seen

        def judge(name: str, time: float, data: bytes, vlan: Optional[int], length: int) -> None:
            allowed = ports.get((netns, name))
            if allowed is not None:
                found = seen[allowed.router.key]
                found.frames += 1
                why = allowed.breach(data, vlan)
            elif name == EXTRA and netns in self._extra:
                found, why = seen[self._extra[netns].key], "by a link that no model has"
            else:
                return
            if why:
                found.wrong.append((why, Frame(time, False, length, bytes(data), vlan)))

        return judge
