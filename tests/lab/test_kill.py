"""Each process of each kind of router is killed while a client keeps sending: nothing leaves by another way,
the router heals, and its neighbours do not notice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import unittest
from pathlib import Path
from typing import Any, Sequence

from lab import capture, linux, wireguard
from lab.capture import TCP, UDP, Capture, Frame, Rule
from lab.client import Client
from lab.definitions import LAN_ADDRESSES, UNIVERSE_LAN
from lab.noise import Noise
from support import ProductTest, attempt, say

SERVICES = {
    "universe0": ("dnsmasq", "udhcpc"),
    "galaxy0": ("dnsmasq", "openvpn"),
    "galaxy1": ("dnsmasq", *wireguard.services()),
    "galaxy2": ("dnsmasq", "tproxy"),
    "star0": ("dnsmasq", "tor", "tproxy"),
}
OURS = ("supervisor", "keeper")
HEALS_WITHIN = 20.0  # seconds
RING = 32 << 20


def wire_rules(facts: dict[str, Any], router: str) -> list[Rule]:
    """What may pass the NIC's wire while clients of that router alone send."""
    nic, vpn, wireguard, socks = facts["nics"][0], facts["openvpn"], facts["wireguard"], facts["socks5"]
    near = nic["lease"]
    rules = [
        *capture.arp(),
        *capture.dhcp(),
        # The tunnels of all routers keep themselves alive; star0 leaves by galaxy0.
        *capture.between(UDP, near, vpn["address"], vpn["udp"]["port"]),
        *capture.between(UDP, near, wireguard["address"], wireguard["port"]),
    ]
    if router == "galaxy2":
        rules += capture.between(TCP, near, socks["address"], socks["port"])
    if router == "universe0":  # anything, from the address that the ISP leased
        rules += [Rule(outgoing=False, source=near), Rule(outgoing=True, destination=near)]
    return rules


def uplink_rules(facts: dict[str, Any], router: str) -> list[Rule]:
    """What the egress namespace of that router may send to the LAN upstream."""
    servers = {
        "galaxy0": (UDP, [facts["openvpn"]["address"]], facts["openvpn"]["udp"]["port"]),
        "galaxy1": (UDP, [facts["wireguard"]["address"]], facts["wireguard"]["port"]),
        "galaxy2": (TCP, [facts["socks5"]["address"]], facts["socks5"]["port"]),
    }
    if router == "star0":
        servers["star0"] = (TCP, facts["tor"]["first_hops"], facts["tor"]["or_port"])
    protocol, addresses, port = servers[router]
    near = "10.1.1.0/24" if router == "star0" else f"{UNIVERSE_LAN}.0/24"
    rules = capture.arp()
    for far in addresses:
        rules += [
            Rule(protocol=protocol, outgoing=True, source=near, destination=far, destination_port=port),
            Rule(protocol=protocol, outgoing=False, source=far, destination=near, source_port=port),
        ]
    return rules


class KillTest(ProductTest):
    def wire(self) -> Capture:
        wire = self.facts["nics"][0]["wire"]
        return Capture(wire["netns"], wire["interface"], ring_bytes=RING)

    def assert_none(self, frames: Sequence[Frame], rules: Sequence[Rule], where: str) -> None:
        found = capture.offenders(frames, rules)
        self.assertEqual(found, [], f"{where}: {len(found)} of {len(frames)}, first {[str(f) for f in found[:5]]}")


class Kill(KillTest):
    with_tor = True
    spawned = ("network0.toml",)

    def test_universe0(self) -> None:
        self.each_process("universe0")

    def test_galaxy0(self) -> None:
        self.each_process("galaxy0")

    def test_galaxy1(self) -> None:
        self.each_process("galaxy1")

    def test_galaxy2(self) -> None:
        self.each_process("galaxy2")

    def test_star0(self) -> None:
        self.each_process("star0")

    def each_process(self, router: str) -> None:
        for process in (*SERVICES[router], *OURS):
            with self.subTest(kill=f"{router}/{process}"):
                try:
                    self.kill_one(router, process)
                finally:
                    self.doCleanups()

    def kill_one(self, router: str, process: str) -> None:
        client, _ = self.client("victim", router)
        self.assert_fetches(router, client, tries=3)
        before = self.product.processes()
        captures = {"the wire": (self.wire(), wire_rules(self.facts, router))}
        if router != "universe0":
            uplink = Capture(f"network0.{router}.egress", "uplink", ring_bytes=RING)
            captures["the uplink"] = (uplink, uplink_rules(self.facts, router))
        for each, _rules in captures.values():
            each.start()
        with Noise(client.netns, self.facts, LAN_ADDRESSES[router]) as noise:
            linux.wait_until("noise", lambda: noise.rounds > 5)
            began = time.monotonic()
            os.kill(before[f"{router}/{process}"], signal.SIGKILL)
            self.wait_healed(router, process, before)
            healed = time.monotonic() - began
            self.assert_fetches(router, client, f"http://after-{process}.any.lab/", tries=3)
            fetched = time.monotonic() - began
            seen_by = noise.rounds
            linux.wait_until("noise to go on", lambda: noise.rounds > seen_by + 5)
        say(f"  {router}/{process}: healed in {healed:.2f} s, page after {fetched:.2f} s, {noise.rounds} rounds")
        self.assert_others_untouched(router, process, before)
        for where, (each, rules) in captures.items():
            frames = each.stop()
            self.assertTrue(frames, where)
            self.assert_none(frames, rules, where)
        if router in ("galaxy2", "star0"):
            self.assertFalse([e for e in self.lab.seen("udp") if e["address"] in self.exits(router)])

    def test_one_after_another(self) -> None:
        """The next is killed before the last has healed: in the middle of a start, an adoption, a handshake.

        Keepers are spared: without keeper and supervisor nobody is left who could heal (test_nobody_left).
        """
        chance = random.Random(42)
        client, _ = self.client("victim", "star0")
        with self.wire() as wire, Noise(client.netns, self.facts, LAN_ADDRESSES["star0"]):
            for _ in range(40):
                there = {k: pid for k, pid in self.product.processes().items() if not k.endswith("/keeper")}
                self.kill_if_there(*chance.choice(sorted(there.items())))
                time.sleep(chance.uniform(0, 0.15))  # any moment will do
            for router in SERVICES:
                self.product.wait_ready(router, 2 * HEALS_WITHIN)
            for router in SERVICES:
                if router not in ("universe0", "galaxy2"):  # their pages would be on the wire
                    attempt(lambda: self.product.fetch(router, "http://page.lab/"), 3)  # noqa: B023
                    self.assertIn(self.lab.seen("http")[-1]["address"], self.exits(router))
        self.assert_none(wire.frames, wire_rules(self.facts, "star0"), "the wire")

    def kill_if_there(self, key: str, pid: int) -> None:
        """A pid is old news where the supervisor that wrote it down has ended."""
        process = key.partition("/")[2]
        name = {"supervisor": "orrery-supervisor", "tproxy": "orrery-tproxy", "udhcpc": "busybox"}.get(process, process)
        with contextlib.suppress(OSError):
            if pid and Path(f"/proc/{pid}/comm").read_text().strip() == name[:15]:
                os.kill(pid, signal.SIGKILL)

    def test_nobody_left(self) -> None:
        """Keeper and supervisor are dead for good, and the services with them: silence, until spawn repairs."""
        for router in ("galaxy0", "galaxy1", "galaxy2", "star0"):
            with self.subTest(router=router):
                try:
                    self.silent_without_anybody(router)
                finally:
                    self.doCleanups()

    def silent_without_anybody(self, router: str) -> None:
        client, _ = self.client("victim", router)
        before = self.product.processes()
        victims = [before[f"{router}/{process}"] for process in OURS]
        uplink = Capture(f"network0.{router}.egress", "uplink", ring_bytes=RING)
        with self.wire() as wire, uplink, Noise(client.netns, self.facts, LAN_ADDRESSES[router]) as noise:
            linux.wait_until("noise", lambda: noise.rounds > 5)
            for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that neither replaces the other
                for pid in victims:
                    os.kill(pid, number)
            down = lambda: self.product.ctl("status", router).returncode == 5  # noqa: E731
            linux.wait_until("nobody answers", down, every=0.1)
            seen = len(self.lab.seen("http"))
            since = noise.rounds
            linux.wait_until("noise to go on", lambda: noise.rounds > since + 100)
            self.assertEqual(len(self.lab.seen("http")), seen)
        self.assert_none(wire.frames, wire_rules(self.facts, router), "the wire")
        self.assert_none(uplink.frames, uplink_rules(self.facts, router), "the uplink")
        self.product.must("spawn", "network0.toml")
        with Client(self.lab, "after") as after:
            self.product.attach(after, router)
            self.assert_fetches(router, after, f"http://{self.facts['http']['address']}/", tries=3)
        if router == "galaxy0":  # star0 leaves by it, and sees no more than a pause
            self.product.wait_ready("star0", HEALS_WITHIN)
            attempt(lambda: self.product.fetch("star0", "http://page.lab/"), 3)
        untouched = self.product.processes()
        others = {key for key in before if not key.startswith(f"{router}/")}
        self.assertEqual({key: untouched[key] for key in others}, {key: before[key] for key in others})

    def wait_healed(self, router: str, process: str, before: dict[str, int]) -> None:
        """Another process is there in its place, and the router says by its events that it is ready."""
        key = f"{router}/{process}"

        def replaced() -> bool:
            pid = self.product.processes().get(key, 0)
            return pid not in (0, before[key])

        linux.wait_until(f"another {key}", replaced, HEALS_WITHIN, every=0.05)
        self.product.wait_ready(router, HEALS_WITHIN)

    def assert_others_untouched(self, router: str, process: str, before: dict[str, int]) -> None:
        after = self.product.processes()
        self.assertEqual(after.keys(), before.keys())
        changed = {key for key in before if after[key] != before[key]}
        own = {key for key in before if key.startswith(f"{router}/")}
        if process == "supervisor":  # its services end with it; the keeper becomes its successor
            self.assertEqual(changed, own)
        else:
            self.assertEqual(changed, {f"{router}/{process}"})


class Control(KillTest):
    """The auditor sees what it is there for: a way past the tunnel, made on purpose."""

    spawned = ("network0.toml",)

    def test_a_way_past_the_tunnel(self) -> None:
        client, _ = self.client("victim", "galaxy0")
        with self.wire() as before, Noise(client.netns, self.facts, LAN_ADDRESSES["galaxy0"]) as noise:
            linux.wait_until("noise", lambda: noise.rounds > 20)
        self.assert_none(before.frames, wire_rules(self.facts, "galaxy0"), "before the leak")
        self.make_a_way("network0.galaxy0", "network0.universe0")
        with self.wire() as wire, Noise(client.netns, self.facts, LAN_ADDRESSES["galaxy0"]) as noise:
            linux.wait_until("noise", lambda: noise.rounds > 20)
        found = capture.offenders(wire.frames, wire_rules(self.facts, "galaxy0"))
        kinds = {(f.protocol, f.destination_port) for f in found if not f.outgoing}
        echo = self.facts["echo"]["port"]
        self.assertTrue({(UDP, echo), (UDP, 53), (TCP, 80), (capture.ICMP, None)} <= kinds, kinds)

    def make_a_way(self, lan: str, upstream: str) -> None:
        linux.run(["nft", "flush", "ruleset"], lan)
        rules = "table ip t { chain p { type nat hook postrouting priority 100; masquerade; }; }"
        linux.run(["nft", "-f", "-"], lan, rules)
        # Even so nothing would pass the port: the router upstream does not know who is behind it.
        mac = "02:00:00:00:00:c8"
        linux.run(
            ["nft", "-f", "-"],
            upstream,
            f'add element bridge orrery clients {{ "leak" . {mac} . 10.0.0.200 }}\n'
            f'add element bridge orrery ports {{ "leak" . {mac} }}\n',
        )
        linux.ip_batch(
            lan,
            [
                f"link add leak address {mac} type veth peer name leak netns {upstream}",
                "address add 10.0.0.200/24 dev leak",
                "link set leak up",
            ],
        )
        linux.ip_batch(upstream, ["link set leak master universe0 up"])
        linux.ip_batch(lan, [f"route replace default via {UNIVERSE_LAN}.1 dev leak"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
