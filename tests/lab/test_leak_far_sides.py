"""Classes of leaks that far sides try: somebody on the uplink, the ISP's DHCP server, the VPN's server; each on live
routers, and with its control. SECURITY.md has the table of classes. What clients try: test_leak_classes.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import unittest
from pathlib import Path
from typing import Callable, Optional

from lab import linux, plan
from lab.capture import ARP, IPV4, IPV6, UDP, Capture, Frame
from lab.chorus import checksum, ipv4, udp
from lab.client import Client
from lab.definitions import LAN_ADDRESSES, UNIVERSE_LAN
from lab.fleet import router_mac
from lab.isp import DISCOVER, REQUEST, Isp, route_option, static_route_option
from lab.openvpn import READY
from support import ProductTest

RING = 8 << 20
PAGE = plan.HTTP


class FromTheUplink(ProductTest):
    """What somebody on a router's uplink may try; the control is an ordinary host there, with the same addresses on
    a link of its own and Linux's defaults."""

    spawned = ("network0.toml",)
    VICTIMS = ("galaxy0", "galaxy1", "galaxy2", "galaxy3")
    EXTRA = "10.1.1.254"  # of the control

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.upstream = "network0.universe0"
        cls.inside: dict[str, Client] = {}
        cls.addresses: dict[str, list[str]] = {}
        states = {each["router"]: each for each in cls.product.ask("list")["routers"]}
        for router in cls.VICTIMS:
            client = cls.inside[router] = Client(cls.lab, f"in-{router}")
            cls.addClassCleanup(client.close)
            attached = cls.product.attach(client, router)
            tunnel = states[router]["egress"].get("tunnelAddress", "").partition("/")[0]
            own = [] if router == "galaxy3" else [tunnel]
            cls.addresses[router] = [a for a in (*own, LAN_ADDRESSES[router], attached["address"]) if a]
        cls.host = Client(cls.lab, "ordinary")
        cls.addClassCleanup(cls.host.close)
        attached = cls.product.attach(cls.host, "universe0")
        cls.port, cls.host_address = attached["port"], attached["address"]
        linux.write_sysctls(cls.host.netns, {"ipv4/conf/all/arp_ignore": "0", "ipv4/conf/all/rp_filter": "0"})
        linux.write_sysctls(cls.host.netns, {"ipv4/conf/eth0/rp_filter": "0", "ipv4/conf/lo/rp_filter": "0"})
        linux.ip_batch(cls.host.netns, [f"address add {cls.EXTRA}/32 dev lo"])

    def mac_behind(self, port: str) -> bytes:
        """Of what is at the other end of a port of the universe."""
        netns, link = (f"network0.{port}", "uplink") if port == "galaxy3" else (f"network0.{port}.egress", "uplink")
        if port == self.port:
            netns, link = self.host.netns, "eth0"
        found = json.loads(linux.run(["ip", "-j", "link", "show", link], netns))[0]["address"]
        return bytes.fromhex(found.replace(":", ""))

    def throw(self, port: str, frames: list[bytes], enough: Callable[[list[Frame]], bool]) -> list[Frame]:
        """Frames into a port of the universe; what comes back by it, until `enough` or the peer has answered an ARP
        request for an address that is its own, sent last."""
        with Capture(self.upstream, port, ring_bytes=RING) as watch:
            with linux.socket_in(self.upstream, socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind((port, 0))
                for frame in frames:
                    raw.send(frame)
                raw.send(self.arp_request(self.own_address(port), "10.0.0.1"))
            last = lambda: enough(watch.frames) or self.arp_answers(watch.frames, self.own_address(port))  # noqa: E731
            linux.wait_until(f"an answer by {port}", last)
            return [frame for frame in watch.stop() if not frame.outgoing]

    def own_address(self, port: str) -> str:
        if port == self.port:
            return self.host_address
        return f"{UNIVERSE_LAN}.{2 + self.VICTIMS.index(port)}"

    # The gateway's own: another would poison the neighbour tables of the routers, which is no leak but a nuisance.
    MAC = bytes.fromhex(router_mac(0, f"{UNIVERSE_LAN}.1").replace(":", ""))

    def arp_request(self, target: str, source: str) -> bytes:
        body = b"\0\x01\x08\0\x06\x04\0\x01" + self.MAC + socket.inet_aton(source) + bytes(6) + socket.inet_aton(target)
        return b"\xff" * 6 + self.MAC + b"\x08\x06" + body + bytes(18)

    @staticmethod
    def arp_answers(frames: list[Frame], address: str) -> list[Frame]:
        return [
            f for f in frames
            if f.ethertype == ARP and not f.outgoing and f.data[21] == 2 and f.data[28:32] == socket.inet_aton(address)
        ]  # fmt: skip

    def test_arp_for_the_tunnels_address(self) -> None:
        """MLLVD-CR-24-03: an address of another link is not answered for."""
        for router in self.VICTIMS:
            for address in self.addresses[router]:
                with self.subTest(router=router, address=address):
                    got = self.throw(router, [self.arp_request(address, "10.0.0.1")], lambda frames: False)
                    self.assertEqual(self.arp_answers(got, address), [])
        with self.subTest(control=self.EXTRA):
            got = self.throw(self.port, [self.arp_request(self.EXTRA, "10.0.0.1")], lambda frames: False)
            self.assertTrue(self.arp_answers(got, self.EXTRA))

    def probes(self, mac: bytes, target: str, port: int = 22) -> list[bytes]:
        """To an address inside, as if from a server that its owner may be talking to (CVE-2019-14899)."""
        head = mac + self.MAC + b"\x08\0"
        mark = b"orrery-probe"

        def tcp(flags: int) -> bytes:
            segment = struct.pack("!HHIIBBHHH", 80, port, 7, 7, 0x50, flags, 1024, 0, 0) + mark
            ends = socket.inet_aton(PAGE) + socket.inet_aton(target) + struct.pack("!HH", 6, len(segment))
            return segment[:16] + struct.pack("!H", checksum(ends + segment)) + segment[18:]

        echo = b"\x08\0\0\0\0\x01\0\x01" + mark
        echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
        packets = [ipv4(PAGE, target, 6, tcp(flags)) for flags in (0x02, 0x12, 0x10, 0x04)]
        packets += [ipv4(PAGE, target, 17, udp(53, port, mark)), ipv4(PAGE, target, 1, echo)]
        return [head + packet for packet in packets]

    @staticmethod
    def answers(frames: list[Frame]) -> list[str]:
        """To the one whom the probes are said to come from."""
        return [str(f) for f in frames if not f.outgoing and f.ethertype == IPV4 and f.destination == PAGE]

    def test_cve_2019_14899_probes(self) -> None:
        """Nothing comes back, and nothing gets in."""
        for router in self.VICTIMS:
            client = self.inside[router]
            with Capture(client.netns, "eth0", ring_bytes=RING) as inside:
                for address in self.addresses[router]:
                    with self.subTest(router=router, address=address):
                        got = self.throw(router, self.probes(self.mac_behind(router), address), lambda frames: False)
                        self.assertEqual(self.answers(got), [])
                # The last thing to get there, by the LAN: what came before is in the ring.
                self.assertTrue(client.pings(LAN_ADDRESSES[router]))
            self.assertEqual([str(f) for f in inside.frames if b"orrery-probe" in f.data], [])
        with self.subTest(control=self.EXTRA):
            enough = lambda frames: len(self.answers(frames)) >= 3  # noqa: E731
            got = self.throw(self.port, self.probes(self.mac_behind(self.port), self.EXTRA), enough)
            self.assertGreaterEqual(len(self.answers(got)), 3, "an ordinary host answers")

    def test_port_shadow(self) -> None:
        """CVE-2021-3773: a client that sends from the port of a service, or from another client's, does not get what
        is meant for those, for its own port is not kept. In the control, a plain `masquerade`, it is."""
        ports = (53, 67, 68, 1194, 5353, 40004, 51820)
        kept = self.kept_ports(ports)
        self.assertLess(len(kept), 2, kept)  # one in 64,000 is by chance
        victim, attacker = self.inside["galaxy3"], self.host
        with contextlib.ExitStack() as stack:
            socks = []
            for client, text in ((victim, b"victim"), (attacker, b"attacker")):
                sock = stack.enter_context(linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_DGRAM))
                sock.bind(("0.0.0.0", 40005))
                sock.settimeout(5)
                socks.append((sock, text))
            for _ in range(20):
                for sock, text in socks:
                    sock.sendto(text, (plan.ECHO, 7))
                for sock, text in socks:
                    self.assertEqual(sock.recv(100), text)
        self.addCleanup(self.product.must, "spawn", "network0.toml")
        self.addCleanup(self.product.must, "destroy", "galaxy3")
        lan = "network0.galaxy3"
        linux.run(["nft", "flush", "chain", "ip", "orrery", "nat"], lan)
        linux.run(["nft", "add", "rule", "ip", "orrery", "nat", "oifname", "uplink", "masquerade"], lan)
        # Others: the kernel maps a source that it has mapped already as before, and low ports always (nf_nat_core.c).
        self.assertEqual(self.kept_ports((40104, 51821, 60001)), [40104, 51821, 60001])

    def kept_ports(self, ports: tuple[int, ...]) -> list[int]:
        """Those source ports of galaxy3's client that are still its own on the uplink."""
        client = self.inside["galaxy3"]
        marks = {b"orrery-port-%05d" % number: number for number in ports}
        with Capture(self.upstream, "galaxy3", ring_bytes=RING) as watch:
            for mark, number in marks.items():
                with linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(("0.0.0.0", number))
                    sock.sendto(mark, (PAGE, 9))

            def found() -> dict[bytes, Frame]:
                sent = [frame for frame in watch.frames if frame.protocol == UDP and not frame.outgoing]
                return {mark: frame for frame in sent for mark in marks if mark in frame.data}

            linux.wait_until("all of them", lambda: len(found()) == len(ports))
            return [marks[mark] for mark, frame in found().items() if frame.source_port == marks[mark]]


class Isps(ProductTest):
    """A hostile ISP: its DHCP server gives and says what it likes (lab/isp.py), to network1's universe."""

    spawned = ()

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.nic = plan.NICS[1]

    @classmethod
    def write_definitions(cls) -> None:
        whole = (cls.product.directory / "network1.toml").read_text().split("\n[router.")
        for name, wanted in (("universe1", ("version", "universe0")), ("over1", ("version", "universe0", "galaxy0"))):
            parts = [part for part in whole if part.startswith(wanted)]
            (cls.product.directory / f"{name}.toml").write_text("\n[router.".join(parts))

    def setUp(self) -> None:
        self.isp = self.enterContext(Isp())
        self.addCleanup(self.product.must, "destroy", "--all")
        self.offer = self.isp.offers[self.nic.mac]

    def routes(self, netns: str = "network1.universe0") -> list[str]:
        return sorted(line.split(" proto ")[0].strip() for line in linux.run(["ip", "route"], netns).splitlines())

    def test_tunnelvision(self) -> None:
        """Options 121, 249 and 33: neither asked for nor taken."""
        extra = route_option("198.51.100.0/24", self.nic.isp) + route_option("0.0.0.0/1", self.nic.isp)
        self.offer.options = {121: extra, 249: extra, 33: static_route_option("198.18.0.94", self.nic.isp)}
        with Capture(plan.ISP, self.nic.wire, ring_bytes=RING) as wire:
            self.product.must("spawn", "over1.toml")
        given = [frame for frame in wire.frames if frame.outgoing and extra in frame.data]
        self.assertTrue(given, "the control: they were offered")
        asked = {number for message in self.isp.asked for number in message.options.get(55, b"")}
        self.assertTrue(asked, "the list of parameters")
        self.assertEqual(asked & {33, 121, 249}, set())
        own = ["10.0.0.0/24 dev universe0", f"{self.nic.network}.0/24 dev ens1", f"default via {self.nic.isp} dev ens1"]
        self.assertEqual(self.routes(), own)
        told = json.loads(self.product.must("--json", "verify", "network1.universe0", "--structure"))
        self.assertEqual(told["findings"], [])
        # The control of the control: who takes such options has such routes.
        with Client(self.lab, "naive") as naive:
            self.assertIn("198.51.100.0/24", self.naive_routes(naive))

    def naive_routes(self, client: Client) -> str:
        """Of a client that asks for option 121 and applies it, as most do."""
        self.addCleanup(self.lab.replug)
        client.take_nic(plan.NICS[0].name)
        self.isp.offers[plan.NICS[0].mac].options = {121: route_option("198.51.100.0/24", plan.NICS[0].isp)}
        script = client.directory / "naive.sh"
        script.write_text(
            "#!/bin/sh\n[ $1 = bound ] || exit 0\nip address add $ip/$mask dev $interface\n"
            "set -- $staticroutes\nwhile [ $2 ]; do ip route add $1 via $2; shift 2; done\n"
        )
        script.chmod(0o755)
        argv = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-O", "staticroutes", "-s", str(script)]
        self.assertEqual(client.run(argv).returncode, 0)
        return linux.run(["ip", "route"], client.netns)

    def test_tunnelcrack_localnet(self) -> None:
        """The ISP declares the whole world its LAN: a tunnel's client still reaches the page by the tunnel alone."""
        self.offer.options = {1: b"\xff\xfe\0\0"}
        linux.write_sysctls(plan.ISP, {f"ipv4/conf/{self.nic.lan}/proxy_arp": "1"})
        self.addCleanup(linux.write_sysctls, plan.ISP, {f"ipv4/conf/{self.nic.lan}/proxy_arp": "0"})
        self.product.must("spawn", "over1.toml")
        client, _ = self.client("local", "network1.galaxy0")
        self.assertIn("198.18.0.0/15 dev ens1", self.routes(), "the control: the lease was taken as it was given")
        with Capture(plan.ISP, self.nic.wire, ring_bytes=RING) as wire:
            self.assert_fetches("galaxy0", client, f"http://{PAGE}/")
            client.udp_echo(b"orrery-localnet", plan.ECHO, 7)
        self.assertEqual([str(f) for f in wire.frames if PAGE in (f.source, f.destination)], [])
        self.assertEqual([str(f) for f in wire.frames if b"orrery-localnet" in f.data], [])
        self.assertTrue([f for f in wire.frames if f.destination == plan.OPENVPN_SITE.address])
        with Capture(plan.ISP, self.nic.wire, ring_bytes=RING) as wire:  # the control: the universe's own clients
            self.product.fetch("network1.universe0", f"http://{PAGE}/")
        self.assertTrue([f for f in wire.frames if f.destination == PAGE])

    def test_hostile_leases(self) -> None:
        """Leases that would lead into our own networks, or nowhere, are refused, and nothing leaves meanwhile."""
        own = socket.inet_aton
        hostile = {
            "an address in our own LAN": ("10.0.0.77", {}),
            "of loopback": ("127.0.0.5", {}),
            "of a group": ("224.0.0.5", {}),
            "a mask of everything": (self.nic.lease, {1: bytes(4)}),
            "a router out of the subnet": (self.nic.lease, {3: own("203.0.113.1")}),
            "a router that is us": (self.nic.lease, {3: own(self.nic.lease)}),
        }
        for name, (address, options) in hostile.items():
            with self.subTest(lease=name):
                self.offer.address, self.offer.options = address, options
                self.isp.asked.clear()
                wire = Capture(plan.ISP, self.nic.wire, ring_bytes=RING)
                with wire, Client(self.lab, "hostile") as client:
                    self.product.must("spawn", "--no-wait", "universe1.toml")
                    self.product.attach(client, "network1.universe0")
                    linux.wait_until("a lease to be given", lambda: [a for a in self.isp.asked if a.kind == REQUEST])
                    linux.wait_until("its refusal", lambda: self.refused() is not None)
                    client.udp_echo(b"orrery-hostile", plan.ECHO, 7, 0.2)
                    self.assertEqual(self.routes(), ["10.0.0.0/24 dev universe0"])
                self.assertEqual([str(f) for f in wire.frames if b"orrery-hostile" in f.data], [])
                self.product.must("destroy", "--all")
                self.lab.replug()
        self.offer.address, self.offer.options = self.nic.lease, {}
        with self.subTest(control="an honest lease"), Capture(plan.ISP, self.nic.wire, ring_bytes=RING) as wire:
            self.product.must("spawn", "universe1.toml")
            client, _ = self.client("honest", "network1.universe0")
            self.assertTrue(client.udp_echo(b"orrery-hostile", plan.ECHO, 7))
            linux.wait_until("it on the wire", lambda: [f for f in wire.frames if b"orrery-hostile" in f.data])

    def refused(self) -> Optional[str]:
        try:
            state = json.loads(Path("/run/orrery/network1/universe0/state.json").read_text())
        except FileNotFoundError:
            return None
        return next((r["detail"] for r in state["ladder"] if r["rung"] == "address" and r["state"] == "failed"), None)

    def test_what_the_lan_learns(self) -> None:
        """Of a universe: its MAC. No host name, vendor or client id; no IPv6, and so no EUI-64."""
        with Capture(plan.ISP, self.nic.wire, ring_bytes=RING) as wire:
            self.product.must("spawn", "universe1.toml")
            self.product.fetch("network1.universe0", "http://page.lab/")
        asked = [message for message in self.isp.asked if message.mac == self.nic.mac]
        self.assertEqual({message.kind for message in asked}, {DISCOVER, REQUEST})
        for message in asked:
            # Type, address wished, server, the list of parameters, the size taken.
            self.assertLessEqual(set(message.options), {50, 53, 54, 55, 57})
            self.assertNotIn(socket.gethostname().encode(), message.data)
        ours = [frame for frame in wire.frames if not frame.outgoing]
        self.assertEqual({frame.source_mac for frame in ours}, {self.nic.mac})
        self.assertEqual({frame.ethertype for frame in ours} - {IPV4, ARP}, set())
        with self.subTest(control="a DHCP client as it comes"), Client(self.lab, "talks") as talks:
            self.addCleanup(self.lab.replug)
            linux.write_sysctls(talks.netns, {"ipv6/conf/all/disable_ipv6": "0", "ipv6/conf/default/disable_ipv6": "0"})
            talks.take_nic(plan.NICS[0].name)
            with Capture(plan.ISP, plan.NICS[0].wire, ring_bytes=RING) as wire:
                linux.write_sysctls(talks.netns, {"ipv6/conf/eth0/disable_ipv6": "0"})
                argv = ["udhcpc", "-f", "-q", "-n", "-i", "eth0", "-x", "hostname:secret", "-s", "/bin/true"]
                self.assertEqual(talks.run(argv).returncode, 0)
                linux.wait_until("IPv6", lambda: any(f.ethertype == IPV6 for f in wire.frames))
            loud = [message for message in self.isp.asked if message.mac == plan.NICS[0].mac]
            self.assertTrue(all({12, 60, 61} <= set(message.options) for message in loud), loud)


class Vpns(ProductTest):
    """A hostile VPN: its server pushes what would change routes, resolvers and files, and run programs."""

    PORT = 1199
    PUSHED = (
        "redirect-gateway def1 bypass-dhcp", "redirect-private", "route 198.18.0.0 255.254.0.0 net_gateway",
        "route 10.0.0.0 255.0.0.0 vpn_gateway", "route 198.18.0.80 255.255.255.255 198.18.100.1", "route-ipv6 2000::/3",
        "ifconfig-ipv6 fd00::5/64 fd00::1", "dhcp-option DNS 10.0.0.1", "dhcp-option DNS 127.0.0.53",
        "dhcp-option DOMAIN evil.lab", "block-outside-dns", "route-gateway 10.8.7.1", "socket-flags TCP_NODELAY",
        "up /run/pushed-up", "route-up /run/pushed-up", "script-security 3", "setenv PATH /tmp",
        "plugin /run/pushed.so", "remote 203.0.113.66 1194", "proto tcp", "config /etc/passwd", "cd /",
        "log /run/pushed-log",
    )  # fmt: skip

    @classmethod
    def write_definitions(cls) -> None:
        state = cls.lab.state
        text = (state / "openvpn-udp.conf").read_text()
        text = re.sub(r"(?m)^push .*\n", "", text).replace(f"port {plan.OPENVPN_UDP_PORT}", f"port {cls.PORT}")
        text = text.replace("tun-udp", "tun-evil").replace(f"{plan.OPENVPN_UDP_INSIDE}.0", "10.8.7.0")
        text += "".join(f'push "{what}"\n' for what in cls.PUSHED)
        (state / "evil.conf").write_text(text)
        process = cls.lab.ledger.start("evil", ["openvpn", "--config", str(state / "evil.conf")], plan.OPENVPN)
        cls.lab.ledger.wait_for_log(process, "evil", READY)
        directory = cls.product.directory
        profile = (directory / "galaxy0.ovpn").read_text()
        (directory / "evil.ovpn").write_text(re.sub(r"(?m)^(remote \S+) \d+", rf"\1 {cls.PORT}", profile))
        (directory / "evil.ovpn").chmod(0o600)
        whole = (directory / "network0.toml").read_text().split("\n[router.")
        parts = [part for part in whole if part.startswith(("version", "universe0", "galaxy0"))]
        (directory / "evil.toml").write_text("\n[router.".join(parts).replace("galaxy0.ovpn", "evil.ovpn"))

    def test_openvpn_pushes(self) -> None:
        before = sorted(os.listdir("/run"))
        resolv = Path("/etc/resolv.conf").read_bytes()
        done = self.product.ctl("spawn", "--timeout", "10", "evil.toml")
        log = self.product.ctl("logs", "galaxy0", "openvpn").stdout
        for what in ("redirect-private", "198.18.0.80", "127.0.0.53", "up /run/pushed-up", "plugin", "203.0.113.66"):
            with self.subTest(control="it was pushed", what=what):
                self.assertIn(what, log)
        for netns, wanted in (
            ("network0.galaxy0.egress", ["10.0.0.0/24 dev uplink", "default via 10.0.0.1 dev uplink"]),
            ("network0.galaxy0", ["10.1.1.0/24 dev galaxy0", "10.8.7.0/24 dev tun0", "default dev tun0"]),
        ):
            with self.subTest(netns=netns):
                lines = linux.run(["ip", "route"], netns).splitlines()
                routes = [re.split(" proto | scope ", line)[0].strip() for line in lines]
                self.assertEqual([r for r in routes if r not in wanted], [])
        self.assertEqual(linux.run(["ip", "-6", "address"], "network0.galaxy0"), "")
        self.assertEqual([n for n in os.listdir("/run") if n not in (*before, "orrery", "multiverse")], [])
        self.assertEqual(Path("/etc/resolv.conf").read_bytes(), resolv)
        client, _ = self.client("pushed", "galaxy0")
        with Capture(plan.ISP, plan.NICS[0].wire, ring_bytes=RING) as wire:
            if done.returncode == 0:
                self.assert_fetches("galaxy0", client, f"http://{PAGE}/")
            client.udp_echo(b"orrery-pushed", plan.ECHO, 7, 0.3)
            client.udp_echo(b"orrery-pushed", PAGE, 9, 0.1)
        self.assertEqual([str(f) for f in wire.frames if PAGE in (f.source, f.destination)], [])
        self.assertEqual([str(f) for f in wire.frames if b"orrery-pushed" in f.data], [])
        told = json.loads(self.product.must("--json", "verify", "galaxy0", "--structure"))
        self.assertEqual(told["findings"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
