"""A virtual machine on a router's LAN by its tap. The machine is this program: it holds the tap open, as a
hypervisor does, and speaks ARP and DHCP by frames of its own."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import time
import unittest
from pathlib import Path
from typing import Any, Callable, ClassVar, Iterator, Optional

from lab import linux
from lab.chorus import dns_query, ipv4, udp
from support import ProductTest

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TAP, IFF_TUN, IFF_NO_PI = 0x0002, 0x0001, 0x1000
BROADCAST = b"\xff" * 6
ARP, IPV4 = 0x0806, 0x0800
PATIENCE = 10.0

_NETWORK = """
version = 1
[router.universe0]
kind   = "universe"
uplink = {{ nic = {{ mac = "{mac}" }} }}
lan    = {{ address = "10.0.0.1/24", dhcp = {{ range = ["10.0.0.2", "10.0.0.99"] }} }}
[router.galaxy0]
kind   = "galaxy"
uplink = "universe0"
lan    = {{ address = "10.1.1.254/24", dhcp = {{ range = ["10.1.1.2", "10.1.1.99"] }} }}
egress = {{ type = "direct" }}
"""
_FILTERS = """[
  { direction = "from-client", drop = "udp dst port 9" },
  { direction = "to-client", drop = "udp src port 53" },
]"""


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


class Machine:
    """Opens a tap in a namespace, like a hypervisor."""

    def __init__(self, netns: str, name: str, flags: int = IFF_TAP | IFF_NO_PI) -> None:
        def open_tap() -> int:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
            return fd

        self.fd = linux.in_netns(netns, open_tap)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def frames(self) -> Iterator[bytes]:
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                yield os.read(self.fd, 2048)

    def ask(self, frame: bytes, answer: Callable[[bytes], Optional[Any]]) -> Any:
        os.write(self.fd, frame)
        for got in self.frames():
            if (found := answer(got)) is not None:
                return found
        raise AssertionError("no answer")

    def arp(self, mac: str, address: str, target: str) -> str:
        own = mac_bytes(mac)
        request = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + own + socket.inet_aton(address)
        request += b"\0" * 6 + socket.inet_aton(target)

        def answer(frame: bytes) -> Optional[str]:
            if frame[12:14] != ARP.to_bytes(2, "big") or frame[20:22] != b"\0\2":
                return None
            return frame[22:28].hex(":") if frame[28:32] == socket.inet_aton(target) else None

        return self.ask(BROADCAST + own + ARP.to_bytes(2, "big") + request, answer)

    def send(self, mac: str, router: str, packet: bytes) -> None:
        os.write(self.fd, mac_bytes(router) + mac_bytes(mac) + IPV4.to_bytes(2, "big") + packet)

    def hears(self, wanted: Callable[[bytes], bool], within: float) -> bool:
        until = time.monotonic() + within
        while (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0] and wanted(os.read(self.fd, 2048)):
                return True
        return False

    def discover(self, mac: str) -> str:
        """The address that a DHCPOFFER has (RFC 2131)."""
        own = mac_bytes(mac)
        bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x12345678, 0, 0x8000) + b"\0" * 16 + own + b"\0" * 202
        dhcp = bootp + bytes([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255])
        udp = struct.pack("!HHHH", 68, 67, 8 + len(dhcp), 0) + dhcp
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4)
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        head = head[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]

        def answer(frame: bytes) -> Optional[str]:
            is_offer = frame[12:14] == IPV4.to_bytes(2, "big") and frame[23] == 17 and frame[34:36] == b"\0\x43"
            return socket.inet_ntoa(frame[58:62]) if is_offer and frame[46:50] == b"\x12\x34\x56\x78" else None

        return self.ask(BROADCAST + own + IPV4.to_bytes(2, "big") + head + udp, answer)


class Tap(ProductTest):
    spawned = ("tap.toml",)
    host: ClassVar[str]

    @classmethod
    def write_definitions(cls) -> None:
        cls.host = cls.facts["host"]["netns"]
        (cls.product.directory / "tap.toml").write_text(_NETWORK.format(mac=cls.facts["nics"][0]["mac"]))

    def machine(self, name: str) -> Machine:
        machine = Machine(self.host, name)
        self.addCleanup(machine.close)
        return machine

    def links(self, netns: str) -> str:
        return linux.run(["ip", "-o", "link"], netns)

    def names(self, netns: str) -> list[str]:
        """Whose state the kernel may still be changing: a bridge loses its carrier a moment after its last port."""
        return [line.split(": ")[1] for line in self.links(netns).splitlines()]

    def refused(self, *arguments: str) -> str:
        before = self.names("network0.galaxy0")
        done = self.product.ctl("attach", "galaxy0", *arguments)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertEqual(self.names("network0.galaxy0"), before)
        return done.stderr

    def test_a_machine_is_a_client_and_the_host_has_no_link_to_it(self) -> None:
        machine = self.machine("vm0")
        before = self.names(self.host)
        self.assertIn("vm0", before)
        attached = self.product.ask("attach", "galaxy0", "--tap", "vm0")
        # Nothing that the host's stack could use is left: not the tap, and nothing in its place.
        self.assertEqual(self.names(self.host), [name for name in before if name != "vm0"])
        self.assertIn(f" {attached['port']}: ", self.links("network0.galaxy0"))
        self.assertIn("isolated on", linux.run(["bridge", "-d", "link"], "network0.galaxy0"))
        self.assertEqual(machine.discover(attached["mac"]), attached["address"])
        gateway = machine.arp(attached["mac"], attached["address"], "10.1.1.254")
        self.assertEqual(gateway, "00:00:10:01:01:fe")

        # It goes to another router, still open, and back to the host when it is detached for good.
        self.product.must("detach", "galaxy0", attached["port"])
        self.assertRegex(self.links(self.host), r" vm0: <[^>]*> .* state DOWN")
        moved = self.product.ask("attach", "universe0", "--tap", "vm0", "--mac", "52:54:00:12:34:56")
        self.assertEqual(moved["mac"], "52:54:00:12:34:56")
        self.assertEqual(machine.discover(moved["mac"]), moved["address"])
        self.assertEqual(machine.arp(moved["mac"], moved["address"], "10.0.0.1"), "00:00:10:00:00:01")

        # The machine ends: so does its port, and gc takes the rest.
        machine.close()
        self.product.must("gc")
        self.assertNotIn(moved["port"], self.links("network0.universe0"))
        self.assertEqual(list(Path("/run/orrery/network0/universe0/attachments").glob("*.json")), [])

    def test_what_is_no_tap_is_refused(self) -> None:
        self.assertIn("there is no tap 'vm9' here", self.refused("--tap", "vm9"))
        self.assertIn("'lo' is no tap", self.refused("--tap", "lo"))
        tun = Machine(self.host, "tun7", IFF_TUN | IFF_NO_PI)
        self.addCleanup(tun.close)
        self.assertIn("is a tun", self.refused("--tap", "tun7"))

    def test_a_mac_that_another_has_is_refused(self) -> None:
        """A bridge would hand one of them what is for the other."""
        self.machine("vm2")
        attached = self.product.ask("attach", "galaxy0", "--tap", "vm2")
        self.addCleanup(self.product.must, "detach", "galaxy0", attached["port"])
        self.machine("vm3")
        for mac in (attached["mac"], "00:00:10:01:01:fe"):
            self.assertIn("on this LAN; give the machine another", self.refused("--tap", "vm3", "--mac", mac))
        reservations = Path("/run/orrery/network0/universe0/dnsmasq/hosts.d")
        downstream = next(reservations.iterdir()).read_text().partition(",")[0]
        done = self.product.ctl("attach", "universe0", "--tap", "vm3", "--mac", downstream)
        self.assertIn("on this LAN", done.stderr)
        self.assertIn(" vm3: ", self.links(self.host))

    def test_a_tap_that_nobody_has_open_is_given_back(self) -> None:
        linux.run(["ip", "tuntap", "add", "vm1", "mode", "tap"], self.host)
        self.addCleanup(linux.run, ["ip", "link", "del", "vm1"], self.host)
        self.assertIn("no program has 'vm1' open", self.refused("--tap", "vm1"))
        self.assertIn(" vm1: ", self.links(self.host))
        self.assertEqual(list(Path("/run/orrery/network0/galaxy0/attachments").glob("*.json")), [])


class FilteredTap(ProductTest):
    """[[lan.filter]] at the port of a machine, in both directions, as at any other."""

    spawned = ("filtered.toml",)

    @classmethod
    def write_definitions(cls) -> None:
        whole = _NETWORK.format(mac=cls.facts["nics"][0]["mac"])
        (cls.product.directory / "plain.toml").write_text(whole)
        filtered = whole.replace('address = "10.1.1.254/24"', f'address = "10.1.1.254/24", filter = {_FILTERS}')
        (cls.product.directory / "filtered.toml").write_text(filtered)

    def counts(self) -> list[int]:
        return [item["droppedPackets"] for item in self.product.ask("inspect", "galaxy0", "filter")["filter"]]

    def test_a_machine_is_filtered_in_both_directions(self) -> None:
        machine = Machine(self.facts["host"]["netns"], "vm5")
        self.addCleanup(machine.close)
        at = self.product.ask("attach", "galaxy0", "--tap", "vm5")
        gateway, router = "10.1.1.254", machine.arp(at["mac"], at["address"], "10.1.1.254")
        ask = ipv4(at["address"], gateway, 17, udp(40001, 53, dns_query(7, "page.lab")))
        ping = struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1)

        def is_answer(frame: bytes) -> bool:
            return frame[12:14] == b"\x08\0" and frame[23] == 17 and frame[34:36] == b"\0\x35"

        def is_pong(frame: bytes) -> bool:
            return frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34] == 0

        machine.send(at["mac"], router, ipv4(at["address"], gateway, 17, udp(40001, 9, b"discard")))
        linux.wait_until("the first filter", lambda: self.counts()[0] == 1)
        machine.send(at["mac"], router, ask)
        linux.wait_until("the second filter", lambda: self.counts()[1] >= 1, every=0.1)
        machine.send(at["mac"], router, ipv4(at["address"], gateway, 1, ping))
        self.assertTrue(machine.hears(is_pong, PATIENCE), "what no filter names passes, both ways")
        self.assertFalse(machine.hears(is_answer, 0.5))

        # The control: the same question to the same router, its machine attached, without the filters.
        self.product.must("restart", "--definition", "plain.toml", "galaxy0")
        machine.send(at["mac"], router, ask)
        self.assertTrue(machine.hears(is_answer, PATIENCE))


if __name__ == "__main__":
    unittest.main(verbosity=2)
