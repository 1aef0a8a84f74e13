"""Many clients that never stop sending, in one process of its own: what a leak would let out is sent all the time.

Each client sends, by IPv4: UDP, ICMP, DNS (UDP, TCP, TLS) and TCP to the lab's servers, to routers' own and upstream
addresses, to its tunnel's server, to multicast and broadcast; by IPv6: solicitations, UDP, TCP, ICMPv6, DNS;
and frames with spoofed sources, fragments, options, 6in4, Teredo, GRE, SCTP, a VLAN tag, no known type. All of it
carries the client's mark. `Chorus` starts the process and speaks to it by lines of JSON.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import linux, plan  # noqa: E402

_LINK = "eth0"
_TCP_EVERY = 10  # rounds
_LOGGED_EVERY = 20  # rounds: what the lab's servers write down


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, to: str, protocol: int, payload: bytes, options: bytes = b"", fragment: int = 0) -> bytes:
    words = 5 + len(options) // 4
    length = words * 4 + len(payload)
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 7, fragment, 64, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(to) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source_port: int, port: int, data: bytes) -> bytes:
    """Without a checksum, which IPv4 allows."""
    return struct.pack("!HHHH", source_port, port, 8 + len(data), 0) + data


def ipv6(source: str, to: str, protocol: int, payload: bytes) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    if protocol in (6, 17, 58):  # the checksum is at 16, 6 or 2 of the payload
        at = {6: 16, 17: 6, 58: 2}[protocol]
        total = checksum(ends + struct.pack("!II", len(payload), protocol) + payload)
        payload = payload[:at] + struct.pack("!H", total or 0xFFFF) + payload[at + 2 :]
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, 255) + ends + payload


def tcp_syn(port: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", 40001, port, 1, 0, 0x50, 2, 1024, 0, 0) + data


def dns_query(number: int, name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def ipv6_packets(mark: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(destination MAC, or "" for the router's; packet)"""
    local, own, far = "fe80::5", "2001:db8:5::5", "2001:db8::1"
    mdns = bytes.fromhex("3333000000fb")
    yield bytes.fromhex("333300000002"), ipv6(local, "ff02::2", 58, b"\x85\0\0\0\0\0\0\0" + mark)
    yield bytes.fromhex("333300000001"), ipv6(local, "ff02::1", 58, b"\x86\0\0\0\x40\0\x07\x08" + bytes(8) + mark)
    yield bytes.fromhex("3333ff000001"), ipv6(local, "ff02::1:ff00:1", 58, b"\x87\0\0\0\0\0\0\0" + bytes(16) + mark)
    yield mdns, ipv6(local, "ff02::fb", 17, udp(5353, 5353, mark))
    yield b"", ipv6(own, far, 17, udp(4000, 443, mark))
    yield b"", ipv6(own, far, 17, udp(4000, 53, dns_query(1, mark.decode() + ".lab")))
    yield b"", ipv6(own, far, 6, tcp_syn(443, mark))
    yield b"", ipv6(own, far, 58, b"\x80\0\0\0\0\x01\0\x01" + mark)
    yield b"", ipv6(own, "::ffff:198.18.0.80", 17, udp(4000, 80, mark))
    yield b"", ipv6(own, "64:ff9b::c612:50", 17, udp(4000, 80, mark))


class Client:
    """One namespace's sockets. Sends by the kernel, and what it would not send as frames."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.netns: str = facts["netns"]
        self._mark = facts["mark"].encode()
        self._name = facts["mark"]
        self._address: str = facts["address"]
        self._router_mac = bytes.fromhex(facts["router_mac"].replace(":", ""))
        self._gateway: str = facts["gateway"]
        self._udp = linux.socket_in(self.netns, socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._icmp = linux.socket_in(self.netns, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._raw = linux.socket_in(self.netns, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._connections: list[socket.socket] = []
        self._servers = [(address, port) for _, address, port in facts["servers"][:3]]
        self._own_mac = b"\x02\0\0\0\0\x01"
        self._frames: list[bytes] = []
        self._round = 0

    def close(self) -> None:
        for sock in (self._udp, self._icmp, self._raw, *self._connections):
            sock.close()

    def send(self) -> None:
        number = self._round
        self._round += 1
        logged = number % _LOGGED_EVERY == 0
        mark = self._mark
        targets = [(plan.HTTP, 9), (plan.NICS[0].isp, 9), ("203.0.113.253", 123), (plan.HTTP, 443), *self._servers]
        targets += [("224.0.0.251", 5353), ("239.255.255.250", 1900), ("255.255.255.255", 137), ("10.0.0.1", 67)]
        targets += [(plan.ECHO, 7)] if logged else []
        for to in targets:
            self._try(self._udp, mark, to)
        if number % 4 == 0:
            query = dns_query(number, f"{self._name}.any.lab")
            for resolver in (self._gateway, plan.DNS, plan.NICS[0].isp):
                self._try(self._udp, query, (resolver, 53))
        ping = b"\x08\0\0\0\0\x4d" + struct.pack("!H", number & 0xFFFF) + mark
        ping = ping[:2] + struct.pack("!H", checksum(ping)) + ping[4:]
        for address in (plan.ECHO, plan.NICS[0].isp, "10.0.0.1"):
            self._try(self._icmp, ping, (address, 0))
        if number % _TCP_EVERY == 0:
            self._connect(logged)
        self._send_frames(number)

    @staticmethod
    def _try(sock: socket.socket, data: bytes, to: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):  # refused by an ICMP error to an earlier one, or no way just now
            sock.sendto(data, socket.MSG_DONTWAIT, to)

    def _connect(self, logged: bool) -> None:
        request = b"GET /" + self._mark + (b" HTTP/1.0\r\n\r\n" if logged else b" HTTP/1.1\r\nX: ")
        for sock in self._connections:
            with contextlib.suppress(OSError):
                sock.send(request)
        if self._round % (_TCP_EVERY * 4) > _TCP_EVERY:
            return  # the open ones go on
        for sock in self._connections:
            sock.close()
        self._connections = []
        for to in ((plan.HTTP, 80), (plan.HTTP, 443), (plan.DNS, 53), (plan.DNS, 853), (plan.HTTP, 80)):
            sock = tcp_socket_beside(self._udp)
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.connect_ex(to)
            self._connections.append(sock)

    def _send_frames(self, number: int) -> None:
        if not self._frames or number % 50 == 0:
            self._frames = list(self._make_frames())
        # A third of them in each round.
        for frame in self._frames[number % 3 :: 3]:
            with contextlib.suppress(OSError):  # the port is gone for a moment
                self._raw.sendto(frame, socket.MSG_DONTWAIT, (_LINK, 0))

    def _make_frames(self) -> Iterator[bytes]:
        mark, own, far = self._mark, self._address, plan.HTTP
        with contextlib.suppress(OSError):
            self._own_mac = mac_of(self._raw)
        for to, packet in ipv6_packets(mark):
            yield (to or self._router_mac) + self._own_mac + b"\x86\xdd" + packet
        inner = ipv6("2001:db8:5::5", "2001:db8::1", 17, udp(4000, 53, mark))
        packets = [
            ipv4("192.0.2.7", far, 17, udp(4000, 9, mark)),  # spoofed
            ipv4("10.0.0.1", far, 17, udp(4000, 9, mark)),
            ipv4(own, far, 41, inner),  # 6in4
            ipv4(own, far, 17, udp(4000, 3544, inner)),  # Teredo
            ipv4(own, far, 47, b"\0\0\x08\0" + mark),  # GRE
            ipv4(own, far, 132, struct.pack("!HHII", 4000, 80, 0, 0) + mark),  # SCTP
            ipv4(own, far, 17, udp(4000, 9, mark) + bytes(8), fragment=0x2000),
            ipv4(own, far, 17, mark + bytes(8), fragment=4),
            ipv4(own, far, 17, udp(4000, 9, mark), b"\x83\x07\x04" + socket.inet_aton("10.0.0.1") + b"\0"),
            ipv4(own, far, 17, udp(4000, 9, mark), b"\x94\x04\0\0"),
        ]
        for packet in packets:
            yield self._router_mac + self._own_mac + b"\x08\0" + packet
        yield self._router_mac + self._own_mac + b"\x81\0\0\x05\x08\0" + ipv4(own, far, 17, udp(4000, 9, mark))
        yield b"\xff" * 6 + self._own_mac + b"\x88\xb6" + mark + bytes(40)


def mac_of(raw: socket.socket) -> bytes:
    reply = fcntl.ioctl(raw, 0x8927, struct.pack("16s16x", _LINK.encode()))  # SIOCGIFHWADDR
    return reply[18:24]


def tcp_socket_beside(beside: socket.socket) -> socket.socket:
    """A TCP socket in the namespace of another socket: SIOCGSKNS (socket(7)) gives it."""
    fd = fcntl.ioctl(beside, 0x894C)

    def make() -> socket.socket:
        linux.setns(fd, linux.CLONE_NEWNET)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    try:
        return linux.on_thread(make)
    finally:
        os.close(fd)


def serve() -> None:
    clients: dict[str, Client] = {}
    rate = float(sys.argv[1])
    due = time.monotonic()
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
        if ready:
            data = sys.stdin.buffer.raw.read(1 << 16)  # type: ignore[attr-defined]
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                print(obey(json.loads(line), clients), flush=True)
        if time.monotonic() >= due:
            for client in clients.values():
                client.send()
            due = max(due + 1 / rate, time.monotonic())


def obey(command: dict[str, Any], clients: dict[str, Client]) -> str:
    old = clients.pop(command["netns"], None)
    if old is not None:
        old.close()
    try:
        if "mark" in command:
            clients[command["netns"]] = Client(command)
    except OSError as error:
        return str(error)
    return "ok"


class Chorus:
    """The process, for its users. `rate`: rounds a second and client."""

    def __init__(self, rate: float = 10) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._process: Optional[subprocess.Popen[str]] = None

    def __enter__(self) -> Chorus:
        argv = [sys.executable, "-B", str(Path(__file__).resolve()), str(self._rate)]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=linux.die_with_parent
        )
        return self

    def __exit__(self, *unused: object) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def add(self, netns: str, **facts: Any) -> None:
        self._say({"netns": netns, **facts})

    def remove(self, netns: str) -> None:
        """When it returns, no socket of ours is in that namespace."""
        self._say({"netns": netns})

    def _say(self, command: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline().strip()
        if answer != "ok":
            raise linux.LabError(f"the senders' process, about {command['netns']}: {answer or 'it has ended'}")


if __name__ == "__main__":
    serve()
