"""The lab's Tor network, by a stock tor client in a hand-made namespace."""

from __future__ import annotations

import time
import unittest
from pathlib import Path
from typing import Any

from lab import linux
from lab.client import Client
from lab.linux import LabError
from support import LabTest, say

SOCKS = ("--socks5-hostname", "127.0.0.1:9050")


class Tor(LabTest):
    with_tor = True

    def client(self) -> Client:
        router = self.router()
        data = router.directory / "tor"
        data.mkdir(mode=0o700)
        (data / "defaults").touch()
        lines = Path(self.facts["tor"]["torrc"]).read_text()
        (data / "torrc").write_text(f"{lines}DataDirectory {data}\nSocksPort 127.0.0.1:9050\nLog notice stdout\n")
        log = data / "log"
        began = time.monotonic()
        with open(log, "wb") as output:
            router.start(["tor", "--defaults-torrc", str(data / "defaults"), "-f", str(data / "torrc")], output)
        linux.wait_until("tor at 100%", lambda: "Bootstrapped 100%" in log.read_text(), 60)
        say(f"  tor client at 100% in {time.monotonic() - began:.1f} s")
        return router

    def fetch_onion(self, client: Client) -> dict[str, Any]:
        """The first fetch got no answer in 2 of 5 runs, both on a machine under load; in the one that
        asked again, the second did. The cause is not found: each try without an answer is shown."""
        page = f"http://{self.facts['tor']['onion']}/"
        for _ in range(2):
            try:
                return client.fetch(page, *SOCKS, timeout=25)
            except LabError as error:
                say(f"  onion service: {error}")
        return client.fetch(page, *SOCKS, timeout=40)

    def test_page_comes_by_an_exit(self) -> None:
        client = self.client()
        for name in ("page.lab", "first.any.lab", "second.any.lab"):
            seen = client.fetch(f"http://{name}/", *SOCKS, timeout=40)
            self.assertIn(seen["address"], self.facts["tor"]["exits"])
            self.assert_last_seen(seen["address"], name)
        self.assert_whole(client, *SOCKS, what="tor", exits=self.facts["tor"]["exits"])
        onion = self.fetch_onion(client)
        self.assertEqual(onion["address"], self.facts["tor"]["onion_exit"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
