"""What the lab's test files share: one lab for each class, and hand-made routers on it."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar, Optional, Sequence

from lab import linux, patterns
from lab.client import Client
from lab.internet import Internet

MEGABYTES_100 = 100_000_000


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

    def assert_whole(self, client: Client, *options: str, what: str, exits: Sequence[str]) -> None:
        """100 MB with the right SHA-256 by one of the exits; the speed is shown, not judged."""
        count = MEGABYTES_100
        got = client.download(f"http://{self.facts['http']['address']}/bytes/{count}", *options)
        self.assertEqual(got.length, count)
        self.assertEqual(got.sha256, patterns.sha256(count))
        self.assertIn(self.lab.seen("http")[-1]["address"], exits)
        say(f"  {what}: 100 MB in {got.seconds:.1f} s, {got.megabytes_per_second:.0f} MB/s")

    def assert_last_seen(self, exit_address: str, host: Optional[str] = None) -> None:
        """By the server's own log, not by what it told the client."""
        last = self.lab.seen("http")[-1]
        self.assertEqual(last["address"], exit_address)
        if host is not None:
            self.assertEqual(last["host"], host)


def default_route(client: Client) -> str:
    return linux.run(["ip", "route", "show", "default"], client.netns).split()[2]
