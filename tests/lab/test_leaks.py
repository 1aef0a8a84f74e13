"""The leak contract on live routers: `routerctl verify` finds nothing on a router as it is made and each way past
it that is made on purpose; and nothing leaves by a wrong way while routers come, go, die and stop."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from lab import linux
from lab.capture import TCP, UDP
from lab.chorus import Chorus, dns_query, ipv4, udp
from lab.definitions import LAN_ADDRESSES, NETWORK, UNIVERSE_LAN
from lab.fleet import PROXIED, Fleet, Router, add_second_addresses
from lab.isp import Isp
from lab.notes import leaks, missed, report
from lab.product import Product
from lab.transitions import Transitions, wait_for_carrier
from lab.watch import Allowed, Watch
from lab.ways_past import open_rules
from support import LabTest, ProductTest, say

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

    def test_a_destroyed_router_lets_go_of_its_clients(self) -> None:
        """Also where dnsmasq had a connection by the tunnel, whose end nobody acknowledges: it keeps the namespace
        alive, with the client's link, for as long as the kernel tries (for minutes, unless it is told not to)."""
        client, _ = self.client("held", "galaxy0")
        self.addCleanup(self.product.must, "spawn", "network0.toml")
        query = dns_query(7, "page.lab")
        with linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect((LAN_ADDRESSES["galaxy0"], 53))
            sock.sendall(len(query).to_bytes(2, "big") + query)
            self.assertTrue(sock.recv(500))
            self.product.must("destroy", "galaxy0")
            links = lambda: linux.run(["ip", "-o", "link", "show", "type", "veth"], client.netns)  # noqa: E731
            linux.wait_until("the client's link to go", lambda: not links())

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
        open_rules(lan)
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
        open_rules(lan)
        self.assert_found("galaxy3", "the ruleset is not the router's", "its source address is not the router's own")
        linux.run(["nft", "delete", "table", "ip", "orrery"], lan)
        self.assert_found("galaxy3", "the ruleset is not the router's", options=("--structure",))

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


class Judging(unittest.TestCase):
    """The watch's verdict on one frame."""

    MAC = bytes.fromhex("001000000202")
    ROUTER = Router("network0", "r", "openvpn", "universe0", "10.0.0.2", "00:10:00:00:02:02", "10.1.1",
                    servers={(UDP, "198.18.0.94", 1194)})  # fmt: skip

    def frame(self, packet: bytes = b"", mac: bytes = MAC, ethertype: bytes = b"\x08\0") -> bytes:
        good = ipv4("10.0.0.2", "198.18.0.94", UDP, udp(40000, 1194, b"sealed"))
        return bytes(6) + mac + ethertype + (packet or good)

    def arp(self, sender: str, target: str, mac: bytes = MAC) -> bytes:
        ends = mac + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)
        return self.frame(b"\0\x01\x08\0\x06\x04\0\x01" + ends, ethertype=b"\x08\x06")

    def test_each_breach(self) -> None:
        here, server = "10.0.0.2", "198.18.0.94"

        def sent(to: str, port: int, text: bytes = b"", options: bytes = b"") -> bytes:
            return self.frame(ipv4(here, to, UDP, udp(9, port, text), options))

        frames = {
            "": [self.frame(), self.arp(here, "10.0.0.1"), self.frame(ipv4(here, server, UDP, b"rest", fragment=9))],
            "another MAC": [self.frame(mac=bytes(6))],
            "an EtherType that it has not": [self.frame(ethertype=b"\x86\xdd"), self.frame(ethertype=b"\x88\xb6")],
            "another source address": [self.frame(ipv4("10.1.1.5", server, UDP, udp(9, 1194, b"")))],
            "IP options": [sent(server, 1194, options=bytes(4))],
            "for no server of its own": [
                sent(server, 9),
                sent("198.18.0.80", 1194),
                self.frame(ipv4(here, server, TCP, bytes(20))),
            ],
            "a fragment for no server": [self.frame(ipv4(here, "198.18.0.80", UDP, b"rest", fragment=9))],
            "traffic of a tunnel's client in the clear": [sent(server, 1194, self.ROUTER.mark)],
            "traffic of a proxy's client in the clear": [sent(server, 1194, PROXIED)],
            "ARP from another address": [self.arp("10.0.0.3", "10.0.0.1")],
            "ARP from another MAC": [self.arp(here, "10.0.0.1", bytes(6))],
            "ARP for another than the gateway": [self.arp(here, "10.0.0.9")],
        }
        for why, each in frames.items():
            for number, frame in enumerate(each):
                with self.subTest(why=why, number=number):
                    self.assertEqual(Allowed(self.ROUTER).breach(frame, None), why)
        self.assertEqual(Allowed(self.ROUTER).breach(self.frame(), 5), "a VLAN tag")


class Moving(LabTest):
    """A short run of bench/leaks: one router of each kind but Tor's, and every kind of change once."""

    MANY = 6

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        add_second_addresses()
        product = Product(cls.lab)
        cls.addClassCleanup(product.ctl, "destroy", "--all", "--force")
        crew = Fleet(cls.facts, product.directory)
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        watch, chorus, isp = (stack.enter_context(each) for each in (Watch(), Chorus(), Isp()))
        cls.moving = Transitions(cls.lab, product, crew, watch, chorus, isp)
        stack.callback(cls.moving.close)
        cls.moving.start()

    def setUp(self) -> None:
        self.addCleanup(self.moving.notes.clear)

    def judge(self) -> None:
        say(report(self.moving.notes))
        self.assertEqual(leaks(self.moving.notes), [])
        self.assertEqual(missed(self.moving.notes), [])
        self.assertGreater(sum(note.frames for note in self.moving.notes), 50)

    def every(self, *forms: str) -> None:
        """All changes of routers of these kinds, one router of each kind at a time."""

        def work(form: str) -> None:
            for router in self.moving.fleet.of(form):
                for kind in self.moving.kinds(router):
                    self.moving.once(router, kind)

        with ThreadPoolExecutor(len(forms)) as pool:
            for each in [pool.submit(work, form) for form in forms]:
                each.result()
        made = {(note.form, note.kind) for note in self.moving.notes}
        self.assertGreater(len(made), 12 * len(forms), made)
        self.judge()

    def test_every_transition_of_tunnels(self) -> None:
        self.every("openvpn", "wireguard")

    def test_every_transition_of_others(self) -> None:
        self.every("socks5", "direct")

    def test_every_transition_of_a_universe(self) -> None:
        self.every("universe")

    def test_whole_networks(self) -> None:
        """Suspended, without its NIC, destroyed and spawned, many at once."""
        self.moving.suspend("network0")
        self.moving.pull_nic("network0")
        self.moving.renew_network("network0")
        self.moving.spawn_many("network0", self.MANY)
        self.judge()

    def test_controls_are_seen(self) -> None:
        """Ways past each kind of router, made on purpose."""
        for form in ("openvpn", "wireguard", "socks5", "direct"):
            router = self.moving.fleet.of(form)[0]
            for name in self.moving.controls(router):
                with self.subTest(router=form, control=name):
                    self.assertTrue(self.moving.control(router, name))
        self.judge()


if __name__ == "__main__":
    unittest.main(verbosity=2)
