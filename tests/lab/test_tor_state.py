"""tor's directory is a tmpfs; its guards, and what spares it a long start, outlive that."""

from __future__ import annotations

import os
import re
import signal
import unittest
from pathlib import Path

from support import ProductTest

DATA = Path("/run/orrery/network0/star0/tor/data")
KEPT = Path("/var/lib/orrery/network0/star0/tor")


def guards(directory: Path) -> set[tuple[str, ...]]:
    """The relays that tor's guards are chosen from, and when each was drawn (a time that tor blurs by chance)."""
    text = (directory / "state").read_text()
    return set(re.findall(r"^Guard in=\S+ rsa_id=(\w+) .*sampled_on=(\S+)", text, re.MULTILINE))


def mounted() -> bool:
    return str(DATA) in Path("/proc/self/mountinfo").read_text()


class TorState(ProductTest):
    with_tor = True
    spawned = ("network0.toml",)

    def test_guards_outlive_restarts_and_reboots(self) -> None:
        self.product.must("restart", "star0")
        before = guards(DATA)
        self.assertGreater(len(before), 0)
        self.assertEqual(guards(KEPT), before)
        self.assertLessEqual({"state", "cached-certs", "cached-microdesc-consensus"}, {path.name for path in KEPT.iterdir()})
        self.assertEqual({path.stat().st_uid for path in KEPT.iterdir()}, {0})
        # As over a reboot: nothing of /run is left.
        self.product.must("destroy", "star0", "--keep-state")
        self.assertFalse(mounted())
        self.assertFalse(DATA.exists())
        self.product.must("spawn", *self.spawned)
        self.assertTrue(mounted())
        self.assertLessEqual(before, guards(DATA))
        # The control: without what was kept, tor chooses anew.
        self.product.must("destroy", "star0")
        self.assertFalse(KEPT.exists())
        self.product.must("spawn", *self.spawned)
        self.product.must("restart", "star0")
        self.assertFalse(before & guards(KEPT))

    def test_a_successor_of_the_supervisor_finds_it(self) -> None:
        marker = DATA / "marker"
        marker.write_text("here")
        supervisor = self.product.processes()["star0/supervisor"]
        os.kill(supervisor, signal.SIGKILL)
        self.product.wait_ready("star0", 60)
        self.assertNotEqual(self.product.processes()["star0/supervisor"], supervisor)
        self.assertEqual(marker.read_text(), "here")


if __name__ == "__main__":
    unittest.main(verbosity=2)
