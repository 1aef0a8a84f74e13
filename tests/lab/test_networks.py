"""Two networks with the same subnets at once, twenty routers of one definition, and spawn on top of itself."""

from __future__ import annotations

import unittest

from lab import capture
from lab.capture import TCP, UDP, Capture, Rule
from lab.definitions import UNIVERSE_LAN
from lab.product import documents
from support import ProductTest

ROUTERS = ("universe0", "galaxy0", "galaxy1", "galaxy2", "galaxy3")
ADDRESS = "10.1.4.77"  # of a client of galaxy3 in both networks

_TWENTY = """version = 1
network = "network0"

[router.universe0]
kind   = "universe"
uplink = {{ nic = {{ mac = "{mac}" }} }}

[router.universe0.lan]
address = "{universe}.1/24"
dhcp    = {{ range = ["{universe}.2", "{universe}.254"] }}

[router.plain]
count  = 20
kind   = "galaxy"
uplink = "universe0"

[router.plain.lan]
address = "10.3.${{n}}.254/24"
dhcp    = {{ range = ["10.3.${{n}}.2", "10.3.${{n}}.253"] }}

[router.plain.egress]
type = "direct"

[router.socks]
count  = 20
kind   = "galaxy"
uplink = "universe0"

[router.socks.lan]
address = "10.4.${{n}}.254/24"
dhcp    = false

[router.socks.egress]
type   = "socks5"
server = "{server}"
"""


class TwoNetworks(ProductTest):
    spawned = ("network0.toml", "network1.toml")

    def exit_of(self, network: int, router: str) -> str:
        own = {"universe0": "", "galaxy3": ""}  # by the lease of that network's NIC
        return self.facts["nics"][network]["exit"] if router in own else self.exits(router)[0]

    def test_each_client_leaves_by_its_own_network(self) -> None:
        for network in (0, 1):
            for router in ROUTERS:
                with self.subTest(network=network, router=router):
                    page = f"http://page.lab/{network}/{router}"
                    self.product.fetch(f"network{network}.{router}", page)
                    last = self.lab.seen("http")[-1]
                    self.assertEqual(last["address"], self.exit_of(network, router))
                    self.assertEqual(last["path"], f"/{network}/{router}")

    def allowed(self, network: int) -> list[Rule]:
        """Of clients of galaxy3: from this network's own NIC, and nothing else."""
        nic = self.facts["nics"][network]
        near = nic["lease"]
        return [
            *capture.arp(),
            *capture.dhcp(),
            *capture.between(UDP, near, nic["dns"], 53),
            *capture.between(TCP, near, self.facts["http"]["address"], 80),
            *capture.between(UDP, near, self.facts["echo"]["address"], self.facts["echo"]["port"]),
            # Tunnels of the same network, which keep themselves alive.
            *capture.between(UDP, near, self.facts["openvpn"]["address"], self.facts["openvpn"]["udp"]["port"]),
            *capture.between(UDP, near, self.facts["wireguard"]["address"], self.facts["wireguard"]["port"]),
        ]

    def test_same_address_in_both_at_once(self) -> None:
        clients = [self.client(f"same{n}", f"network{n}.galaxy3", "--address", ADDRESS) for n in (0, 1)]
        self.assertEqual([attached["address"] for _, attached in clients], [ADDRESS, ADDRESS])
        self.assertEqual(len({attached["mac"] for _, attached in clients}), 2)
        wires = [Capture(nic["wire"]["netns"], nic["wire"]["interface"]) for nic in self.facts["nics"]]
        echo = self.facts["echo"]
        for wire in wires:
            wire.start()
        for _ in range(5):
            for network, (client, _attached) in enumerate(clients):
                client.fetch(f"http://page.lab/{network}")
                self.assert_last_seen(self.facts["nics"][network]["exit"], "page.lab")
                self.assertTrue(client.udp_echo(b"hello", echo["address"], echo["port"]))
        for network, wire in enumerate(wires):
            frames = wire.stop()
            found = capture.offenders(frames, self.allowed(network))
            self.assertEqual(found, [], f"wire {network}: {[str(f) for f in found[:5]]}")
            fetches = {f.source_port for f in frames if f.protocol == TCP and f.destination_port == 80}
            self.assertEqual(len(fetches), 5)
            # The positive control: by the other network's rules, the same frames are foreign.
            self.assertTrue(capture.offenders(frames, self.allowed(1 - network)))

    def test_spawn_again_changes_nothing(self) -> None:
        before = [self.product.processes(f"network{n}") for n in (0, 1)]
        done = self.product.ctl("--json", "spawn", *self.spawned)
        self.assertEqual(done.returncode, 0, done.stderr)
        changed = [r for r in documents(done.stdout)[-1]["routers"] if r["changed"]]
        self.assertEqual(changed, [])
        self.assertEqual([self.product.processes(f"network{n}") for n in (0, 1)], before)


class Twenty(ProductTest):
    spawned = ("twenty.toml",)

    @classmethod
    def write_definitions(cls) -> None:
        socks = cls.facts["socks5"]
        text = _TWENTY.format(
            mac=cls.facts["nics"][0]["mac"], universe=UNIVERSE_LAN, server=f"{socks['address']}:{socks['port']}"
        )
        (cls.product.directory / "twenty.toml").write_text(text)

    def test_each_fetches_a_page(self) -> None:
        self.assertEqual(len(self.product.ask("list")["routers"]), 41)
        for kind, exit_address in (("plain", self.facts["nics"][0]["exit"]), ("socks", self.facts["socks5"]["exit"])):
            for number in range(20):
                with self.subTest(router=f"{kind}{number}"):
                    self.product.fetch(f"{kind}{number}", f"http://page.lab/{kind}{number}")
                    self.assert_last_seen(exit_address, "page.lab")
                    self.assertEqual(self.lab.seen("http")[-1]["path"], f"/{kind}{number}")

    def test_a_lease_in_the_last_one(self) -> None:
        client, attached = self.client("last", "plain19", "--dhcp")
        lease = client.udhcpc()
        self.assertEqual((lease.address, lease.router), (attached["address"], "10.3.19.254"))
        client.fetch("http://page.lab/")


if __name__ == "__main__":
    unittest.main(verbosity=2)
