"""What passes an interface: every frame, in both directions, with nothing lost at either end.

A capture is a packet socket with a ring (packet(7), TPACKET_V2: each frame is visible at once, where
V3 hands over whole blocks late). It sees from the moment `start` returns. `stop` sends a marker frame
and waits until the ring shows it, so that everything before the marker has been read; a frame that the
kernel had to drop for lack of room is an error, never silence.
"""

from __future__ import annotations

import fcntl
import ipaddress
import mmap
import os
import select
import socket
import struct
import threading
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Iterable, Iterator, Optional, Sequence, Union

from . import linux
from .linux import LabError

ARP = 0x0806
IPV4 = 0x0800
IPV6 = 0x86DD
MARKER = 0x88B5  # IEEE 802 local experimental: nobody else sends it

ICMP = 1
TCP = 6
UDP = 17

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_TPACKET_V2 = 1
_PACKET_MR_PROMISC = 1
_PACKET_OUTGOING = 4
_TP_STATUS_USER = 1
_TP_STATUS_VLAN_VALID = 1 << 4
_BLOCK = 1 << 20
_IFF_UP = 1
_SIOCGIFFLAGS = 0x8913

# struct tpacket2_hdr: status, len, snaplen (u32), mac, net (u16), sec, nsec (u32), vlan_tci (u16)
_HEADER = struct.Struct("=IIIHHIIH")
_SLL_TYPE = 32 + 10  # sockaddr_ll follows the header, aligned to 16: its sll_pkttype


@dataclass(frozen=True)
class Frame:
    """One frame. What it does not have (a port of a fragment, an address of an ARP) is None."""

    time: float  # seconds since 1970
    outgoing: bool  # sent by the capture's own end of the wire
    length: int  # bytes on the wire; segmentation offload makes it more than the MTU
    data: bytes  # from the destination MAC on, cut at the capture's `snap`
    vlan: Optional[int] = None  # the tag's 16 bits; the kernel has taken it out of `data`

    @property
    def destination_mac(self) -> str:
        return self.data[0:6].hex(":")

    @property
    def source_mac(self) -> str:
        return self.data[6:12].hex(":")

    @property
    def ethertype(self) -> int:
        return int.from_bytes(self.data[12:14], "big")

    @cached_property
    def _network(self) -> Optional[tuple[str, str, int, int]]:
        """(source, destination, protocol, offset of the transport header or 0)"""
        data = self.data
        if self.ethertype == IPV4 and len(data) >= 34:
            first = int.from_bytes(data[20:22], "big") & 0x1FFF == 0
            offset = 14 + (data[14] & 15) * 4 if first else 0
            return socket.inet_ntoa(data[26:30]), socket.inet_ntoa(data[30:34]), data[23], offset
        if self.ethertype == IPV6 and len(data) >= 54:
            source, destination = (socket.inet_ntop(socket.AF_INET6, data[a : a + 16]) for a in (22, 38))
            return source, destination, data[20], 54
        return None

    @property
    def source(self) -> Optional[str]:
        return self._network[0] if self._network else None

    @property
    def destination(self) -> Optional[str]:
        return self._network[1] if self._network else None

    @property
    def protocol(self) -> Optional[int]:
        return self._network[2] if self._network else None

    def _port(self, which: int) -> Optional[int]:
        if self._network is None or self.protocol not in (TCP, UDP) or not self._network[3]:
            return None
        at = self._network[3] + which
        return int.from_bytes(self.data[at : at + 2], "big") if len(self.data) >= at + 2 else None

    @property
    def source_port(self) -> Optional[int]:
        return self._port(0)

    @property
    def destination_port(self) -> Optional[int]:
        return self._port(2)

    def __str__(self) -> str:
        arrow = "<-" if self.outgoing else "->"  # towards the fake host, or from it
        head = f"{self.time:.6f} {arrow} {self.source_mac} {self.destination_mac}"
        if self.vlan is not None:
            head += f" vlan {self.vlan & 0xFFF}"
        if self._network is None:
            return f"{head} ethertype {self.ethertype:#06x}, {self.length} bytes"
        names = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}
        protocol = names.get(self.protocol or 0, str(self.protocol))
        ports = [f":{p}" if p is not None else "" for p in (self.source_port, self.destination_port)]
        ends = f"{self.source}{ports[0]} > {self.destination}{ports[1]}"
        return f"{head} {ends} {protocol}, {self.length} bytes"


class Capture:
    """Usable as a context manager; `frames` grows while it runs, and `stop` returns all of them."""

    def __init__(self, netns: Optional[str], interface: str, snap: int = 1900, ring_bytes: int = 64 << 20) -> None:
        self.frames: list[Frame] = []
        self._netns = netns
        self._interface = interface
        # The header, sockaddr_ll and alignment take at most 128 bytes of a slot.
        self._slot = 1 << (snap + 128 - 1).bit_length()
        self._snap = snap
        self._slots = ring_bytes // self._slot
        self._marker = uuid.uuid4().bytes
        self._markers_seen: set[int] = set()
        self._marker_event = threading.Event()
        self._error: Optional[BaseException] = None

    def __enter__(self) -> Capture:
        self.start()
        return self

    def __exit__(self, kind: object, *unused: object) -> None:
        if not self._thread.is_alive():
            return
        if kind is None:
            self.stop()
        else:
            self._finish()

    def start(self) -> None:
        """When it returns, every frame from now on will be in `frames`."""
        sock = linux.socket_in(self._netns, socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
            size = self._slots * self._slot
            request = struct.pack("=IIII", _BLOCK, size // _BLOCK, self._slot, self._slots)
            sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            self._ring = mmap.mmap(sock.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            index = linux.in_netns(self._netns, lambda: socket.if_nametoindex(self._interface))
            promiscuous = struct.pack("=iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
            sock.bind((self._interface, _ETH_P_ALL))  # from here on it sees
        except OSError as error:
            sock.close()
            raise LabError(f"capture on {self._interface} in {self._netns}: {error}") from error
        self._socket = sock
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self, from_peer: Optional[tuple[str, str]] = None, timeout: float = 10) -> list[Frame]:
        """`from_peer` (namespace, interface) sends the marker from the wire's other end, so that it
        queues behind the frames that came that way. Each CPU has a queue: each gets a marker."""
        netns, interface = from_peer or (self._netns, self._interface)
        try:
            wanted = self._send_markers(netns, interface)
            deadline = time.monotonic() + timeout
            while self._error is None and not wanted <= self._markers_seen:
                if not self._marker_event.wait(deadline - time.monotonic()):
                    raise LabError(f"capture on {self._interface}: its marker is not seen within {timeout:g} s")
                self._marker_event.clear()
        finally:
            self._finish()
        if self._error is not None:
            raise self._error
        return self.frames

    def end(self) -> list[Frame]:
        """As stop, for an interface that takes no marker (a tunnel's): what is still on its way is not waited for."""
        self._finish()
        if self._error is not None:
            raise self._error
        return self.frames

    def _send_markers(self, netns: Optional[str], interface: str) -> set[int]:
        sent: set[int] = set()

        def send() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
                if not _is_up(sock, interface):
                    return  # nothing passes an interface that is down or gone: all is in the ring
                sock.bind((interface, 0))
                for cpu in os.sched_getaffinity(0):
                    os.sched_setaffinity(0, {cpu})  # of this thread, which ends with the call
                    head = b"\x02\x00\x00\x00\x00\x01" + b"\x02\x00\x00\x00\x00\x02" + MARKER.to_bytes(2, "big")
                    sock.send(head + self._marker + bytes([cpu]) + bytes(32))
                    sent.add(cpu)

        linux.on_thread(lambda: linux.in_netns(netns, send))
        return sent

    def _finish(self) -> None:
        if not self._thread.is_alive():
            return
        os.write(self._wake_write, b"x")
        self._thread.join()
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._ring.close()
        self._socket.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if dropped and self._error is None:
            self._error = LabError(f"capture on {self._interface}: {dropped} frames were lost (ring too small)")

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLERR)
        poll.register(self._wake_read, select.POLLIN)
        try:
            at = 0
            while True:
                at = self._drain(at)
                ready = dict(poll.poll())
                if ready.get(self._socket.fileno(), 0) & select.POLLERR:
                    # ENETDOWN: told once when the interface goes down or away; the ring is still good.
                    self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if self._wake_read in ready:
                    self._drain(at)
                    return
        except BaseException as error:  # raised by stop()
            self._error = error
            self._marker_event.set()

    def _drain(self, at: int) -> int:
        ring = self._ring
        while True:
            base = at * self._slot
            status, length, snapped, mac, _, seconds, nanoseconds, tci = _HEADER.unpack_from(ring, base)
            if not status & _TP_STATUS_USER:
                return at
            start = base + mac
            data = ring[start : start + min(snapped, self._snap)]
            outgoing = ring[base + _SLL_TYPE] == _PACKET_OUTGOING
            ring[base : base + 4] = b"\0\0\0\0"  # back to the kernel
            at = (at + 1) % self._slots
            if data[12:14] == b"\x88\xb5" and data[14:30] == self._marker:
                self._markers_seen.add(data[30])
                self._marker_event.set()
                continue
            vlan = tci if status & _TP_STATUS_VLAN_VALID else None
            self.frames.append(Frame(seconds + nanoseconds / 1e9, outgoing, length, data, vlan))


def _is_up(sock: socket.socket, interface: str) -> bool:
    try:
        reply = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH14x", interface.encode(), 0))
    except OSError:
        return False
    return bool(struct.unpack("16sH14x", reply)[1] & _IFF_UP)


# --- files ------------------------------------------------------------------------------------------


def write_pcap(path: Path, frames: Iterable[Frame]) -> None:
    """pcap with nanoseconds (magic a1b23c4d), Ethernet."""
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for frame in frames:
            seconds = int(frame.time)
            nanoseconds = int((frame.time - seconds) * 1e9)
            file.write(struct.pack("=IIII", seconds, nanoseconds, len(frame.data), frame.length) + frame.data)


# --- judging ----------------------------------------------------------------------------------------

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Rule:
    """What may pass. Every field that is given must fit; a frame with a VLAN tag fits no rule.

    `source` and `destination` are addresses or prefixes.
    """

    ethertype: int = IPV4
    outgoing: Optional[bool] = None
    source_mac: Optional[str] = None
    source: Optional[str] = None
    destination: Optional[str] = None
    protocol: Optional[int] = None
    source_port: Optional[int] = None
    destination_port: Optional[int] = None

    def allows(self, frame: Frame) -> bool:
        if frame.vlan is not None or frame.ethertype != self.ethertype:
            return False
        pairs = (
            (self.outgoing, frame.outgoing),
            (self.source_mac, frame.source_mac),
            (self.protocol, frame.protocol),
            (self.source_port, frame.source_port),
            (self.destination_port, frame.destination_port),
        )
        if any(wanted is not None and wanted != seen for wanted, seen in pairs):
            return False
        return _inside(frame.source, self.source) and _inside(frame.destination, self.destination)


def _inside(address: Optional[str], network: Optional[str]) -> bool:
    if network is None:
        return True
    return address is not None and ipaddress.ip_address(address) in ipaddress.ip_network(network)


def between(protocol: int, near: str, far: str, port: int) -> list[Rule]:
    """Both directions of a service at `far`:`port`, used from `near` (addresses or prefixes)."""
    return [
        Rule(protocol=protocol, outgoing=False, source=near, destination=far, destination_port=port),
        Rule(protocol=protocol, outgoing=True, source=far, destination=near, source_port=port),
    ]


def arp() -> list[Rule]:
    return [Rule(ethertype=ARP)]


def dhcp() -> list[Rule]:
    return [
        Rule(protocol=UDP, source_port=68, destination_port=67),
        Rule(protocol=UDP, source_port=67, destination_port=68),
    ]


def offenders(frames: Sequence[Frame], allowed: Sequence[Rule]) -> list[Frame]:
    """The frames that no rule allows. Print them: they are the proof of a leak."""
    return list(_offenders(frames, allowed))


def _offenders(frames: Sequence[Frame], allowed: Sequence[Rule]) -> Iterator[Frame]:
    # A transfer is many frames of few sorts: each sort is judged once.
    verdicts: dict[object, bool] = {}
    for frame in frames:
        ports = (frame.source_port, frame.destination_port)
        network = (frame.source, frame.destination, frame.protocol)
        sort = (frame.vlan, frame.data[:14], frame.outgoing, network, ports)
        if sort not in verdicts:
            verdicts[sort] = any(rule.allows(frame) for rule in allowed)
        if not verdicts[sort]:
            yield frame
