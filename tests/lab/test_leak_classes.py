"""Each class of leaks that VPNs, proxies and routers have been caught with, tried by clients of live routers with a
sniffer outside, and its control: the same on something that leaks, where the same sniffer sees it. SECURITY.md has
the table of classes; those proven elsewhere are named there. What far sides try: test_leak_far_sides.py.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
import struct
import threading
import unittest
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Optional

from lab import linux, plan, wires
from lab.attempts import CLASSES, PAGE, Attempt, Ground
from lab.capture import IPV4, TCP, Capture, Frame
from lab.chorus import checksum
from lab.client import Client
from lab.definitions import LAN_ADDRESSES
from lab.linux import LabError
from support import ProductTest

RING = 8 << 20
CONTROL = "network1.galaxy3"
LEAK = 6  # routerctl's exit code


def link_mac(client: Client) -> bytes:
    link = json.loads(linux.run(["ip", "-j", "link", "show", "eth0"], client.netns))[0]
    return bytes.fromhex(link["address"].replace(":", ""))


class FromAClient(ProductTest):
    """Every attempt from a client of each kind of router; sniffers on the uplink's far end and on the tunnel. The
    control is a router whose uplink is a port of its bridge, without any rule: what a client sends goes out as it
    is, and the sniffer at its uplink must see every attempt."""

    spawned = ("network0.toml", "control.toml")
    TUNNELS: ClassVar[dict[str, str]] = {"galaxy0": "tun0", "galaxy1": "wg0"}
    ROUTERS = (*TUNNELS, "galaxy2", "galaxy3")

    @classmethod
    def write_definitions(cls) -> None:
        whole = (cls.product.directory / "network1.toml").read_text().split("\n[router.")
        wanted = [part for part in whole if not part.startswith(("galaxy0", "galaxy1", "galaxy2"))]
        (cls.product.directory / "control.toml").write_text("\n[router.".join(wanted))

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.clients: dict[str, tuple[Client, Ground]] = {}
        for router in (*cls.ROUTERS, CONTROL):
            client = Client(cls.lab, f"sends-{router}")
            cls.addClassCleanup(client.close)
            attached = cls.product.attach(client, router if "." in router else f"network0.{router}")
            own = LAN_ADDRESSES[router.rpartition(".")[2]]
            ping = linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_DGRAM)
            ping.sendto(b"", (own, 9))
            ping.close()
            mac = cls.neighbour_mac(client, own)
            beside = own.rpartition(".")[0] + ".200"
            cls.clients[router] = client, Ground(link_mac(client), attached["address"], mac, own, beside, b"")
        lan = CONTROL
        linux.run(["nft", "flush", "ruleset"], lan)
        linux.ip_batch(lan, ["link set uplink master galaxy3"])
        client, ground = cls.clients[lan]
        # No MAC of anybody: what is sent to it is flooded.
        cls.clients[lan] = client, replace(ground, router_mac=b"\x02\0\0\0\0\xfe")

    @staticmethod
    def neighbour_mac(client: Client, address: str) -> bytes:
        def look() -> str:
            found = json.loads(linux.run(["ip", "-j", "neigh", "show", address], client.netns))
            return found[0].get("lladdr", "") if found else ""

        return bytes.fromhex(linux.wait_until(f"{address} to be resolved", look).replace(":", ""))

    def send(self, router: str, attempts: list[Attempt]) -> None:
        """When it returns the router has dealt with all of them: it has answered a ping sent after the last, by the
        same CPU's queue."""
        client, at = self.clients[router]
        marked = [replace(at, mark=b"orrery-class-%03d" % number) for number in range(len(attempts))]
        frames = [attempt.frame(ground) for attempt, ground in zip(attempts, marked)]

        def work() -> None:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # of this thread, which ends with the call
            linux.enter_netns(client.netns)
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
                raw.bind(("eth0", 0))
                for frame in frames:
                    raw.send(frame)
            if router in self.ROUTERS:
                self.ping(at.gateway)

        linux.on_thread(work)

    @staticmethod
    def ping(address: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.settimeout(1)
            body = b"\x08\0\0\0orrery"
            body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
            for _ in range(10):
                raw.sendto(body, (address, 0))
                with contextlib.suppress(TimeoutError):
                    while raw.recv(2048)[20] != 0:
                        pass
                    return
        raise LabError(f"{address} answers no ping")

    @staticmethod
    def seen(frames: list[Frame], outgoing: bool) -> dict[int, Frame]:
        """Attempts by their marks, each with one frame of it."""
        found: dict[int, Frame] = {}
        for frame in frames:
            mark = re.search(rb"orrery-class-(\d{3})", frame.data)
            if mark and frame.outgoing == outgoing:
                found.setdefault(int(mark.group(1)), frame)
        return found

    def judge(self, what: str) -> None:
        attempts = CLASSES[what]
        with contextlib.ExitStack() as stack:
            uplinks = {r: stack.enter_context(Capture("network0.universe0", r, ring_bytes=RING)) for r in self.ROUTERS}
            tunnels = {r: Capture(f"network0.{r}", t, ring_bytes=RING) for r, t in self.TUNNELS.items()}
            for tunnel in tunnels.values():
                tunnel.start()
                stack.callback(tunnel.end)
            control = stack.enter_context(Capture("network1.universe0", "galaxy3", ring_bytes=RING))
            for router in (*self.ROUTERS, CONTROL):
                self.send(router, attempts)
            for number, attempt in enumerate(attempts):
                with self.subTest(control=attempt.name):
                    there = lambda: number in self.seen(control.frames, False)  # noqa: B023, E731
                    linux.wait_until(attempt.name, there)
            tunnel_frames = {router: tunnel.end() for router, tunnel in tunnels.items()}
            uplink_frames = {router: uplink.stop() for router, uplink in uplinks.items()}
        for router in self.ROUTERS:
            passed = self.seen(uplink_frames[router], False)
            inside = self.seen(tunnel_frames.get(router, []), True)
            for number, attempt in enumerate(attempts):
                with self.subTest(router=router, attempt=attempt.name):
                    if router == "galaxy3":
                        self.assert_own_if(attempt, passed.get(number))
                    else:
                        self.assertIsNone(passed.get(number), str(passed.get(number)))
                    if router in tunnels and attempt.passes is not None:
                        self.assertEqual(number in inside, attempt.passes, str(inside.get(number)))

    def assert_own_if(self, attempt: Attempt, frame: Optional[Frame]) -> None:
        """By a direct router a client's packet leaves from the router's own address, or not at all."""
        if frame is None:
            self.assertIsNot(attempt.passes, True, "it should have passed")
            return
        self.assertEqual((frame.source, frame.ethertype, frame.vlan), ("10.0.0.5", IPV4, None), str(frame))

    def test_ipv6(self) -> None:
        self.judge("ipv6")

    def test_dns(self) -> None:
        self.judge("dns")

    def test_icmp(self) -> None:
        self.judge("icmp")

    def test_multicast_and_link_local(self) -> None:
        self.judge("multicast")

    def test_fragments_and_options(self) -> None:
        self.judge("fragments")

    def test_other_protocols_and_ntp(self) -> None:
        self.judge("other_protocols")

    def test_the_endpoints_address(self) -> None:
        self.judge("endpoint")

    def test_local_addresses(self) -> None:
        self.judge("local")

    def test_spoofed_sources(self) -> None:
        self.judge("spoofed")

    if wires.BRIDGE_NETFILTER.exists():  # built in, or the module loaded: on a stock Debian it is not

        def test_bridge_netfilter(self) -> None:
            """Turned on from outside, as other programs do for the whole host: the rules hold with it and without, and
            `verify` tells."""
            lans = [f"network0.{router}" for router in self.ROUTERS]
            for value in ("1", "0"):
                for lan in lans:
                    linux.write_sysctls(lan, {key: value for key in wires.BRIDGE_SYSCTLS})
                done = self.product.ctl("--json", "verify", "galaxy0", "--structure")
                told = [found for found in json.loads(done.stdout)["findings"] if "bridge-nf" in found]
                self.assertEqual((done.returncode == LEAK, len(told)), (value == "1", 3 * int(value)), done.stdout)
                if value == "1":  # without it: the other tests
                    for what in ("spoofed", "ipv6"):
                        with self.subTest(what=what):
                            self.judge(what)


class Proxied(ProductTest):
    """Of routers that carry connections only; star and socks5 have the same rules and the same proxy."""

    spawned = ("network0.toml",)

    def test_udp_is_refused_at_once(self) -> None:
        """QUIC's clients fall back to TCP by an ICMP error, not by waiting."""
        client, _ = self.client("quic", "galaxy2")
        with linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.connect((PAGE, 443))
            sock.send(b"quic")
            with self.assertRaises(OSError) as caught:
                sock.recv(100)
            self.assertIn(caught.exception.errno, (errno.ECONNREFUSED, errno.EHOSTUNREACH), caught.exception)
        other, _ = self.client("silent", "galaxy3")
        with linux.socket_in(other.netns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            sock.connect(("203.0.113.253", 443))  # the control: nobody's, and nobody says so
            sock.send(b"quic")
            with self.assertRaises(TimeoutError):
                sock.recv(100)

    def test_no_listener(self) -> None:
        """tproxy is dead and nobody starts it again: nft's `tproxy` would let packets go on (peers fail open)."""
        client, _ = self.client("nobody", "galaxy2")
        self.assert_fetches("galaxy2", client, f"http://{PAGE}/")  # the control
        processes = self.product.processes()
        ours = [processes[f"galaxy2/{name}"] for name in ("supervisor", "keeper")]
        self.addCleanup(self.product.wait_ready, "galaxy2", 60)
        for pid in ours:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(os.kill, pid, signal.SIGCONT)
        os.kill(processes["galaxy2/tproxy"], signal.SIGKILL)
        seen = len(self.lab.seen("http"))
        with Capture("network0.universe0", "galaxy2", ring_bytes=RING) as uplink:
            for port in (80, 443, 53, 22):
                with linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_STREAM) as sock:
                    sock.settimeout(0.3)
                    with self.assertRaises(OSError):
                        sock.connect((PAGE, port))
            self.assertTrue(client.pings(LAN_ADDRESSES["galaxy2"]))
        self.assertEqual([str(f) for f in uplink.frames if PAGE in (f.source, f.destination)], [])
        self.assertEqual(len(self.lab.seen("http")), seen)

    def test_ttl_and_ip_identifiers(self) -> None:
        """A proxy's packets are its own. A direct router forwards its clients' packets: what is left of their TTL,
        and their identifiers, are seen at the wire (SECURITY.md says so)."""
        for router, own in (("galaxy2", True), ("galaxy3", False)):
            with self.subTest(router=router):
                client, _ = self.client(f"ttl-{router}", router)
                linux.write_sysctls(client.netns, {"ipv4/ip_default_ttl": "200"})
                with Capture(plan.ISP, plan.NICS[0].wire, ring_bytes=RING) as wire:
                    self.assert_fetches(router, client, f"http://{PAGE}/")
                port = 1080 if own else 80
                found = [f for f in wire.frames if f.protocol == TCP and f.destination_port == port and not f.outgoing]
                self.assertEqual({frame.data[22] for frame in found}, {64 - 1 if own else 200 - 2})


class HostsResolvers(ProductTest):
    """`routerctl run`: the program's names are not resolved by programs of the host, which leave by its own way."""

    spawned = ("network0.toml",)
    PATHS = (
        "/run/systemd/resolve/io.systemd.Resolve", "/run/dbus/system_bus_socket", "/run/nscd/socket",
        "/run/avahi-daemon/socket",
    )  # fmt: skip
    ABSTRACT = "\0orrery-lab-resolver"
    TRY = (
        "import json, socket, sys\nout = {}\nfor path in json.loads(sys.argv[1]):\n"
        "    s = socket.socket(socket.AF_UNIX)\n    s.settimeout(2)\n"
        "    try:\n        s.connect(path); out[path] = s.recv(10).decode()\n"
        "    except OSError as error:\n        out[path] = str(error)\nprint(json.dumps(out))\n"
    )

    def test_sockets_of_the_hosts_resolvers(self) -> None:
        with contextlib.ExitStack() as stack:
            for path in (*self.PATHS, self.ABSTRACT):
                self.listen(stack, path)
            argv = ["/usr/bin/python3", "-c", self.TRY, json.dumps([*self.PATHS, self.ABSTRACT])]
            control = json.loads(linux.run(argv, self.facts["host"]["netns"]))
            self.assertEqual(set(control.values()), {"reached"}, "the control: a program of the host")
            for router in ("galaxy0", "galaxy2"):
                with self.subTest(router=router):
                    inside = json.loads(self.product.must("run", router, "--", *argv))
                    self.assertEqual([path for path, said in inside.items() if said == "reached"], [])

    def listen(self, stack: contextlib.ExitStack, path: str) -> None:
        if not path.startswith("\0"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)  # /run is the test's own
        sock = stack.enter_context(linux.socket_in(self.facts["host"]["netns"], socket.AF_UNIX, socket.SOCK_STREAM))
        sock.bind(path)
        if not path.startswith("\0"):
            stack.callback(os.unlink, path)
        sock.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = sock.accept()
                    with peer:
                        peer.send(b"reached")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        stack.callback(sock.shutdown, socket.SHUT_RDWR)

    def test_names_by_run(self) -> None:
        """/etc/resolv.conf of the host is not asked; the page's name is known to the router's resolver alone."""
        self.product.fetch("galaxy0", "http://run-dns.any.lab/")
        self.assertTrue([q for q in self.lab.queries("dns-openvpn") if q.name == "run-dns.any.lab"])
        self.assertEqual([q for q in self.lab.queries("dns-isp") if q.name == "run-dns.any.lab"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
