"""A NIC that is pulled out of a living universe and comes back: its supervisor takes it up again by itself."""

from __future__ import annotations

import json
import os
import signal
import unittest
from typing import Any

from lab import linux, plan, wires
from lab.client import Client
from support import ProductTest

HEALS_WITHIN = 30
NIC = plan.NICS[0]
HOST_LINKS = ["ip", "-o", "link"]

_FIXED = """
version = 1
[router.universe0]
kind   = "universe"
uplink = {{ nic = {{ mac = "{mac}" }}, address = "{address}/24", gateway = "{gateway}", dns = ["{gateway}"] }}
lan    = {{ address = "10.0.0.1/24", dhcp = {{ range = ["10.0.0.2", "10.0.0.99"] }} }}
"""


class Pulled(ProductTest):
    @classmethod
    def write_definitions(cls) -> None:
        text = _FIXED.format(mac=NIC.mac, address=NIC.lease, gateway=NIC.isp)
        (cls.product.directory / "fixed.toml").write_text(text)

    def setUp(self) -> None:
        self.addCleanup(self.lab.replug)
        self.addCleanup(self.product.must, "destroy", "--all")

    def carrier(self) -> dict[str, Any]:
        """`status` fails where the router is not ready."""
        state = json.loads(self.product.ctl("--json", "status", "universe0").stdout)
        return next(rung for rung in state["ladder"] if rung["rung"] == "carrier")

    def pull(self) -> None:
        wires.unplug(NIC)
        linux.wait_until("the loss", lambda: self.carrier()["detail"] == "the NIC is gone", HEALS_WITHIN)

    def assert_goes_on(self, client: Client, router: str = "universe0") -> None:
        self.product.wait_ready("universe0", HEALS_WITHIN)
        self.assert_fetches(router, client, tries=5)
        self.assertFalse(wires.is_home(NIC))
        self.product.must("verify", "universe0", "--structure")

    def test_by_dhcp(self) -> None:
        """Twice, with a router behind it; a stranger that is plugged in first stays where it is."""
        self.product.must("spawn", "network0.toml")
        near, far = self.client("near", "universe0")[0], self.client("far", "galaxy0")[0]
        self.assert_fetches("universe0", near)
        for _ in range(2):
            self.pull()
            linux.ip_batch(plan.HOST, ["link add eth7 type veth peer name eth8"])
            self.assertEqual(self.carrier()["state"], "failed")
            wires.plug_in(NIC)
            self.assert_goes_on(near)
            self.assertIn(" eth7@", linux.run(HOST_LINKS, plan.HOST))
            linux.ip_batch(plan.HOST, ["link delete eth7"])
        self.product.wait_ready("galaxy0", HEALS_WITHIN)
        self.assert_fetches("galaxy0", far, tries=5)

    def test_with_a_fixed_address(self) -> None:
        self.product.must("spawn", "fixed.toml")
        client, _ = self.client("fixed", "universe0")
        self.assert_fetches("universe0", client)
        self.pull()
        wires.plug_in(NIC)
        self.assert_goes_on(client)

    def test_under_another_name_and_home_under_its_own(self) -> None:
        self.product.must("spawn", "fixed.toml")
        client, _ = self.client("named", "universe0")
        self.pull()
        linux.ip_batch(
            plan.ISP,
            [
                f"link add {NIC.wire} type veth peer name eth9 address {NIC.mac} netns {plan.HOST}",
                f"link set {NIC.wire} master {NIC.lan} up",
            ],
        )
        self.assert_goes_on(client)
        self.product.must("destroy", "universe0")
        self.assertTrue(wires.is_home(NIC))

    def test_in_a_bridge_of_the_hosts_it_is_left(self) -> None:
        """Who has put it there has plans for it; taken out of it, it is the router's again."""
        self.product.must("spawn", "fixed.toml")
        client, _ = self.client("bridged", "universe0")
        self.pull()
        linux.ip_batch(plan.HOST, ["link add br7 type bridge"])
        self.addCleanup(linux.ip_batch, plan.HOST, ["link delete br7"])
        # Known for the NIC only when it is in there.
        linux.ip_batch(
            plan.ISP,
            [
                f"link add {NIC.wire} type veth peer name eth9 netns {plan.HOST}",
                f"link set {NIC.wire} master {NIC.lan} up",
            ],
        )
        linux.ip_batch(plan.HOST, ["link set eth9 master br7", f"link set eth9 address {NIC.mac}"])
        told = lambda: "it is in a bridge or bond" in self.carrier()["detail"]  # noqa: E731
        linux.wait_until("the hindrance", told, HEALS_WITHIN)
        linux.ip_batch(plan.HOST, ["link set eth9 nomaster"])
        self.assert_goes_on(client)

    def end_the_supervisor(self) -> None:
        name = "universe0/supervisor"
        old = self.product.processes()[name]
        os.kill(old, signal.SIGKILL)
        successor = lambda: self.product.processes().get(name, 0) not in (0, old)  # noqa: E731
        linux.wait_until("the successor", successor, HEALS_WITHIN)

    def test_a_supervisor_that_starts_without_it(self) -> None:
        self.product.must("spawn", "fixed.toml")
        client, _ = self.client("orphan", "universe0")
        self.pull()
        self.end_the_supervisor()
        wires.plug_in(NIC)
        self.assert_goes_on(client)

    def test_a_supervisor_that_ended_when_it_had_just_taken_it(self) -> None:
        """The NIC is in its place then, down and bare."""
        self.product.must("spawn", "fixed.toml")
        client, _ = self.client("half", "universe0")
        linux.ip_batch("network0.universe0", ["link set ens1 down", "address flush dev ens1"])
        self.end_the_supervisor()
        self.assert_goes_on(client)


if __name__ == "__main__":
    unittest.main(verbosity=2)
