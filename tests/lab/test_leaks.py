"""The leak contract on live routers: `routerctl verify` finds nothing on a router as it is made and each way past
it that is made on purpose; and nothing leaves by a wrong way while routers come, go, die and stop."""

from __future__ import annotations

import json
import subprocess
import threading
import unittest
from contextlib import ExitStack
from typing import Any

from lab import linux
from lab.client import Client
from lab.definitions import LAN_ADDRESSES, UNIVERSE_LAN
from lab.noise import Noise
from lab.transitions import NETWORK, Ipv6Noise, Transitions, report, wait_for_carrier
from support import ProductTest, say

LEAK = 6  # routerctl's exit code


class Verify(ProductTest):
    spawned = ("network0.toml",)

    def verify(self, router: str, *options: str) -> tuple[int, dict[str, Any]]:
        done = self.product.ctl("--json", "verify", router, *options, timeout=60)
        self.assertIn(done.returncode, (0, LEAK), done.stdout + done.stderr)
        return done.returncode, json.loads(done.stdout)

    def assert_clean(self, router: str) -> dict[str, Any]:
        code, told = self.verify(router)
        self.assertEqual((code, told["findings"]), (0, []), router)
        self.assertTrue(told["clean"])
        return told

    def assert_found(self, router: str, *words: str, options: tuple[str, ...] = ()) -> None:
        code, told = self.verify(router, *options)
        self.assertEqual(code, LEAK, told)
        for word in words:
            self.assertTrue(any(word in finding for finding in told["findings"]), f"{word}: {told['findings']}")

    # --- a router as it is made ---------------------------------------------------------------------

    def test_every_router(self) -> None:
        for router in ("universe0", "galaxy0", "galaxy1", "galaxy2", "galaxy3"):
            with self.subTest(router=router):
                told = self.assert_clean(router)
                passed = {link["link"]: len(link["passed"]) for link in told["links"]}
                # The probes do get out where a client may: else their silence would prove nothing.
                if router in ("universe0", "galaxy3"):
                    self.assertGreater(passed["uplink"], 20)
                else:
                    self.assertEqual(passed["uplink"], 0)
                if router in ("galaxy0", "galaxy1"):
                    self.assertGreater(passed["tunnel"], 10)
                say(f"  {router}: {sum(t['probes'] for t in told['probes'])} probes, passed {passed}")

    def test_with_a_client_and_as_text(self) -> None:
        client, _ = self.client("other", "galaxy0")
        self.assert_fetches("galaxy0", client)
        text = self.product.must("verify", "galaxy0")
        self.assertIn("Nothing was found.", text)
        self.assertEqual(self.product.ctl("verify").returncode, 2)
        self.assertEqual(self.product.ctl("verify", "galaxy0", "--watch", "9999").returncode, 2)
        self.assertIn("| galaxy, socks5 | uplink |", self.product.must("verify", "--contract"))

    def test_nothing_is_left_behind(self) -> None:
        before = linux.run(["ip", "-o", "link"], f"{NETWORK}.galaxy3").count("\n")
        self.assert_clean("galaxy3")
        self.assertEqual(linux.run(["ip", "-o", "link"], f"{NETWORK}.galaxy3").count("\n"), before)

    # --- ways past it, made on purpose: found by structure and, where they carry, by a probe ---------

    def setUp(self) -> None:
        self.addCleanup(self.make_anew)
        self._spoilt: list[str] = []

    def make_anew(self) -> None:
        if self._spoilt:
            self.product.must("destroy", *self._spoilt)
            self.product.must("spawn", "network0.toml")

    def spoil(self, router: str, side: str = "") -> str:
        if router not in self._spoilt:
            self._spoilt.append(router)
        return f"{NETWORK}.{router}{side}"

    def a_way_past(self, router: str) -> None:
        lan = self.spoil(router)
        linux.run(["nft", "delete", "table", "ip", "orrery"], lan)
        upstream = f"{NETWORK}.universe0"
        linux.ip_batch(
            lan,
            [
                f"link add leak type veth peer name leak netns {upstream}",
                "address add 10.0.0.200/24 dev leak",
                "link set leak up",
            ],
        )
        linux.ip_batch(upstream, ["link set leak master universe0 up"])
        wait_for_carrier(lan, "leak")
        neighbour = f"neigh replace {UNIVERSE_LAN}.1 lladdr 02:00:00:00:00:01 dev leak nud permanent"
        linux.ip_batch(lan, [neighbour, f"route replace default via {UNIVERSE_LAN}.1 dev leak"])

    def test_an_extra_link(self) -> None:
        self.a_way_past("galaxy0")
        words = ("link 'leak' (veth) is no part", "route default via 10.0.0.1", "10.0.0.200/24 on 'leak'")
        self.assert_found("galaxy0", *words, "the ruleset is not the router's", "left by the leak")
        self.assert_found("universe0", "link 'leak' (veth) is no part", options=("--structure",))

    def test_an_extra_route(self) -> None:
        lan = self.spoil("galaxy3")
        linux.ip_batch(lan, [f"route add 198.18.0.0/16 via {UNIVERSE_LAN}.9 dev uplink"])
        self.assert_found("galaxy3", "route 198.18.0.0/16 via 10.0.0.9", options=("--structure",))

    def test_a_removed_table(self) -> None:
        lan = self.spoil("galaxy3")
        linux.run(["nft", "delete", "table", "ip", "orrery"], lan)
        self.assert_found("galaxy3", "the ruleset is not the router's", "its source address is not the router's own")

    def test_forwarding(self) -> None:
        for side in ("", ".egress"):
            linux.write_sysctls(self.spoil("galaxy2", side), {"ipv4/ip_forward": "1"})
        self.assert_found("galaxy2", "ipv4/ip_forward is 1, not 0", options=("--structure",))

    def test_audit_tells_while_it_happens(self) -> None:
        lan = self.spoil("galaxy3")
        client, attached = self.client("leaker", "galaxy3")
        argv = [str(self.product.routerctl), "verify", "galaxy3", "--audit"]
        start = lambda: subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: E731
        auditor = linux.in_netns(self.facts["host"]["netns"], start)
        with auditor:
            try:
                self.assertIn("watching", auditor.stderr.readline())
                linux.run(["nft", "delete", "table", "ip", "orrery"], lan)
                client.udp_echo(b"leak", self.facts["echo"]["address"], self.facts["echo"]["port"], 0.1)
                told = json.loads(auditor.stdout.readline())
            finally:
                auditor.kill()
        self.assertEqual((told["event"], told["violation"]["breach"]), ("violation", "source"))
        self.assertIn(attached["address"], told["violation"]["first"])

    def test_ipv6(self) -> None:
        lan = self.spoil("galaxy3")
        linux.run(["nft", "delete", "table", "ip6", "orrery"], lan)
        told: list[tuple[int, dict[str, Any]]] = []
        thread = threading.Thread(target=lambda: told.append(self.verify("galaxy3", "--watch", "4")))
        thread.start()
        ports = lambda: linux.run(["ip", "-o", "link", "show", "type", "veth"], lan).count("\n")  # noqa: E731
        linux.wait_until("the probe's client", lambda: ports() > 1, 20, every=0.01)
        linux.write_sysctls(lan, {"ipv6/conf/uplink/disable_ipv6": "0"})
        thread.join()
        findings = told[0][1]["findings"]
        self.assertTrue(any("IPv6 is closed" in each for each in findings), findings)
        self.assert_found("galaxy3", "conf/uplink/disable_ipv6 is 0, not 1", options=("--structure",))

    def test_a_foreign_table_and_a_root_shell(self) -> None:
        lan = self.spoil("galaxy0")
        linux.run(["nft", "add", "table", "inet", "theirs"], lan)
        # As by `routerctl exec`: whoever is in there with root's power is named.
        shell = subprocess.Popen(["nsenter", f"--net=/run/netns/{lan}", "sleep", "600"])
        self.addCleanup(shell.wait)
        self.addCleanup(shell.kill)
        entered = lambda: any(pid == shell.pid for pid, _, _ in linux.processes_in(lan))  # noqa: E731
        linux.wait_until("the shell", entered)
        self.assert_found("galaxy0", "table 'inet theirs'", f"process {shell.pid} (sleep)", options=("--structure",))


class Moving(ProductTest):
    """A short run of bench/leaks: one of each."""

    spawned = ("network0.toml",)

    def test_every_transition_once(self) -> None:
        moving = Transitions(self.product, self.facts)
        blocks = []
        for router in ("galaxy0", "galaxy1", "galaxy2"):
            with self.noise(router):
                for kind in moving.kinds(router):
                    if kind != "destroy, spawn":
                        blocks.append(moving.block(router, kind, 1))
        with self.noise("galaxy0"):
            blocks.append(moving.block("galaxy0", "destroy, spawn", 1))
        say(report(blocks))
        for block in blocks:
            found = [str(frame) for frame in block.leaked[:5]]
            self.assertEqual(found, [], f"{block.router}, {block.kind}: {len(block.leaked)} of {block.frames}")
        self.assertGreater(sum(block.frames for block in blocks), 50)

    def noise(self, router: str) -> ExitStack:
        client = Client(self.lab, f"noisy-{router}")
        stack = ExitStack()
        stack.callback(client.close)
        self.product.attach(client, router)
        stack.enter_context(Noise(client.netns, self.facts, LAN_ADDRESSES[router]))
        stack.enter_context(Ipv6Noise(client.netns))
        return stack


if __name__ == "__main__":
    unittest.main(verbosity=2)
