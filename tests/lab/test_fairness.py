"""A client that floods does not take down its router's other clients, nor those of another router.

For each flood, a neighbour on the same LAN and a client of another router ask for pages and names while it goes
on: each must be answered. The rule that stopped the flood is told by its count. The control is the same flood at a
router without limits: there the count that the limit bounds goes beyond it. bench/fairness prints the figures.
"""

from __future__ import annotations

import re
import unittest
from pathlib import Path
from typing import Any, ClassVar

from lab import linux
from lab.client import Client
from lab.definitions import LAN_ADDRESSES
from lab.floods import Flood, Served, Target, ask_names, ask_pages
from support import ProductTest, say

ASKED = 50
SHARE = 128  # of galaxy9's proxy, for each client
# Flood, router, and what counts the packets that were dropped.
FLOODS = (
    ("arp", "galaxy3", "ARP frames a second"),
    ("dhcp-ids", "galaxy3", "DHCP frames a second"),
    ("dhcp-macs", "galaxy3", "DHCP under another's address"),
    ("dns", "galaxy3", "DNS queries a second"),
    ("syn", "galaxy3", "new connections a second"),
    ("udp-ports", "galaxy3", "new connections a second"),
    ("dns", "galaxy2", "DNS queries a second"),
    ("syn", "galaxy2", "new connections a second"),
)
OFF = (
    "connections", "new_connections", "tunnel_packets", "dns_queries", "arp_frames", "dhcp_frames", "broadcasts",
    "proxied_connections",
)


GATEWAYS = {**LAN_ADDRESSES, "galaxy8": "10.1.8.254", "galaxy9": "10.1.9.254"}


def _router(name: str, egress: str) -> str:
    lan = GATEWAYS[name].rpartition(".")[0]
    return (
        f'[router.{name}]\nkind = "galaxy"\nuplink = "universe0"\negress = {{ {egress} }}\n'
        f'lan = {{ address = "{lan}.254/24", dhcp = {{ range = ["{lan}.2", "{lan}.253"], lease = "9000s" }} }}\n'
    )


class Fairness(ProductTest):
    neighbours: ClassVar[dict[str, Client]]
    hostile: ClassVar[dict[str, tuple[Client, Target]]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.product.must("spawn", "network0.toml", "fair.toml")
        cls.neighbours, cls.hostile = {}, {}
        for router in ("galaxy2", "galaxy3", "galaxy8", "galaxy9"):
            cls.neighbours[router], _ = cls._attached(f"near-{router}", router)
            client, attached = cls._attached(f"flood-{router}", router)
            cls.hostile[router] = (client, cls._target(router, attached))

    @classmethod
    def write_definitions(cls) -> None:
        """Beside the lab's own: galaxy8, direct, without any limit, and galaxy9 before the SOCKS5 server, which has
        descriptors for some 500 connections by itself: one client may have a quarter of that."""
        off = "\n".join(f"{name} = 0" for name in OFF)
        socks = cls.facts["socks5"]
        (cls.product.directory / "fair.toml").write_text(
            'version = 1\nnetwork = "network0"\n'
            + _router("galaxy8", 'type = "direct"')
            + f"[router.galaxy8.client_limits]\n{off}\n"
            + _router("galaxy9", f'type = "socks5", server = "{socks["address"]}:{socks["port"]}"')
            + f"[router.galaxy9.client_limits]\nproxied_connections = {SHARE}\n"
        )

    @classmethod
    def _attached(cls, name: str, router: str) -> tuple[Client, dict[str, Any]]:
        client = Client(cls.lab, name)
        cls.addClassCleanup(client.close)
        return client, cls.product.attach(client, router)

    @classmethod
    def _target(cls, router: str, attached: dict[str, Any]) -> Target:
        links = linux.run(["ip", "-o", "link", "show", router], f"network0.{router}")
        mac = re.search(r"link/ether (\S+)", links)
        assert mac is not None
        return Target(attached["mac"], attached["address"], mac[1], GATEWAYS[router], cls.facts["http"]["address"])

    def dropped(self, router: str, what: str) -> int:
        rows = self.product.ask("inspect", router, "limits")["limits"]["clients"]
        return next(int(row.get("dropped", 0)) for row in rows if row["what"] == what)

    def assert_served(self, router: str) -> tuple[Served, Served]:
        client = self.neighbours[router]
        pages = ask_pages(client.netns, self.facts["http"]["address"], ASKED)
        names = ask_names(client.netns, GATEWAYS[router], ASKED)
        self.assertEqual((pages.answered, names.answered), (ASKED, ASKED), f"a client of {router}")
        return pages, names

    def test_the_neighbours_of_a_flood_are_served(self) -> None:
        quiet = {router: self.assert_served(router) for router in ("galaxy2", "galaxy3")}
        for kind, router, what in FLOODS:
            with self.subTest(flood=kind, router=router):
                client, target = self.hostile[router]
                before = self.dropped(router, what)
                with Flood(client.netns, kind, target) as flood:
                    pages, names = self.assert_served(router)
                    self.assert_served("galaxy2" if router == "galaxy3" else "galaxy3")
                stopped = self.dropped(router, what) - before
                self.assertGreater(stopped, 0)
                self.assertLessEqual(stopped, flood.sent)
                slower = [now.milliseconds / max(then.milliseconds, 0.01) for now, then in zip((pages, names), quiet[router])]
                say(
                    f"  {kind} at {router}: {flood.sent} sent, {stopped} dropped; the neighbour: "
                    f"{pages.answered + names.answered} of {2 * ASKED}, {slower[0]:.1f} and {slower[1]:.1f} times as long"
                )

    def tracked(self, router: str, client: str) -> int:
        rows = self.product.ask("inspect", router, "limits")["limits"]["connections"]
        return next((int(row["connections"]) for row in rows if row["client"] == client), 0)

    def test_without_limits_the_same_floods_go_through(self) -> None:
        client, target = self.hostile["galaxy8"]
        limits = {row["what"]: row for row in self.product.ask("inspect", "galaxy8", "limits")["limits"]["clients"]}
        for what in ("connections", "new connections a second", "ARP frames a second", "DNS queries a second"):
            self.assertNotIn("dropped", limits[what])
        with Flood(client.netns, "udp-ports", target):
            linux.wait_until("more flows than the limit", lambda: self.tracked("galaxy8", target.address) > 4096, 30)
        limited, limited_target = self.hostile["galaxy3"]
        before = self.dropped("galaxy3", "connections") + self.dropped("galaxy3", "new connections a second")
        with Flood(limited.netns, "udp-ports", limited_target):
            linux.wait_until(
                "a flood that is stopped",
                lambda: self.dropped("galaxy3", "connections") + self.dropped("galaxy3", "new connections a second")
                > before + 4096,
                30,
            )
        self.assertLessEqual(self.tracked("galaxy3", limited_target.address), 4096)

    def test_one_client_cannot_have_all_of_the_proxy(self) -> None:
        client, target = self.hostile["galaxy9"]
        for kind in ("slow-read", "idle-connections"):
            with self.subTest(flood=kind):
                with Flood(client.netns, kind, target) as flood:
                    linux.wait_until("its share to be full", lambda: self._open(client.netns) >= SHARE, 30)
                    self.assert_served("galaxy9")
                self.assertGreaterEqual(flood.sent, SHARE)
                say(f"  {kind}: {flood.sent} connections opened")
        # Told of once a minute, so of the first of them for sure.
        linux.wait_until("the event", lambda: self._refused("galaxy9", target.address), 30)

    @staticmethod
    def _open(netns: str) -> int:
        table = linux.in_netns(netns, lambda: Path("/proc/thread-self/net/tcp").read_text())
        established = "01"  # TCP_ESTABLISHED, include/net/tcp_states.h
        return sum(line.split()[3] == established for line in table.splitlines()[1:])

    def _refused(self, router: str, address: str) -> bool:
        events = Path(f"/run/orrery/network0/{router}/log/events").read_text().splitlines()
        return any("client-limit" in line and address in line for line in events)


if __name__ == "__main__":
    unittest.main()
