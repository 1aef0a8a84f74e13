"""What the lab's test files share: one lab for each class, and hand-made routers on it."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable, ClassVar, Optional, Sequence, TypeVar

from lab import linux, patterns
from lab.client import Client
from lab.definitions import LAN_ADDRESSES
from lab.internet import Internet
from lab.linux import LabError
from lab.product import Product

T = TypeVar("T")

MEGABYTES_100 = 100_000_000
MEGABYTES_20 = 20_000_000


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class LabTest(unittest.TestCase):
    """A lab that is up for the tests of one class."""

    with_tor: ClassVar[bool] = False
    lab: ClassVar[Internet]
    _directory: ClassVar[tempfile.TemporaryDirectory[str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls._directory = tempfile.TemporaryDirectory(prefix="lab-", dir="/run")
        cls.addClassCleanup(cls._directory.cleanup)
        cls.lab = Internet(Path(cls._directory.name) / "state")
        cls.lab.up(tor=cls.with_tor, report=say)
        cls.addClassCleanup(cls.lab.down, say)
        cls.facts = cls.lab.facts

    def router(self, name: str = "r1", nic: int = 0) -> Client:
        """A hand-made namespace that took a NIC and got a lease; the NIC is back after the test."""
        router = Client(self.lab, name)
        self.addCleanup(self.lab.replug)
        self.addCleanup(router.close)
        router.take_nic(self.facts["nics"][nic]["name"])
        router.udhcpc()
        return router

    def assert_whole(
        self, client: Client, *options: str, what: str, exits: Sequence[str], count: int = MEGABYTES_100
    ) -> None:
        """That many bytes with the right SHA-256 by one of the exits; the speed is shown, not judged."""
        got = client.download(f"http://{self.facts['http']['address']}/bytes/{count}", *options)
        self.assertEqual(got.length, count)
        self.assertEqual(got.sha256, patterns.sha256(count))
        self.assertIn(self.lab.seen("http")[-1]["address"], exits)
        say(f"  {what}: {count // 1_000_000} MB in {got.seconds:.1f} s, {got.megabytes_per_second:.0f} MB/s")

    def assert_last_seen(self, exit_address: str, host: Optional[str] = None) -> None:
        """By the server's own log, not by what it told the client."""
        last = self.lab.seen("http")[-1]
        self.assertEqual(last["address"], exit_address)
        if host is not None:
            self.assertEqual(last["host"], host)


class ProductTest(LabTest):
    """Routers of the product on the lab: those of `spawned` are up for the tests of the class."""

    spawned: ClassVar[Sequence[str]] = ()  # definition files, or names
    product: ClassVar[Product]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.product = Product(cls.lab)
        cls.write_definitions()
        cls.addClassCleanup(cls.product.ctl, "destroy", "--all")
        if cls.spawned:
            cls.product.must("spawn", *cls.spawned)

    @classmethod
    def write_definitions(cls) -> None:
        """Those beside network0.toml and network1.toml."""

    def client(self, name: str, router: str, *options: str) -> tuple[Client, dict[str, Any]]:
        """A namespace attached to a router's LAN, with its resolver if that is known; gone after the test."""
        client = Client(self.lab, name)
        self.addCleanup(client.close)
        attached = self.product.attach(client, router, *options)
        own = LAN_ADDRESSES.get(router.rpartition(".")[2])
        if own is not None:
            client.resolv.write_text(f"nameserver {own}\n")
        return client, attached

    def exits(self, router: str) -> list[str]:
        """The addresses by which the world sees a router's clients, in either network 0."""
        by_lease = self.facts["nics"][0]["exit"]
        known = {
            "universe0": [by_lease],
            "galaxy0": [self.facts["openvpn"]["exit"]],
            "galaxy1": [self.facts["wireguard"]["exit"]],
            "galaxy2": [self.facts["socks5"]["exit"]],
            "galaxy3": [by_lease],
        }
        return known.get(router) or list(self.facts["tor"]["exits"])

    def assert_fetches(self, router: str, client: Client, url: str = "http://page.lab/", tries: int = 1) -> None:
        """The page, by an exit of that router as the server's own log has it."""
        attempt(lambda: client.fetch(url), tries)
        self.assertIn(self.lab.seen("http")[-1]["address"], self.exits(router))


def attempt(work: Callable[[], T], tries: int) -> T:
    """Tor's circuits fail now and then, most of all to a new onion service: a user would try again."""
    for left in reversed(range(tries)):
        try:
            return work()
        except LabError:
            if not left:
                raise
    raise AssertionError("no try was allowed")


def default_route(client: Client) -> str:
    return linux.run(["ip", "route", "show", "default"], client.netns).split()[2]
