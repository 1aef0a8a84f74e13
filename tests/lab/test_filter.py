"""[[lan.filter]] by routerctl: refused with libpcap's words and place, in force at the ports of clients and of routers
downstream, counted, changed on a living router, and missed by `verify` when it is taken away."""

from __future__ import annotations

import json
import unittest
from typing import Any

from lab import linux
from support import ProductTest

NETWORK = "network0"


def filters(*items: str) -> str:
    return "".join(f"\n[[router.galaxy3.lan.filter]]\n{item}\n" for item in items)


class Filters(ProductTest):
    def definition(self, *items: str) -> str:
        nic = self.facts["nics"][0]["mac"]
        return f"""version = 1
network = "{NETWORK}"

[router.universe0]
kind = "universe"
uplink = {{ nic = {{ mac = "{nic}" }} }}

[router.universe0.lan]
address = "10.0.0.1/24"
dhcp = {{ range = ["10.0.0.2", "10.0.0.254"], lease = "9000s" }}

[router.galaxy3]
kind = "galaxy"
uplink = "universe0"

[router.galaxy3.lan]
address = "10.1.4.254/24"
dhcp = {{ range = ["10.1.4.2", "10.1.4.253"], lease = "9000s" }}
{filters(*items)}
[router.galaxy3.egress]
type = "direct"
"""

    def write(self, *items: str) -> str:
        (self.product.directory / "filters.toml").write_text(self.definition(*items))
        return "filters.toml"

    def apply(self, file: str) -> None:
        self.product.must("restart", "--definition", file, "galaxy3")

    def counts(self) -> list[int]:
        return [item["droppedPackets"] for item in self.product.ask("inspect", "galaxy3", "filter")["filter"]]

    def echo(self, client: Any) -> bool:
        return bool(client.udp_echo(b"hello", self.facts["echo"]["address"], self.facts["echo"]["port"], 0.5))

    def test_what_libpcap_refuses_is_shown_in_its_place(self) -> None:
        name = self.write('direction = "from-client"\ndrop = "udp port"')
        done = self.product.ctl("validate", name)
        self.assertEqual(done.returncode, 3)
        # libpcap's words, and where they hold: behind "port".
        self.assertRegex(done.stderr, r"filters\.toml:\d+:17: error: libpcap: can't parse filter expression: syntax error")
        self.assertIn('drop = "udp port"\n                    ^\n', done.stderr)
        name = self.write('direction = "from-client"\ndrop = "host bank.example"')
        done = self.product.ctl("validate", name)
        self.assertRegex(done.stderr, r"filters\.toml:\d+:14: error: 'bank\.example' is no word of a filter")

    def test_life_of_a_filter(self) -> None:
        port = self.facts["echo"]["port"]
        drop = f'direction = "from-client"\ndrop = "udp port {port}"\nwhy = "no echo"'
        self.product.must("spawn", self.write(drop))
        client, _ = self.client("c", "galaxy3")
        self.assertFalse(self.echo(client))
        self.assertGreaterEqual(self.counts()[0], 1)
        self.assertIn("no echo", self.product.must("inspect", "galaxy3", "filter"))
        plan = self.product.must("plan", "filters.toml")
        self.assertNotIn("ruleset", plan, "an unchanged definition changes nothing")
        told = json.loads(self.product.must("--json", "verify", "galaxy3"))
        self.assertEqual(told["findings"], [])

        # Another direction, on the living router and its client.
        self.apply(self.write(f'direction = "to-client"\ndrop = "udp src port {port}"'))
        self.assertFalse(self.echo(client))
        self.assertGreaterEqual(self.counts()[0], 1)
        self.apply(self.write())
        self.assertTrue(self.echo(client))

        # Taken away by hand, it is missed.
        self.apply(self.write(drop))
        linux.run(["nft", "flush", "chain", "bridge", "orrery", "from-client"], f"{NETWORK}.galaxy3")
        done = self.product.ctl("--json", "verify", "galaxy3", "--structure")
        self.assertEqual(done.returncode, 6)
        self.assertTrue(any("the ruleset is not the router's" in each for each in json.loads(done.stdout)["findings"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
