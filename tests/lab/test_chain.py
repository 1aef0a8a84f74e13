"""Tor over a VPN over the NIC: one fetch, three captures, three different outer headers; and on the wire
nothing but the VPN."""

from __future__ import annotations

import contextlib
import socket
import unittest
from typing import Any, ClassVar

from lab import capture, linux, snapshot
from lab.capture import ICMP, TCP, UDP, Capture, Frame, Rule
from lab.definitions import UNIVERSE_LAN
from lab.linux import LabError
from support import MEGABYTES_20, ProductTest, attempt

UPLINK = "uplink"
GALAXY = "10.1.1.0/24"


def allowed_on_the_wire(facts: dict[str, Any]) -> list[Rule]:
    """Of star0 over galaxy0: the OpenVPN server, ARP and DHCP. Nobody asks the ISP's resolver."""
    nic, vpn = facts["nics"][0], facts["openvpn"]
    return [
        *capture.arp(),
        *capture.dhcp(),
        *capture.between(UDP, nic["lease"], vpn["address"], vpn["udp"]["port"]),
    ]


class Chain(ProductTest):
    with_tor = True
    spawned = ("star.toml",)
    before: ClassVar[snapshot.Snapshot]

    @classmethod
    def write_definitions(cls) -> None:
        """universe0, galaxy0 and star0 alone: others would put their own frames on the wire."""
        whole = (cls.product.directory / "network0.toml").read_text().split("\n[router.")
        wanted = [part for part in whole if not part.startswith(("galaxy1", "galaxy2", "galaxy3"))]
        (cls.product.directory / "star.toml").write_text("\n[router.".join(wanted))
        cls.before = snapshot.take([None, cls.facts["host"]["netns"]])

    def wire(self) -> Capture:
        wire = self.facts["nics"][0]["wire"]
        return Capture(wire["netns"], wire["interface"], ring_bytes=128 << 20)

    def assert_none(self, frames: list[Frame], rules: list[Rule], what: str) -> None:
        found = capture.offenders(frames, rules)
        self.assertEqual(found, [], f"{what}: {len(found)} frames, first {[str(f) for f in found[:5]]}")

    def test_three_outer_headers(self) -> None:
        star, galaxy = Capture("network0.star0.egress", UPLINK), Capture("network0.galaxy0.egress", UPLINK)
        wire = self.wire()
        client, attached = self.client("chain", "star0")
        with contextlib.ExitStack() as stack:
            for each in (star, galaxy, wire):
                stack.enter_context(each)
            attempt(lambda: self.assert_whole(client, what="star0", exits=self.exits("star0"), count=MEGABYTES_20), 2)
        tor, vpn, nic = self.facts["tor"], self.facts["openvpn"], self.facts["nics"][0]

        hops = [rule for hop in tor["first_hops"] for rule in self.both_ways(TCP, GALAXY, hop, tor["or_port"])]
        self.assert_none(star.frames, [*capture.arp(), *hops], "star0's uplink")
        server = vpn["address"], vpn["udp"]["port"]
        self.assert_none(
            galaxy.frames,
            [*capture.arp(), *self.both_ways(UDP, f"{UNIVERSE_LAN}.0/24", *server)],
            "galaxy0's uplink",
        )
        self.assert_none(wire.frames, allowed_on_the_wire(self.facts), "the wire")

        # Each carried the whole, so that none of them judged an empty capture.
        for name, each in (("star0", star), ("galaxy0", galaxy), ("wire", wire)):
            self.assertGreater(sum(f.length for f in each.frames), MEGABYTES_20, name)
        outer = [{f.source for f in each.frames if f.protocol in (TCP, UDP)} for each in (star, galaxy, wire)]
        near = [{a for a in addresses if a.startswith(("10.", nic["lease"]))} for addresses in outer]
        self.assertEqual([len(addresses) for addresses in near], [1, 1, 1], near)
        self.assertEqual(len(set().union(*near)), 3, near)
        self.assertNotIn({attached["address"]}, near)

    @staticmethod
    def both_ways(protocol: int, near: str, far: str, port: int) -> list[Rule]:
        """As capture.between, for an interface whose own end is the near one."""
        return [
            Rule(protocol=protocol, outgoing=True, source=near, destination=far, destination_port=port),
            Rule(protocol=protocol, outgoing=False, source=far, destination=near, source_port=port),
        ]

    def test_what_is_no_connection_stays_inside(self) -> None:
        """UDP, ping, another resolver, the universe's own addresses: none of it reaches the wire."""
        client, _ = self.client("noise", "star0")
        echo = self.facts["echo"]
        with self.wire() as wire:
            self.assertFalse(client.udp_echo(b"leak", echo["address"], echo["port"]))
            self.assertFalse(client.pings(echo["address"]))
            client.dig("noise.any.lab", server=self.facts["dns"]["address"])
            for address in (f"{UNIVERSE_LAN}.1", "10.1.1.254", self.facts["nics"][0]["gateway"]):
                self.assertFalse(client.pings(address))
        self.assert_none(wire.frames, allowed_on_the_wire(self.facts), "the wire")
        self.assertFalse([q for q in self.lab.queries("dns-isp") if q.name == "noise.any.lab"])

    def test_destroy_leaves_nothing(self) -> None:
        """Of Tor's state, too; the first spawn was after the snapshot."""
        self.addCleanup(self.product.must, "spawn", *self.spawned)
        self.product.destroy_all()
        left: list[str] = []

        def clean() -> bool:
            left[:] = snapshot.difference(self.before, snapshot.take([None, self.facts["host"]["netns"]]))
            return not left

        with contextlib.suppress(LabError):  # what stays says more than that it stays
            linux.wait_until("the host as it was", clean, every=0.1)
        self.assertEqual(left, [])

    def test_the_auditor_sees_a_leak(self) -> None:
        """The positive control: one datagram, one ping and one frame of another sort, sent past the chain."""
        with self.wire() as wire:
            with linux.socket_in("network0.universe0", socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind(("ens1", 0))
                raw.send(self.leak(UDP))
                raw.send(self.leak(ICMP))
                raw.send(b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x86\xdd" + bytes(60))
        found = capture.offenders(wire.frames, allowed_on_the_wire(self.facts))
        sorts = {(f.ethertype, f.protocol) for f in found}
        self.assertEqual(sorts, {(capture.IPV4, UDP), (capture.IPV4, ICMP), (capture.IPV6, 0)}, found)

    def leak(self, protocol: int) -> bytes:
        """A client's own packet, by Ethernet and without NAT, as a missing rule would let it out."""
        addresses = socket.inet_aton("10.2.2.9") + socket.inet_aton(self.facts["http"]["address"])
        ip = b"\x45\0\0\x1c\0\0\0\0\x40" + bytes([protocol]) + b"\0\0" + addresses
        return b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x08\0" + ip + b"\x10\0\0\x35\0\x08\0\0"


if __name__ == "__main__":
    unittest.main(verbosity=2)
