"""The lab itself, without Tor: leases, names, each tunnel by hand, exits as the server saw them."""

from __future__ import annotations

import unittest
from pathlib import Path

from lab import linux, wireguard
from lab.client import Client
from lab.linux import LabError
from support import LabTest, default_route


class Isp(LabTest):
    def test_udhcpc_gets_the_expected_lease(self) -> None:
        nic = self.facts["nics"][0]
        lease = self.router().udhcpc()
        self.assertEqual((lease.address, lease.prefix), (nic["lease"], 24))
        self.assertEqual((lease.router, lease.dns), (nic["gateway"], (nic["dns"],)))

    def test_dhclient_gets_the_same(self) -> None:
        router = self.router()
        self.assertEqual(router.dhclient().address, self.facts["nics"][0]["lease"])

    def test_the_isp_tries_to_push_a_route(self) -> None:
        router = self.router()
        script = router.directory / "show.sh"
        script.write_text("#!/bin/sh\nenv\n")
        script.chmod(0o755)
        said = router.run(["udhcpc", "-f", "-q", "-n", "-O", "121", "-i", "eth0", "-s", str(script)]).stdout
        self.assertIn(f"staticroutes={self.facts['nics'][0]['pushed_route']} ", said)

    def test_page_by_name_shows_the_lease(self) -> None:
        for number, nic in enumerate(self.facts["nics"]):
            with self.subTest(nic=nic["name"]):
                router = self.router(f"r{number}", number)
                seen = router.fetch("http://page.lab/some/path")
                self.assertEqual(seen["address"], nic["exit"])
                self.assertEqual(seen["path"], "/some/path")
                self.assert_last_seen(nic["exit"], "page.lab")

    def test_both_networks_are_there_at_once(self) -> None:
        first, second = self.router("r1", 0), self.router("r2", 1)
        self.assertEqual(first.fetch("http://page.lab/")["address"], self.facts["nics"][0]["exit"])
        self.assertEqual(second.fetch("http://page.lab/")["address"], self.facts["nics"][1]["exit"])

    def test_dns(self) -> None:
        router = self.router()
        page = self.facts["http"]["address"]
        for tcp in (False, True):
            self.assertEqual(router.dig("page.lab", tcp=tcp), [page])
            self.assertEqual(router.dig("r4nd0m.any.lab", server=self.facts["dns"]["address"], tcp=tcp), [page])
            self.assertEqual(router.dig("nothing.lab", tcp=tcp), [])
        self.assertEqual(router.dig("text.lab", "TXT"), ['"orrery lab"'])
        asked = {(q.kind, q.name, q.client) for q in self.lab.queries("dns-isp")}
        self.assertIn(("TXT", "text.lab", self.facts["nics"][0]["lease"]), asked)

    def test_echo_and_ping(self) -> None:
        router, echo = self.router(), self.facts["echo"]
        self.assertTrue(router.udp_echo(b"hello", echo["address"], echo["port"]))
        self.assertEqual(self.lab.seen("udp")[-1]["address"], self.facts["nics"][0]["exit"])
        self.assertFalse(router.udp_echo(b"hello", echo["address"], echo["port"] + 1))
        self.assertTrue(router.pings(echo["address"]))
        self.assertFalse(router.pings("198.18.99.99"))

    def test_100_megabytes(self) -> None:
        self.assert_whole(self.router(), what="direct", exits=[self.facts["nics"][0]["exit"]])

    def test_a_client_behind_a_bridge(self) -> None:
        """By hand what a router does: a bridge, an isolated port, NAT."""
        router = self.router()
        linux.ip_batch(router.netns, ["link add br0 type bridge", "address add 10.0.0.1/24 dev br0", "link set br0 up"])
        linux.write_sysctls(router.netns, {"ipv4/ip_forward": "1"})
        nat = "table ip t { chain p { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }"
        linux.run(["nft", "-f", "-"], router.netns, nat)
        with Client(self.lab, "c1") as client:
            client.attach_by_hand(router.netns, "br0", "c1")
            linux.ip_batch(client.netns, ["address add 10.0.0.9/24 dev eth0", "route add default via 10.0.0.1"])
            client.resolv.write_text(f"nameserver {self.facts['dns']['address']}\n")
            self.assertEqual(client.fetch("http://page.lab/")["address"], self.facts["nics"][0]["exit"])


class Tunnels(LabTest):
    def openvpn(self, kind: str) -> Client:
        router = self.router()
        log = router.directory / "openvpn.log"
        with open(log, "wb") as output:
            # A dead process here is seen as its log not saying what it should.
            router.start(["openvpn", "--config", self.facts["openvpn"][kind]["profile"]], output)
        ready = "Initialization Sequence Completed"
        linux.wait_until("openvpn", lambda: ready in log.read_text(), 15)
        return router

    def test_openvpn(self) -> None:
        for kind in ("udp", "tcp"):
            with self.subTest(kind=kind):
                router = self.openvpn(kind)
                page = self.facts["http"]["address"]
                self.assertEqual(router.fetch(f"http://{page}/")["address"], self.facts["openvpn"]["exit"])
                self.assert_last_seen(self.facts["openvpn"]["exit"])
                self.assertEqual(router.dig("page.lab", server=self.facts["openvpn"][kind]["dns"]), [page])
                self.assertEqual(self.lab.queries("dns-openvpn")[-1].name, "page.lab")
                self.assert_whole(router, what=f"openvpn {kind}", exits=[self.facts["openvpn"]["exit"]])
                self.doCleanups()

    def test_the_vpn_tries_to_push_a_route(self) -> None:
        """So that a router which does not take it is known to have been offered it."""
        routes = linux.run(["ip", "route"], self.openvpn("udp").netns)
        self.assertIn(f"{self.facts['openvpn']['pushed_route']} via {self.facts['openvpn']['udp']['dns']}", routes)

    def test_the_resolver_inside_a_vpn_is_not_outside(self) -> None:
        with self.assertRaises(LabError):
            self.router().dig("page.lab", server=self.facts["openvpn"]["udp"]["dns"])

    def test_wireguard(self) -> None:
        router, facts = self.router(), self.facts["wireguard"]
        peer = facts["peers"][0]
        config = router.directory / "wg.conf"
        known = [line for line in Path(peer["profile"]).read_text().splitlines() if _is_for_wg(line)]
        config.write_text("\n".join(known) + "\n")
        wireguard.start_userspace(self.lab.ledger, router.directory, "wireguard-client", "wgc", router.netns, config)
        gateway = default_route(router)
        linux.ip_batch(
            router.netns,
            [
                f"route add {facts['address']}/32 via {gateway}",
                f"address add {peer['address']}/24 dev wgc",
                "link set wgc mtu 1420 up",
                "route replace default dev wgc",
            ],
        )
        router.resolv.write_text(f"nameserver {facts['dns']}\n")
        self.assertEqual(router.fetch("http://page.lab/")["address"], facts["exit"])
        self.assert_last_seen(facts["exit"], "page.lab")
        self.assert_whole(router, what="wireguard", exits=[facts["exit"]])

    def test_socks5(self) -> None:
        router, facts = self.router(), self.facts["socks5"]
        server, page = facts["address"], "http://whoami.lab/"
        login = f"{facts['user']}:{facts['password']}"
        plain = ("--socks5-hostname", f"{server}:{facts['port']}")
        self.assertEqual(router.fetch(page, *plain)["address"], facts["exit"])
        with_login = ("--socks5-hostname", f"{login}@{server}:{facts['auth_port']}")
        self.assertEqual(router.fetch(page, *with_login)["address"], facts["exit"])
        self.assert_last_seen(facts["exit"], "whoami.lab")
        with self.assertRaises(LabError):
            router.fetch(page, "--socks5-hostname", f"{facts['user']}:wrong@{server}:{facts['auth_port']}")
        self.assert_whole(router, *plain, what="socks5", exits=[facts["exit"]])


def _is_for_wg(line: str) -> bool:
    """`wg setconf` refuses wg-quick's own keys."""
    return line.split(" ")[0] not in ("Address", "DNS", "MTU")


if __name__ == "__main__":
    unittest.main(verbosity=2)
