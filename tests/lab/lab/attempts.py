"""What a client may try to get past its router: frames by class of leak, each with a mark of its own."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional

from . import plan
from .chorus import checksum, dns_query, ipv4, ipv6, ipv6_packets, tcp_syn, udp
from .definitions import UNIVERSE_LAN

PAGE = plan.HTTP


@dataclass(frozen=True)
class Ground:
    """From where a client sends, and the mark that all it sends now carries."""

    mac: bytes
    address: str
    router_mac: bytes
    gateway: str
    neighbour: str  # another client's address
    mark: bytes

    def to_router(self, packet: bytes, ethertype: bytes = b"\x08\0") -> bytes:
        return self.router_mac + self.mac + ethertype + packet

    def to_all(self, packet: bytes, ethertype: bytes = b"\x08\0", to: str = "ff:ff:ff:ff:ff:ff") -> bytes:
        return bytes.fromhex(to.replace(":", "")) + self.mac + ethertype + packet

    def udp(self, to: str, port: int, source: Optional[str] = None, **more: Any) -> bytes:
        return self.to_router(ipv4(source or self.address, to, 17, udp(40001, port, self.mark), **more))

    def icmp(self, to: str, kind: int, code: int = 0, rest: bytes = b"\0\x01\0\x01") -> bytes:
        body = bytes([kind, code, 0, 0]) + rest + self.mark
        body += b"\0" * (len(body) % 2)
        return self.to_router(ipv4(self.address, to, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]))

    def raw(self, protocol: int, payload: bytes, to: str = PAGE) -> bytes:
        return self.to_router(ipv4(self.address, to, protocol, payload + self.mark))

    def tcp(self, to: str, port: int) -> bytes:
        """A SYN that carries data: its checksum is right."""
        segment = tcp_syn(port, self.mark + b"\0" * (len(self.mark) % 2))
        ends = socket.inet_aton(self.address) + socket.inet_aton(to) + struct.pack("!HH", 6, len(segment))
        segment = segment[:16] + struct.pack("!H", checksum(ends + segment)) + segment[18:]
        return self.to_router(ipv4(self.address, to, 6, segment))

    def answer(self) -> bytes:
        """The beginning of what an ICMP error is about."""
        return ipv4(PAGE, self.address, 17, bytes(8))

    def packet(self, protocol: int, payload: bytes, to: str = PAGE, **more: Any) -> bytes:
        """With its own source, to the router's MAC."""
        return self.to_router(ipv4(self.address, to, protocol, payload, **more))

    def broadcast(self, port: int, to: str = "255.255.255.255", source_port: int = 0) -> bytes:
        return self.to_all(ipv4(self.address, to, 17, udp(source_port or port, port, self.mark)))

    def group(self, address: str, port: int) -> bytes:
        """UDP to a multicast group, by the group's MAC."""
        low = socket.inet_aton(address)
        mac = b"\x01\0\x5e" + bytes([low[1] & 0x7F]) + low[2:]
        return mac + self.mac + b"\x08\0" + ipv4(self.address, address, 17, udp(port, port, self.mark))


@dataclass(frozen=True)
class Attempt:
    """`passes`: a direct router lets it out by its uplink, and a tunnelled one into its tunnel; None: it may."""

    name: str
    frame: Callable[[Ground], bytes]
    passes: Optional[bool] = False


def _ipv6() -> Iterator[Attempt]:
    names = ("router solicitation", "router advertisement", "neighbour solicitation", "mDNS", "UDP 443", "DNS",
             "TCP", "echo", "to an IPv4-mapped address", "to NAT64's prefix")  # fmt: skip

    def nth(number: int) -> Callable[[Ground], bytes]:
        def make(at: Ground) -> bytes:
            to, packet = list(ipv6_packets(at.mark))[number]
            return (to or at.router_mac) + at.mac + b"\x86\xdd" + packet

        return make

    for number, name in enumerate(names):
        yield Attempt(name, nth(number))
    inner = lambda at: ipv6("2001:db8:5::5", "2001:db8::1", 17, udp(4000, 53, at.mark))  # noqa: E731
    options = lambda at: b"\x11\0\x05\x02\0\0\0\0" + udp(4000, 53, at.mark)  # noqa: E731
    fragment = lambda at: b"\x11\0\0\x01\0\0\0\x07" + udp(4000, 53, at.mark)  # noqa: E731
    yield Attempt("hop-by-hop options", lambda at: at.to_all(ipv6("fe80::5", "ff02::16", 0, options(at)), b"\x86\xdd"))
    yield Attempt("a fragment", lambda at: at.to_all(ipv6("fe80::5", "2001:db8::1", 44, fragment(at)), b"\x86\xdd"))
    # Tunnels for it are IPv4 packets of other protocols, or UDP: plain traffic of a client, by the egress alone.
    yield Attempt("6in4", lambda at: at.to_router(ipv4(at.address, PAGE, 41, inner(at))), passes=True)
    yield Attempt("6to4's relay", lambda at: at.to_router(ipv4(at.address, "192.88.99.1", 41, inner(at))), passes=True)
    teredo = lambda at: at.to_router(ipv4(at.address, PAGE, 17, udp(4000, 3544, inner(at))))  # noqa: E731
    yield Attempt("Teredo", teredo, passes=True)


NEIGHBOURS = ("10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5")  # the routers' own on the universe's LAN
VPN, WIREGUARD = plan.OPENVPN_SITE.address, plan.WIREGUARD_SITE.address
QUERY = dns_query(7, "leak.any.lab")
CLASSES: dict[str, list[Attempt]] = {
    "ipv6": list(_ipv6()),
    "dns": [
        # Asked anew by the router, of the resolver inside the tunnel: test_dns_of_another_resolver.
        Attempt("UDP 53 elsewhere", lambda at: at.packet(17, udp(4000, 53, QUERY + at.mark), plan.DNS), None),
        Attempt("TCP 53 elsewhere", lambda at: at.tcp(plan.DNS, 53)),
        Attempt("DNS over TLS", lambda at: at.tcp(plan.DNS, 853)),
        Attempt("DNS over QUIC", lambda at: at.udp(plan.DNS, 853)),
        Attempt("the ISP's resolver", lambda at: at.udp(plan.NICS[0].isp, 53)),
        Attempt("the universe's resolver", lambda at: at.udp(f"{UNIVERSE_LAN}.1", 53)),
        Attempt("mDNS", lambda at: at.group("224.0.0.251", 5353)),
        Attempt("LLMNR", lambda at: at.group("224.0.0.252", 5355)),
        Attempt("NetBIOS", lambda at: at.broadcast(137)),
        Attempt("NetBIOS on the LAN", lambda at: at.broadcast(137, at.gateway[:-3] + "255")),
    ],
    "icmp": [
        Attempt("echo", lambda at: at.icmp(PAGE, 8), passes=True),
        Attempt("an answer to nothing", lambda at: at.icmp(PAGE, 0)),
        Attempt("unreachable, of nothing", lambda at: at.icmp(PAGE, 3, 3, bytes(4) + at.answer())),
        Attempt("redirect", lambda at: at.icmp(PAGE, 5, 1, socket.inet_aton(at.gateway) + at.answer())),
        Attempt("router advertisement", lambda at: at.icmp("224.0.0.1", 9)),
        Attempt("time exceeded", lambda at: at.icmp(PAGE, 11, 0, bytes(4) + at.answer())),
    ],
    "multicast": [
        Attempt("all hosts", lambda at: at.group("224.0.0.1", 9)),
        Attempt("SSDP", lambda at: at.group("239.255.255.250", 1900)),
        Attempt("VRRP", lambda at: at.to_all(ipv4(at.address, "224.0.0.18", 112, at.mark), to="01:00:5e:00:00:12")),
        Attempt("IGMP", lambda at: at.to_all(ipv4(at.address, "224.0.0.22", 2, at.mark), to="01:00:5e:00:00:16")),
        Attempt("multicast to the router's MAC", lambda at: at.udp("239.1.2.3", 9)),
        Attempt("link-local", lambda at: at.udp("169.254.169.254", 80)),
        Attempt("link-local, TCP", lambda at: at.tcp("169.254.169.254", 80)),
        Attempt("link-local, echo", lambda at: at.icmp("169.254.1.1", 8)),
        Attempt("this network", lambda at: at.udp("0.0.0.9", 9)),
        Attempt("reserved", lambda at: at.udp("240.0.0.1", 9)),
        Attempt("protocol assignments", lambda at: at.udp("192.0.0.171", 9)),
        Attempt("broadcast", lambda at: at.broadcast(9)),
        Attempt("broadcast upstream", lambda at: at.udp(f"{UNIVERSE_LAN}.255", 9), passes=None),
        Attempt("DHCP to everybody", lambda at: at.broadcast(67, source_port=68)),
        Attempt("Wake on LAN", lambda at: at.to_all(at.mark + bytes(102), b"\x08\x42")),
    ],
    "fragments": [
        Attempt("the first alone", lambda at: at.udp(PAGE, 9, fragment=0x2000)),
        Attempt("a later one alone", lambda at: at.packet(17, at.mark + bytes(8), fragment=4)),
        Attempt("a tiny first one", lambda at: at.packet(6, b"\x9c\x41\0\x50" + at.mark, fragment=0x2000)),
        Attempt("a later one for TCP 80", lambda at: at.packet(6, at.mark + bytes(8), fragment=1)),
        Attempt("record route", lambda at: at.udp(PAGE, 9, options=b"\x07\x07\x04\0\0\0\0\0")),
        Attempt("source route", lambda at: at.udp(PAGE, 9, options=b"\x83\x07\x04\x0a\0\0\x01\0")),
    ],
    "other_protocols": [
        Attempt("GRE", lambda at: at.raw(47, b"\0\0\x08\0"), passes=True),
        Attempt("SCTP", lambda at: at.raw(132, struct.pack("!HHII", 4000, 80, 0, 0)), passes=None),
        Attempt("ESP", lambda at: at.raw(50, struct.pack("!II", 7, 1)), passes=True),
        Attempt("IP in IP", lambda at: at.raw(4, ipv4("192.0.2.1", PAGE, 17, udp(9, 9, at.mark))), passes=True),
        Attempt("protocol 253", lambda at: at.raw(253, bytes(4)), passes=True),
        Attempt("QUIC", lambda at: at.udp(PAGE, 443), passes=True),
        Attempt("NTP", lambda at: at.udp("203.0.113.253", 123), passes=True),
        Attempt("VLAN tag", lambda at: at.to_router(b"\0\x05\x08\0" + at.udp(PAGE, 9)[14:], b"\x81\0")),
        Attempt("PPPoE", lambda at: at.to_all(b"\x11\x09\0\0\0\x10" + at.mark, b"\x88\x63")),
        Attempt("802.1X", lambda at: at.to_all(b"\x01\x01\0\0" + at.mark + bytes(40), b"\x88\x8e")),
        Attempt("no known type", lambda at: at.to_all(at.mark + bytes(40), b"\x88\xb6")),
    ],
    # MUL-02-002, TunnelCrack's ServerIP, a proxy's client past the proxy.
    "endpoint": [
        Attempt("OpenVPN's server, its port", lambda at: at.udp(VPN, plan.OPENVPN_UDP_PORT), passes=True),
        Attempt("OpenVPN's server, another port", lambda at: at.udp(VPN, 9), passes=True),
        Attempt("OpenVPN's server, TCP", lambda at: at.tcp(VPN, 80), passes=True),
        Attempt("OpenVPN's server, echo", lambda at: at.icmp(VPN, 8), passes=True),
        Attempt("WireGuard's server, its port", lambda at: at.udp(WIREGUARD, plan.WIREGUARD_PORT), passes=True),
        Attempt("the proxy, UDP", lambda at: at.udp(plan.SOCKS, 1080), passes=True),
    ],
    "local": [
        Attempt("the universe", lambda at: at.udp(f"{UNIVERSE_LAN}.1", 9), passes=None),
        Attempt("the ISP", lambda at: at.udp(plan.NICS[0].isp, 9), passes=None),
        *[Attempt(f"the router at {a}", lambda at, a=a: at.udp(a, 9), passes=None) for a in NEIGHBOURS],
        Attempt("another LAN", lambda at: at.udp("10.9.9.9", 9), passes=None),
    ],
    "spoofed": [
        Attempt("nobody", lambda at: at.udp(PAGE, 9, source="0.0.0.0")),
        Attempt("itself of loopback", lambda at: at.udp(PAGE, 9, source="127.0.0.1")),
        Attempt("another client", lambda at: at.udp(PAGE, 9, source=at.neighbour)),
        Attempt("its router", lambda at: at.udp(PAGE, 9, source=at.gateway)),
        Attempt("its router, upstream", lambda at: at.udp(PAGE, 9, source="10.0.0.2")),
        Attempt("the NIC's lease", lambda at: at.udp(PAGE, 9, source=plan.NICS[0].lease)),
        Attempt("the VPN's server", lambda at: at.udp(PAGE, 9, source=VPN)),
        Attempt("a stranger", lambda at: at.udp(PAGE, 9, source="192.0.2.7")),
        Attempt("a group", lambda at: at.udp(PAGE, 9, source="224.0.0.1")),
    ],
}  # fmt: skip
