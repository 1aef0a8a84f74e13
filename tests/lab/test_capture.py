"""The auditor must see everything, lose nothing silently, and let through only what is allowed."""

from __future__ import annotations

import socket
import threading
import unittest
from pathlib import Path
from typing import Any

from lab import capture, linux
from lab.capture import Capture, Rule, between
from lab.client import INTERFACE, Client
from lab.linux import LabError
from support import LabTest

ELSEWHERE = "198.18.99.99"


class Auditor(LabTest):
    def setUp(self) -> None:
        self.nic: dict[str, Any] = self.facts["nics"][0]
        self.wire = (self.nic["wire"]["netns"], self.nic["wire"]["interface"])

    def allowed(self) -> list[Rule]:
        lease, page = self.nic["lease"], self.facts["http"]["address"]
        web = between(capture.TCP, lease, page, 80)
        dns = between(capture.UDP, lease, self.nic["dns"], 53)
        return [*capture.arp(), *capture.dhcp(), *web, *dns]

    def send(self, router: Client, *payloads: bytes, to: tuple[str, int] = (ELSEWHERE, 9)) -> None:
        with linux.socket_in(router.netns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for payload in payloads:
                sock.sendto(payload, to)

    def send_raw(self, router: Client, frame: bytes) -> None:
        with linux.socket_in(router.netns, socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind((INTERFACE, 0))
            sock.send(frame)

    def test_a_clean_run_has_no_offender(self) -> None:
        watched = Capture(*self.wire)
        watched.start()
        router = self.router()
        router.fetch("http://page.lab/")
        frames = watched.stop((router.netns, INTERFACE))
        self.assertEqual([str(f) for f in capture.offenders(frames, self.allowed())], [])
        ports = {f.destination_port for f in frames if not f.outgoing}
        self.assertTrue({53, 67, 80} <= ports, ports)
        self.assertTrue(any(f.outgoing and f.source_port == 80 for f in frames))
        self.assertEqual({f.source_mac for f in frames}, {self.nic["mac"], self.nic["gateway_mac"]})

    def test_a_leak_made_on_purpose_is_seen(self) -> None:
        router = self.router()
        head = bytes.fromhex("ffffffffffff" + self.nic["mac"].replace(":", ""))
        ipv6 = head + bytes.fromhex("86dd") + bytes(40)
        tagged = head + bytes.fromhex("8100 0007 0806") + bytes(46)
        page = self.facts["http"]["address"]
        leaks = {
            "another address": lambda: self.send(router, b"leak"),
            "another port": lambda: self.send(router, b"leak", to=(page, 80)),
            "another resolver": lambda: self.send(router, b"leak", to=(self.facts["dns"]["address"], 53)),
            "ping": lambda: router.pings(page),
            "IPv6": lambda: self.send_raw(router, ipv6),
            "ARP in a VLAN": lambda: self.send_raw(router, tagged),
            "unknown ethertype": lambda: self.send_raw(router, head + bytes.fromhex("1234") + bytes(46)),
        }
        for what, leak in leaks.items():
            with self.subTest(leak=what):
                watched = Capture(*self.wire)
                watched.start()
                leak()
                frames = watched.stop((router.netns, INTERFACE))
                found = [f for f in capture.offenders(frames, self.allowed()) if not f.outgoing]
                self.assertEqual(len(found), 1, [str(f) for f in found])

    def test_every_frame_is_counted(self) -> None:
        router = self.router()
        count = 20_000
        watched = Capture(*self.wire)
        watched.start()
        self.send(router, *(b"%d" % i for i in range(count)))
        frames = watched.stop((router.netns, INTERFACE))
        payloads = [f.data[42 : f.length] for f in frames if f.destination == ELSEWHERE]
        self.assertEqual([int(p.rstrip(b"\0")) for p in payloads], list(range(count)))

    def test_a_transfer_of_100_megabytes_is_not_lost(self) -> None:
        router = self.router()
        watched = Capture(*self.wire, snap=128)
        watched.start()
        router.download(f"http://{self.facts['http']['address']}/bytes/100000000")
        frames = watched.stop((router.netns, INTERFACE))
        headers = 54  # at least
        received = sum(f.length - headers for f in frames if f.outgoing and f.source_port == 80)
        self.assertGreaterEqual(received, 100_000_000 - 12 * len(frames))
        self.assertEqual(capture.offenders(frames, self.allowed()), [])

    def test_loss_is_an_error(self) -> None:
        stalled = threading.Event()

        class Stalled(Capture):
            def _drain(self, at: int) -> int:
                stalled.wait()
                return super()._drain(at)

        router = self.router()
        watched = Stalled(*self.wire, ring_bytes=1 << 20)
        watched.start()
        self.send(router, *[b"much"] * 5000)
        stalled.set()
        with self.assertRaisesRegex(LabError, "lost|marker"):
            watched.stop(timeout=2)

    def test_it_ends_when_its_interface_does(self) -> None:
        router = self.router()
        watched = Capture(router.netns, INTERFACE)
        watched.start()
        self.send(router, b"last words")
        linux.ip_batch(router.netns, [f"link set {INTERFACE} down"])
        frames = watched.stop()
        self.assertEqual(sum(f.destination == ELSEWHERE for f in frames), 1)

    def test_pcap(self) -> None:
        router = self.router()
        watched = Capture(*self.wire)
        watched.start()
        self.send(router, b"one", b"two")
        frames = watched.stop((router.netns, INTERFACE))
        file = Path(self._directory.name) / "x.pcap"
        capture.write_pcap(file, frames)
        shown = linux.run(["tcpdump", "-nn", "-r", str(file), "udp and dst port 9"])
        self.assertEqual(len(shown.splitlines()), 2)

    def test_unknown_interface(self) -> None:
        with self.assertRaisesRegex(LabError, "nonesuch"):
            Capture(self.wire[0], "nonesuch").start()


if __name__ == "__main__":
    unittest.main(verbosity=2)
